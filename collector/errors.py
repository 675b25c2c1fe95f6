"""Errors of the collector, one per way in which a request can fail.

EdusecError
└── CollectorError        root of what the collector refuses
    ├── Unauthorised      no valid credential, token or role holder behind the request
    ├── Forbidden         the person is known, the role or the subtree does not allow it
    ├── NotFound          nothing of that name within the person's subtree
    ├── Conflict          contradicts what is stored: another batch at the same sequence, a name taken
    ├── BadInput          a parameter of a request is not what it must be
    ├── BadFile           an imported file has faults; carries all of them as file:line:field: what
    ├── UnknownDigest     sections named by a digest that is not held; they must be sent in full
    ├── Busy              cannot take more work now (queue full, disk full, closing); carries when to try again
    └── StoreError        the database cannot be used as it is: newer than this release, in use, damaged

A section whose digest does not fit its body is a wire.errors.DecodeError: it is malformed input like any other.
"""

from wire.errors import EdusecError


class CollectorError(EdusecError):
    """What a collector refuses, with a text fit for an operator."""


class Unauthorised(CollectorError):
    """Nobody known stands behind the request; the text never says which part was wrong."""


class Forbidden(CollectorError):
    """The person is known, but the role or the subtree does not allow this."""


class NotFound(CollectorError):
    """Nothing of that name exists within the subtree of the person who asks."""


class Conflict(CollectorError):
    """The request contradicts what is stored; nothing was changed."""


class BadInput(CollectorError):
    """A parameter is malformed or out of bounds; the text names it and what is allowed."""


class BadFile(CollectorError):
    """An imported file has faults and nothing of it was kept; `problems` are lines of file:line:field: what."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}" if problems else "the file cannot be used")
        self.problems = problems


class UnknownDigest(CollectorError):
    """Sections came as a digest that is not held here; nothing of the report was kept."""

    def __init__(self, sections: tuple[str, ...]) -> None:
        super().__init__(f"send these sections in full: {', '.join(sections)}")
        self.sections = sections


class Busy(CollectorError):
    """No more work can be taken now and nothing was kept; try the same again after `retry_after` seconds."""

    def __init__(self, why: str, retry_after: float) -> None:
        super().__init__(f"{why}; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class StoreError(CollectorError):
    """The database cannot be used as it is; the text says what to do."""
