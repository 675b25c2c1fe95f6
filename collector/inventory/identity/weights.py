"""What devices say of who they are, beyond MAC and address, and how much each piece is worth. Pure, light to import.

Names and keys are told by the devices themselves and cloned images share them, so no piece decides alone: the weights
of all that point to the same device are added, and ENOUGH has to be reached. What two addresses of one kind show in the
same run belongs to clones, or to one device with several addresses; nobody can tell, so it proves nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collector.sightings.addresses import address
from probes.kit.evidence import is_virtual_mac, normal_serial, normal_uuid
from wire.types import Value

ENOUGH = 1.0
"""Weight from which on two assets are taken to be one device."""
PAIR = 0.3
"""Weight added when one run sees the same key or name at exactly one IPv4 and one IPv6 address."""
LOCAL_MAC = "local_mac"
SERIAL = "serial"
WEIGHTS: Mapping[str, float] = {
    "uuid": 0.8,
    "dhcp_id": 0.8,
    "hostkey": 0.7,
    LOCAL_MAC: 0.6,
    SERIAL: 0.6,
    "cert": 0.5,
    "hostname": 0.4,
}
"""A UUID told over SSDP or WS-Discovery, a DHCP client identifier, an SSH host key, a locally administered MAC, a
serial number with its maker (some makers ship one for a whole series), a certificate (as are they), a name."""

PROVEN = frozenset({"hostkey", "cert"})
"""Kinds that a run has seen used: whoever shows them holds the secret key. All else can be heard and repeated."""

HOST_KINDS = ("uuid", "dhcp_id", SERIAL, "hostname")
"""Kinds that are said of a host as a whole."""

MAX_PROOF = 256
MAX_PROOFS = 32
"""Most pieces taken from one host in one run."""
_ON_ONE_PAGE = frozenset({"uuid", SERIAL})
_NOBODY = frozenset({"localhost", "localhost.localdomain", "unknown", "(none)", "(unknown)", "*"})
_MAC_AS_DHCP_ID = re.compile(r"01[0-9a-f]{12}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{2}([:.-]?[0-9a-f]{2})+")

Proof = tuple[str, str]
"""A kind (a key of WEIGHTS) and its value in one spelling."""


LINK_LOCAL = "6 link"


def kind_of_place(name: str) -> str:
    """Tell which kind of address it is: one device commonly has one of each ("" for a name that is no address)."""
    found = address(name)
    if found is None:
        return ""
    reach = " loopback" if found.is_loopback else " link" if found.is_link_local else ""
    return f"{found.version}{reach}"


@dataclass(slots=True)
class Proofs:
    """What one run shows, by the host's name in it; `pairs` was seen at one address of each family.

    `shared` was seen at several IPv4 addresses that are not one card's.
    """

    of: dict[str, set[Proof]] = field(default_factory=dict)
    pairs: set[Proof] = field(default_factory=set)
    shared: set[Proof] = field(default_factory=set)

    def worth(self, proofs: Iterable[Proof]) -> float:
        """Add up what some of them are worth together; several UUIDs or serial numbers count as the best of them.

        A device tells them all on one page, and a maker who copies one of them to a whole series copies the others.
        """
        found = set(proofs)
        told = max((WEIGHTS[kind] for kind, _ in found if kind in _ON_ONE_PAGE), default=0.0)
        rest = sum(WEIGHTS[kind] for kind, _ in found if kind not in _ON_ONE_PAGE)
        return told + rest + (PAIR if found & self.pairs else 0.0)


def weigh(said: Mapping[str, set[Proof]], macs: Mapping[str, str]) -> Proofs:
    """Leave out what clones share of all that hosts said, by their names in one run. `macs` are those of its names."""
    # By proof and kind of address the cards that show it: several addresses of one card are one device's.
    cards: dict[Proof, dict[str, set[str]]] = {}
    for name, proofs in said.items():
        for proof in proofs:
            mac = macs.get(name, "")
            card = mac if mac and not is_virtual_mac(mac) else name
            cards.setdefault(proof, {}).setdefault(kind_of_place(name), set()).add(card)
    unique = {proof for proof, where in cards.items() if all(len(some) == 1 for some in where.values())}
    pairs = {proof for proof in unique if {"4", "6"} <= cards[proof].keys()}
    held = {name: set(sorted(proofs & unique)[:MAX_PROOFS]) for name, proofs in said.items()}
    shared = {proof for proof, where in cards.items() if len(where.get("4", ())) > 1}
    return Proofs({name: proofs for name, proofs in held.items() if proofs}, pairs, shared)


def read_proofs(kind: str, values: Mapping[str, Value | list[str]]) -> Iterable[Proof]:
    """Give what one observation says of a kind, each piece in one spelling."""
    value = values.get(kind)
    if kind == SERIAL:  # unique with its maker only
        serial = normal_serial(value) if isinstance(value, str) else ""
        value = f"{values['vendor']} {serial}" if serial and values.get("vendor") else None
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
    if kind == "uuid":
        return normal_uuid(plain)
    if kind == "dhcp_id":
        if _HEXADECIMAL.fullmatch(plain):
            plain = re.sub("[:.-]", "", plain)
        # Hardware type 1 and a MAC (RFC 2132 section 9.14): the MAC itself is known already, and may be invented.
        return "" if _MAC_AS_DHCP_ID.fullmatch(plain) else plain
    return plain
