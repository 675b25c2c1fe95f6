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
    ├── Full              an agent or its unit holds all that it may; only a person can allow more
    ├── Busy              cannot take more work now (queue full, disk full, closing); carries when to try again
    └── StoreError        the database cannot be used as it is: newer than this release, in use, damaged

A section whose digest does not fit its body is a wire.errors.DecodeError: it is malformed input like any other.
"""

from wire.errors import EdusecError
from wire.text import Text, as_text

CLOSING = Text("采集中心正在停止", "the collector is closing")
UNCOMMITTED = Text("数据库未能及时提交", "the store did not commit in time")


class CollectorError(EdusecError):
    """What a collector refuses."""


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

    def __init__(self, problems: tuple[Text, ...]) -> None:
        more = len(problems) - 1
        rest = Text(f"（另有 {more} 处）", f" (and {more} more)") if more else Text("", "")
        super().__init__(Text(problems[0].zh + rest.zh, problems[0].en + rest.en))
        self.problems = problems


class UnknownDigest(CollectorError):
    """Sections came as a digest that is not held here; nothing of the report was kept."""

    def __init__(self, sections: tuple[str, ...]) -> None:
        names = ", ".join(sections)
        super().__init__(Text(f"请完整发送这些段：{names}", f"send these sections in full: {names}"))
        self.sections = sections


class Full(CollectorError):
    """An agent or its unit would hold more than it may, and nothing was kept; trying again changes nothing."""


class Busy(CollectorError):
    """No more work can be taken now and nothing was kept; try the same again after `retry_after` seconds."""

    def __init__(self, why: Text | str, retry_after: float) -> None:
        said = as_text(why)
        super().__init__(
            Text(f"{said.zh}，请 {retry_after:.0f} 秒后再试", f"{said.en}; try again in {retry_after:.0f} s")
        )
        self.retry_after = retry_after


class StoreError(CollectorError):
    """The database cannot be used as it is; the text says what to do."""
