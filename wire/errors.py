"""Errors of the ground floor.

EdusecError                 root of everything this project raises on purpose
└── WireError               something that crossed the network is not what it must be
    ├── DecodeError         malformed, out of bounds or of the wrong type; carries where
    ├── TooLarge            larger than its bound before or after decompression; carries the bound
    └── UnsupportedSchema   a schema or a major version that this release does not read
"""


class EdusecError(Exception):
    """Root of all errors that edusec raises on purpose; its text is fit for an operator."""


class WireError(EdusecError):
    """What arrived over the network cannot be used."""


class DecodeError(WireError):
    """A value is malformed or out of bounds; `where` is its path, such as `sections[2].started`."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where or 'message'}: {what}")
        self.where = where
        self.what = what

    def within(self, step: str) -> "DecodeError":
        """Give the same fault as seen from one level further out, where it lies under `step` (a name or `[index]`)."""
        joint = "." if self.where and not self.where.startswith("[") else ""
        return DecodeError(f"{step}{joint}{self.where}", self.what)


class TooLarge(WireError):
    """A message is larger than `limit` bytes; nothing past the bound was read."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} is larger than {limit} bytes")
        self.limit = limit


class UnsupportedSchema(WireError):
    """The message names a schema or major version that this release does not read."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"schema {found!r} is not supported; this release reads {expected!r}")
        self.found = found
        self.expected = expected
