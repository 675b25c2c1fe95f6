"""What a device tells of itself, by whatever protocol; everything in here was written by a stranger."""

from collections.abc import Iterable
from dataclasses import dataclass

from probes.kit.services.talk import text

DESCRIPTION = "description"
"""The method of what a device's own description says, asked for where SSDP or WS-Discovery announce it."""
MAX_WORD = 128
MOST_WORDS = 16


@dataclass(frozen=True, slots=True)
class Told:
    """Words of one answer: `hosts` are names for the machine, `names` those for people; empty is what was not said.

    `locations` are URLs where the device says that its description is.
    """

    method: str
    hosts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    model: str = ""
    vendor: str = ""
    device: str = ""
    workgroup: str = ""
    mac: str = ""
    services: tuple[str, ...] = ()
    system: str = ""
    serial: str = ""
    firmware: str = ""
    locations: tuple[str, ...] = ()


def word(raw: bytes | str) -> str:
    """Make a stranger's bytes a short text of printable characters."""
    found = text(raw, 4 * MAX_WORD) if isinstance(raw, bytes) else raw[: 4 * MAX_WORD]
    return "".join(char for char in found if char.isprintable()).strip()[:MAX_WORD]


def words(found: Iterable[str]) -> tuple[str, ...]:
    """Give texts once each, in order, without empty ones, a few at most."""
    return tuple(sorted({item for item in found if item}))[:MOST_WORDS]
