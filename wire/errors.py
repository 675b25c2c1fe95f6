"""Errors of the ground floor.

EdusecError                 root of everything this project raises on purpose
└── WireError               something that crossed the network is not what it must be
    ├── DecodeError         malformed, out of bounds or of the wrong type; carries where
    ├── TooLarge            larger than its bound before or after decompression; carries the bound
    └── UnsupportedSchema   a schema or a major version that this release does not read
"""

from wire.text import Text, as_text, within


class EdusecError(Exception):
    """Root of all errors that edusec raises on purpose; `text` is fit for an operator, the log gets the English one.

    What only programs get to see (an agent, a client with a fault) is said in English alone.
    """

    def __init__(self, said: Text | str = "") -> None:
        self.text = as_text(said)
        super().__init__(self.text.en)


class WireError(EdusecError):
    """What arrived over the network cannot be used."""


class DecodeError(WireError):
    """A value is malformed or out of bounds; `where` is its path, such as `sections[2].started`."""

    def __init__(self, where: str, what: Text | str) -> None:
        self.where = where
        self.what = as_text(what)
        super().__init__(within(where or "message", self.what))

    def within(self, step: str) -> "DecodeError":
        """Give the same fault as seen from one level further out, where it lies under `step` (a name or `[index]`)."""
        joint = "." if self.where and not self.where.startswith("[") else ""
        return DecodeError(f"{step}{joint}{self.where}", self.what)


class TooLarge(WireError):
    """A message is larger than `limit` bytes; nothing past the bound was read."""

    def __init__(self, what: Text | str, limit: int) -> None:
        said = as_text(what)
        super().__init__(Text(f"{said.zh}超过 {limit} 字节", f"{said.en} is larger than {limit} bytes"))
        self.limit = limit


class UnsupportedSchema(WireError):
    """The message names a schema or major version that this release does not read."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(
            Text(
                f"不支持 schema {found!r}，本版本读取 {expected!r}",
                f"schema {found!r} is not supported; this release reads {expected!r}",
            )
        )
        self.found = found
        self.expected = expected
