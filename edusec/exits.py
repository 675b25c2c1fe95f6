"""How a command ends: its exit codes, and the error that carries one.

EdusecError
└── Stop    a command cannot go on; carries the exit code, its text is for the operator in their language
"""

from enum import IntEnum

from wire.errors import EdusecError


class ExitCode(IntEnum):
    """Exit codes of every command; docs/cli.md explains them."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    PARTIAL = 3
    PRIVILEGE = 4
    UNREACHABLE = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Stop(EdusecError):
    """A command cannot go on; `code` is its exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code
