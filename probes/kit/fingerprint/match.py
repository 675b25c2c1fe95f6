"""Match one answer against fingerprints: bounded in size and time, the first of the highest certainty wins."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from probes.kit.fingerprint.bounded import Clock, Patience, TooLong
from probes.kit.fingerprint.model import MAX_TEMPLATE, MAX_TEXT, MAX_VALUE, Fingerprint

PLACEHOLDER = re.compile(r"\{(?P<group>[0-9]{1,2})(?:(?P<order>[<>])|\|(?P<old>[^|}]{1,16})\|(?P<new>[^|}]{0,16}))?\}")
NAMED = re.compile(r"\{([a-z][a-z0-9_.]{0,63})\}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an answer says: params such as `service.product`, `service.version`, `os.family`, `hw.device`.

    `certainty` is the fingerprint's own, `evidence` the part of the answer that matched.
    """

    says: Mapping[str, str]
    certainty: float
    title: str
    source: str
    evidence: str


def by_key(fingerprints: Iterable[Fingerprint]) -> dict[str, tuple[Fingerprint, ...]]:
    """Sort fingerprints into their kinds of answer; the order within a kind is the order of the files."""
    kinds: dict[str, list[Fingerprint]] = {}
    for fingerprint in fingerprints:
        kinds.setdefault(fingerprint.key, []).append(fingerprint)
    return {key: tuple(items) for key, items in kinds.items()}


def identify(fingerprints: Iterable[Fingerprint], text: str, patience: Patience | None = None) -> Identity | None:
    """Give the best match for an answer of one kind, or None. Only the first MAX_TEXT characters are looked at.

    The first match of the highest certainty wins: files list the special before the general. A pattern that takes too
    long says nothing; when `patience` is over, nothing more is tried, and what is not known by then stays unknown.
    """
    bounded = text[:MAX_TEXT]
    best: Identity | None = None
    patience = patience or Patience()
    with Clock() as clock:
        for fingerprint in fingerprints:
            if best is not None and fingerprint.certainty <= best.certainty:
                continue
            if patience.left <= 0:
                break
            try:
                found = clock.run(lambda: fingerprint.compiled().search(bounded))  # noqa: B023 (called at once)
            except TooLong:
                patience.left -= 1
                continue
            except (re.error, ValueError, OverflowError, RecursionError):
                continue  # a file that was kept for another Python, or that somebody changed
            if found is None:
                continue
            best = Identity(
                fill(fingerprint.says, found), fingerprint.certainty, fingerprint.title, fingerprint.source, found[0]
            )
    return best


def fill(says: Mapping[str, str], found: re.Match[str]) -> dict[str, str]:
    """Fill in what a match says; a value that comes out empty is left out, a CPE keeps its known parts.

    In a template `{1}` is the text of group 1, `{1|_|.}` the same with `_` replaced by `.`, `{1>}` and `{1<}` the
    group's bytes as a big- or little-endian number, and `{service.version}` what another name
    of the same fingerprint says. A group that the pattern does not have is empty: a file may say anything.
    """
    own = {
        name: PLACEHOLDER.sub(lambda hole: _group(hole, found), text[:MAX_TEMPLATE])[:MAX_VALUE]
        for name, text in says.items()
    }
    filled: dict[str, str] = {}
    for name, text in own.items():
        value = NAMED.sub(lambda hole: own.get(hole[1], ""), text)[:MAX_VALUE]
        if "cpe" in name:
            value = value.rstrip(":")
        if value:
            filled[name] = value
    return filled


def _group(hole: re.Match[str], found: re.Match[str]) -> str:
    number = int(hole["group"])
    text = (found[number] or "")[: 4 * MAX_VALUE] if number <= found.re.groups else ""
    if hole["order"]:
        octets = text.encode("latin-1", errors="replace")[:8]
        return str(int.from_bytes(octets, "big" if hole["order"] == ">" else "little"))
    return text.replace(hole["old"], hole["new"]) if hole["old"] else text
