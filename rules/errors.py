"""Errors of the rules.

EdusecError             the root (wire.errors)
└── RulesError          files of rules or of their data are not what they must be; carries every fault
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wire.errors import EdusecError
from wire.text import Text, lines_of, within


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One fault: in which file, at which key (such as `when.port`; empty for the whole file), and what is allowed."""

    file: str
    key: str
    what: Text

    def __str__(self) -> str:
        """Write it in English."""
        return self.text.en

    @property
    def text(self) -> Text:
        """Say it as `file: key: what`."""
        return within(": ".join(part for part in (self.file, self.key) if part), self.what)


class RulesError(EdusecError):
    """Rules cannot be loaded; `faults` has all that is wrong, one a line in its text."""

    def __init__(self, faults: Sequence[RuleFault]) -> None:
        super().__init__(lines_of(fault.text for fault in faults))
        self.faults = tuple(faults)
