"""Evidence and details in Chinese: a report carries them in English, and whoever shows one looks its words up here.

A phrase has places: `{}` holds what is copied (names, addresses, texts of strangers), `{#}` a number, `{*}` something
that is a phrase itself. A line that nobody knows is shown as it came. Reading one takes time linear in its length, so
that a stranger's text, which may stand in a line, costs no more than any other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from probes.kit.phrases.book import TEMPLATES, WORDS
from wire.faults import reason_named

_DEPTH = 4
_PLACE = re.compile(r"\{[#*]?\}")


@dataclass(frozen=True, slots=True)
class _Template:
    literals: tuple[str, ...]
    kinds: tuple[str, ...]
    zh: str

    def parts(self, text: str) -> tuple[str, ...] | None:
        """Give what stands at each place, the shortest first; None where the text is none of this."""
        first, *middle, last = self.literals
        if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
            return None
        found, at, end = [], len(first), len(text) - len(last)
        for literal in middle:
            stop = text.find(literal, at, end)
            if stop < 0:
                return None
            found.append(text[at:stop])
            at = stop + len(literal)
        found.append(text[at:end])
        fits = all(
            part and (kind != "#" or part.replace(".", "").isdecimal())
            for kind, part in zip(self.kinds, found, strict=True)
        )
        return tuple(found) if fits else None


@cache
def _templates() -> tuple[_Template, ...]:
    return tuple(
        _Template(tuple(_PLACE.split(text.en)), tuple(hit[0].strip("{}") for hit in _PLACE.finditer(text.en)), text.zh)
        for text in TEMPLATES
    )


def in_chinese(line: str, depth: int = 0) -> str:
    """Give a line of evidence, or the detail of a reason, in Chinese; what is not known stays as it is."""
    known = WORDS.get(line) or _of_system(line)
    if known or depth > _DEPTH:
        return known or line
    for template in _templates():
        if (parts := template.parts(line)) is not None:
            said = (
                in_chinese(part, depth + 1) if kind == "*" else part
                for kind, part in zip(template.kinds, parts, strict=True)
            )
            return _filled(template.zh, said)
    return _joined(line, depth)


def _joined(line: str, depth: int) -> str:
    """Look at the parts of a line that is none of the phrases: `a; b`, `place: what`, `a, b`, `what (MSS 1220)`."""
    for joint, zh in (("; ", "；"), (", ", "，")):
        if joint in line:
            parts = line.split(joint)
            said = [in_chinese(part, depth + 1) for part in parts]
            return zh.join(said) if said != parts else line
    head, colon, tail = line.rpartition(": ")
    told = in_chinese(tail, depth + 1)
    if colon and told != tail:
        return f"{head}：{told}"
    head, space, tail = line.partition(" ")
    told = in_chinese(tail, depth + 1)
    return f"{head} {told}" if space and head.isdecimal() and told != tail else line


def _of_system(line: str) -> str:
    said = reason_named(line).zh
    return "" if said == line else said


def _filled(zh: str, parts: Iterator[str]) -> str:
    return _PLACE.sub(lambda _: next(parts), zh)
