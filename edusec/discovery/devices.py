"""Which of the addresses that a discovery saw are one device: this machine's, one card's, or by enough proof. Pure.

The weights are the inventory's own (collector.inventory.identity.weights): what is not certain stays apart, since a
wrong merge hides a device. Of some addresses nobody can tell whose they are: one that only others speak for, one that
two cards claim, one of a card that answers for many.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from collector.inventory.identity.weights import ENOUGH, HOST_KINDS, Proof, Proofs, kind_of_place, read_proofs, weigh
from collector.sightings.addresses import address, is_local_mac
from probes.kit import evidence
from probes.kit.discovery.sightings import LEASE, OWN, RANK
from probes.kit.evidence import PROXY_ADDRESSES
from wire.types import Observation, Outcome

CARD, MACHINE = "mac", "own"
"""Why addresses are one device: they show one MAC; they are this machine's. Else the kinds of proof."""

_Card = tuple[str, str]
"""A MAC, and the interface behind which it is one device's; "" where it is one everywhere."""


@dataclass(frozen=True, slots=True)
class Device:
    """Addresses of one device, IPv4 first and link-local last; `why` says what joins them, empty for a single one."""

    seen: tuple[Observation, ...]
    why: tuple[str, ...]

    @property
    def id(self) -> str:
        """Name it by the first of its addresses: the same throughout one run, and nothing beyond it."""
        return self.seen[0].target.name

    @property
    def addresses(self) -> tuple[str, ...]:
        """Give its addresses in order."""
        return tuple(item.target.name for item in self.seen)

    @property
    def macs(self) -> tuple[str, ...]:
        """Give the MACs that it showed, or said it has where a router hides them."""
        return tuple(dict.fromkeys(mac for item in self.seen if (mac := _mac(item))))

    @property
    def local_mac(self) -> bool | None:
        """Tell whether all its MACs are made up by the system itself, as phones do; None where none is known."""
        return all(map(is_local_mac, self.macs)) if self.macs else None

    @property
    def mine(self) -> bool:
        """Tell whether it is the machine that looked."""
        return any(map(_own, self.seen))

    @property
    def via(self) -> tuple[str, ...]:
        """Give the methods that saw it, those that prove most first."""
        found = {str(method) for item in self.seen for method in _many(item.values.get("via"))}
        return tuple(sorted(found, key=lambda method: (RANK.index(method) if method in RANK else len(RANK), method)))

    def said(self, name: str) -> str:
        """Give what its addresses say of it, the first that says anything; "" where none does."""
        return next((str(item.values[name]) for item in self.seen if item.values.get(name)), "")


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of one run in the order of their addresses, and the sightings of which nobody can tell whose.

    `proxies` holds the MACs that answer for many, with how many IPv4 addresses each.
    """

    all: tuple[Device, ...]
    unknown: tuple[Observation, ...]
    proxies: Mapping[str, int]

    def of_address(self) -> dict[str, str]:
        """Give the id of the device of each address that has one."""
        return {name: device.id for device in self.all for name in device.addresses}

    def of_mac(self) -> dict[str, str]:
        """Give the id of the device of each MAC that was seen as one device's only."""
        owners: dict[str, set[str]] = defaultdict(set)
        for device in self.all:
            for mac in device.macs:
                owners[mac].add(device.id)
        return {mac: next(iter(ids)) for mac, ids in owners.items() if len(ids) == 1 and mac not in self.proxies}


def devices(observations: Iterable[Observation]) -> Devices:
    """Join what one run of the probe `discovery` saw; leases are no sightings and left out."""
    seen = sorted((item for item in observations if item.method != LEASE), key=_order)
    fours = Counter(card[0] for item in seen if (card := _card(item)) is not None and _kind(item) == "4")
    proxies = {mac: count for mac, count in fours.items() if count > PROXY_ADDRESSES}
    mine = tuple(item for item in seen if _own(item))
    others = [item for item in seen if not _own(item)]
    unknown = tuple(item for item in others if _doubtful(item, proxies))
    cards: dict[_Card | None, list[Observation]] = defaultdict(list)
    for item in others:
        if not _doubtful(item, proxies):
            cards[_card(item)].append(item)
    bare = cards.pop(None, [])
    found = [
        *([Device(mine, (MACHINE,) if len(mine) > 1 else ())] if mine else []),
        *(Device(tuple(some), (CARD,) if len(some) > 1 else ()) for some in cards.values()),
        *_by_proof(bare, seen),
    ]
    return Devices(tuple(sorted(found, key=lambda device: _order(device.seen[0]))), unknown, proxies)


def _by_proof(bare: Iterable[Observation], seen: Iterable[Observation]) -> Iterator[Device]:
    """Join addresses of different kinds whose cards nobody saw, where they alone tell the same and enough of it.

    Never with one whose card is known: what it says, anybody can repeat (docs/design/007-who-a-device-is.md).
    """
    proofs = _weighed(seen)
    groups = {item.target.name: Device((item,), ()) for item in bare}
    holders: dict[Proof, list[str]] = defaultdict(list)
    for name in groups:
        for proof in proofs.of.get(name, ()):
            holders[proof].append(name)
    shared: dict[tuple[str, str], set[Proof]] = defaultdict(set)
    for proof, names in holders.items():  # few: of each kind of address at most one, see `weigh`
        for pair in combinations(names, 2):
            shared[pair].add(proof)
    for (one, other), found in sorted(shared.items(), key=lambda item: (-proofs.worth(item[1]), item[0])):
        if proofs.worth(found) >= ENOUGH and not _kinds(groups[one]) & _kinds(groups[other]):
            both = _joined(groups[one], groups[other], {kind for kind, _ in found})
            groups.update(dict.fromkeys(both.addresses, both))
    yield from {device.id: device for device in groups.values()}.values()


def _weighed(seen: Iterable[Observation]) -> Proofs:
    said: dict[str, set[Proof]] = {}
    macs: dict[str, str] = {}
    for item in seen:
        said[item.target.name] = {proof for kind in HOST_KINDS for proof in read_proofs(kind, item.values)}
        if (card := _card(item)) is not None:
            macs[item.target.name] = card[0]
    return weigh(said, macs)


def _joined(one: Device, other: Device, why: set[str]) -> Device:
    return Device(tuple(sorted((*one.seen, *other.seen), key=_order)), tuple(sorted({*one.why, *other.why, *why})))


def _kinds(device: Device) -> set[str]:
    return {*map(_kind, device.seen)}


def _kind(item: Observation) -> str:
    return kind_of_place(item.target.name)


def _doubtful(item: Observation, proxies: Mapping[str, int]) -> bool:
    return item.outcome is not Outcome.SEEN or bool(item.values.get("other_macs")) or _mac(item) in proxies


def _own(item: Observation) -> bool:
    return OWN in _many(item.values.get("via"))


def _card(item: Observation) -> _Card | None:
    """Give the card behind an address; None where no link showed one: what a host says of its own is no proof."""
    mac, interface = _mac(item), str(item.values.get("interface", ""))
    if not mac or not interface:
        return None
    # Invented MACs and those that routers share are found on other links again, and are other devices there.
    return mac, interface if is_local_mac(mac) or evidence.is_virtual_mac(mac) else ""


def _mac(item: Observation) -> str:
    return str(item.values.get(evidence.MAC, ""))


def _many(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,) if value else ()


def _order(item: Observation) -> tuple[str, int, str]:
    """Sort IPv4 first and link-local IPv6 last, by number."""
    found = address(item.target.name)
    return _kind(item), int(found) if found is not None else 0, item.target.name
