"""Match one answer against fingerprints: bounded, first by certainty, then by how much a match says."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from probes.kit.fingerprint.model import MAX_TEXT, MAX_VALUE, Fingerprint

PLACEHOLDER = re.compile(r"\{([a-z0-9_.]{1,64})\}")


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


def identify(fingerprints: Iterable[Fingerprint], text: str) -> Identity | None:
    """Give the best match for an answer of one kind, or None. Only the first MAX_TEXT characters are looked at.

    The first match of the highest certainty wins: files list the special before the general.
    """
    bounded = text[:MAX_TEXT]
    best: Identity | None = None
    for fingerprint in fingerprints:
        if best is not None and fingerprint.certainty <= best.certainty:
            continue
        found = fingerprint.compiled().search(bounded)
        if found is not None:
            best = Identity(
                says(fingerprint, found), fingerprint.certainty, fingerprint.title, fingerprint.source, found[0]
            )
    return best


def says(fingerprint: Fingerprint, found: re.Match[str]) -> dict[str, str]:
    """Fill in what a match says; a param whose group or placeholder is empty is left out, a CPE keeps what is known."""
    values = {
        param.name: (found[param.group] or "")[:MAX_VALUE] if param.group else param.value
        for param in fingerprint.params
    }
    filled: dict[str, str] = {}
    for name, value in values.items():
        text = PLACEHOLDER.sub(lambda hole: values.get(hole[1], ""), value)
        if name.endswith("cpe23"):
            text = text.rstrip(":")
        if text:
            filled[name] = text
    return filled
