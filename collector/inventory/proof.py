"""What a run says about who a device is, beyond its MAC and address, and how much each piece is worth. Pure.

Names and keys are told by the devices themselves and cloned images share them, so no piece decides alone: the weights
of all that point to the same device are added, and ENOUGH has to be reached. What two addresses of one kind show in the
same run belongs to clones, or to one device with several addresses; nobody can tell, so it proves nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collector.inventory.addresses import address
from collector.inventory.picture import HOST, SERVICE, Picture, place, values_of
from wire.types import Value

ENOUGH = 1.0
"""Weight from which on two assets are taken to be one device."""
PAIR = 0.3
"""Weight added when one run sees the same key or name at exactly one IPv4 and one IPv6 address."""
LOCAL_MAC = "local_mac"
WEIGHTS: Mapping[str, float] = {
    "uuid": 0.8,
    "dhcp_id": 0.8,
    "hostkey": 0.7,
    LOCAL_MAC: 0.6,
    "cert": 0.5,
    "hostname": 0.4,
}
"""A UUID told over SSDP or WS-Discovery, a DHCP client identifier, an SSH host key, a locally administered MAC, a
certificate (vendors ship one for a whole series), a name."""

MAX_PROOF = 256
MAX_PROOFS = 32
"""Most pieces taken from one host in one run."""
_OF: Mapping[str, tuple[str, ...]] = {HOST: ("uuid", "dhcp_id", "hostname"), SERVICE: ("hostkey", "cert")}
_NOBODY = frozenset({"localhost", "localhost.localdomain", "unknown", "(none)", "(unknown)", "*"})
_MAC_AS_DHCP_ID = re.compile(r"01[0-9a-f]{12}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{2}([:.-]?[0-9a-f]{2})+")

Proof = tuple[str, str]
"""A kind (a key of WEIGHTS) and its value in one spelling."""


def kind_of_place(name: str) -> str:
    """Tell which kind of address it is: one device commonly has one of each ("" for a name that is no address)."""
    found = address(name)
    if found is None:
        return ""
    reach = " loopback" if found.is_loopback else " link" if found.is_link_local else ""
    return f"{found.version}{reach}"


@dataclass(slots=True)
class Proofs:
    """What one run shows, by the host's name in it; `pairs` was seen at one address of each family."""

    of: dict[str, set[Proof]] = field(default_factory=dict)
    pairs: set[Proof] = field(default_factory=set)

    def worth(self, proofs: Iterable[Proof]) -> float:
        """Add up what some of them are worth together."""
        found = set(proofs)
        return sum(WEIGHTS[kind] for kind, _ in found) + (PAIR if found & self.pairs else 0.0)


def gather(picture: Picture) -> Proofs:
    """Read everything that a run says about identity; what clones share is left out."""
    said: dict[str, set[Proof]] = {}
    for key, (_, detail) in picture.seen.items():
        kinds = _OF.get(key[0], ())
        if not any(f'"{kind}"' in detail for kind in kinds):
            continue
        values = values_of(detail)
        here = said.setdefault(place(key).name, set())
        here.update(proof for kind in kinds for proof in _read(kind, values.get(kind)))
    places: dict[Proof, list[str]] = {}
    for name, proofs in said.items():
        for proof in proofs:
            places.setdefault(proof, []).append(kind_of_place(name))
    unique = {proof for proof, where in places.items() if len(where) == len(set(where))}
    pairs = {proof for proof in unique if {"4", "6"} <= set(places[proof])}
    held = {name: set(sorted(proofs & unique)[:MAX_PROOFS]) for name, proofs in said.items()}
    return Proofs({name: proofs for name, proofs in held.items() if proofs}, pairs)


def _read(kind: str, value: Value | list[str]) -> Iterable[Proof]:
    for text in value if isinstance(value, list | tuple) else (value,):  # stored values are JSON, so lists
        if isinstance(text, str) and (normal := _normal(kind, text)):
            yield kind, normal


def _normal(kind: str, text: str) -> str:
    """Write a value in one spelling; "" for one that says nothing."""
    plain = text.strip().lower()
    if not plain or len(plain) > MAX_PROOF or not plain.isprintable():
        return ""
    if kind == "hostname":
        plain = plain.rstrip(".").partition(".")[0] if not plain[0].isdigit() else plain.rstrip(".")
        return "" if plain in _NOBODY else plain
    if kind == "dhcp_id":
        if _HEXADECIMAL.fullmatch(plain):
            plain = re.sub("[:.-]", "", plain)
        # Hardware type 1 and a MAC (RFC 2132 section 9.14): the MAC itself is known already, and may be invented.
        return "" if _MAC_AS_DHCP_ID.fullmatch(plain) else plain
    return plain
