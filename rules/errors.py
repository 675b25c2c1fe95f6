"""Errors of the rules.

EdusecError             the root (wire.errors)
└── RulesError          files of rules or of their data are not what they must be; carries every fault
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wire.errors import EdusecError


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One fault: in which file, at which key (such as `when.port`; empty for the whole file), and what is allowed."""

    file: str
    key: str
    what: str

    def __str__(self) -> str:
        """Write it as `file: key: what`."""
        return ": ".join(part for part in (self.file, self.key, self.what) if part)


class RulesError(EdusecError):
    """Rules cannot be loaded; `faults` has all that is wrong, one a line in its text."""

    def __init__(self, faults: Sequence[RuleFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)
