"""Errors of the agent.

EdusecError                 (wire.errors)
└── AgentError              root of what the agent raises on purpose
    ├── ConfigError         the configuration has faults; carries all of them, one line each
    ├── StateError          the state folder cannot be used: not enrolled, another agent runs, no permission
    ├── EnrolmentError      a token, a certificate or an answer at enrolment is not what it must be
    ├── Unreachable         the collector cannot be reached, or what answers is not it
    └── SpoolError          the spool cannot be written now (disk full, read-only); what it holds is safe
"""

from pathlib import Path

from wire.errors import EdusecError
from wire.text import Text, lines_of, within


class AgentError(EdusecError):
    """Root of all errors that the agent raises on purpose."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(Text(zh, en))


class ConfigError(AgentError):
    """The configuration has faults; `problems` holds each, in English, as `file: key: what is allowed`."""

    def __init__(self, *problems: Text) -> None:
        super().__init__(*lines_of(problems))
        self.problems = tuple(problem.en for problem in problems)


class StateError(AgentError):
    """The state folder cannot be used as it is; the text says what mends it."""


class EnrolmentError(AgentError):
    """Enrolment was refused, or an answer to it cannot be trusted."""


class Unreachable(AgentError):
    """The collector gave no usable HTTP answer; the text says at which step."""


class SpoolError(AgentError):
    """The spool takes nothing at the moment; what it already holds is safe."""

    def __init__(self, path: Path, said: Text) -> None:
        super().__init__(*within(str(path), said))
