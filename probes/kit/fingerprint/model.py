"""What a fingerprint is, whichever file it was read from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from wire.errors import EdusecError
from wire.faults import not_a_pattern
from wire.text import Text, text_of

MAX_TEXT = 4096
"""Characters of an answer that are matched: patterns see no more, however much a hostile server sends."""
MAX_PATTERN = 4096
MAX_TEMPLATE = 1024
MAX_VALUE = 256
MAX_FILE = 16 << 20
"""Largest fingerprint file in bytes."""


class FingerprintFileError(EdusecError):
    """A fingerprint file cannot be read at all; the text names file and reason."""


@lru_cache(maxsize=1 << 15)
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    # `re` itself keeps 512: with imported files, every answer would have thousands compiled anew.
    return re.compile(pattern, flags)


@dataclass(frozen=True, slots=True)
class Example:
    """An answer that the fingerprint must match, and what it must say then."""

    text: str
    says: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One pattern for one kind of answer (`key`, such as `ssh.banner`) and what a match says.

    `says` maps names such as `service.product` to templates (`match.fill`). `certainty` is from 0 to 1: how far the
    file's author trusts a match of this pattern.
    """

    key: str
    pattern: str
    flags: int
    title: str
    says: Mapping[str, str]
    certainty: float
    source: str
    examples: tuple[Example, ...] = ()

    def compiled(self) -> re.Pattern[str]:
        """Compile the pattern, once."""
        return _compiled(self.pattern, self.flags)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one entry of a fingerprint file was left out: the file, where in it, and the reason."""

    file: str
    where: Text
    reason: Text

    @property
    def text(self) -> Text:
        """Give the one line that an operator reads."""
        return Text(
            f"{self.file}: {self.where.zh}：{self.reason.zh}", f"{self.file}: {self.where.en}: {self.reason.en}"
        )

    def __str__(self) -> str:
        """Give it in English."""
        return self.text.en


def why_not(error: Exception) -> Text:
    """Say why an entry cannot be used."""
    if isinstance(error, re.error):
        return not_a_pattern(error)
    if isinstance(error, RecursionError | OverflowError):
        return Text("正则表达式过于复杂", f"the pattern is too complex: {error}")
    return text_of(error)


def entry_place(number: int, title: str) -> Text:
    """Say which entry of a file it is, counted from 1."""
    return Text(f"第 {number} 条指纹（{title}）", f"fingerprint {number} ({title})")


BAD_LENGTH = Text(f"正则表达式须为 1 至 {MAX_PATTERN} 个字符", f"a pattern must have 1 to {MAX_PATTERN} characters")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a reader made of a file or folder; entries with a fault are left out, all others are in."""

    fingerprints: tuple[Fingerprint, ...]
    faults: tuple[Fault, ...] = ()
