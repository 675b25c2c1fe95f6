"""All that a run learns of each address, joined: which methods saw it, its hardware address, what it calls itself."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from probes.kit import evidence
from probes.kit.discovery.leases import Lease
from probes.kit.discovery.told import DESCRIPTION, MOST_WORDS, Told
from probes.kit.scope.addresses import Address
from wire.types import Observation, Outcome, Target, TargetKind, Value

PROBE = "discovery"
OWN, TABLE, LEASE = "own", "neighbour_table", "dhcp_lease"
RANK = (OWN, "arp", "nd", "tcp", DESCRIPTION, "icmp", "echo", "opt80", "mld", "netbios", "wsd", "ssdp", "mdns", TABLE)
"""Methods by how much they prove: what the link layer says first, what anybody may have forged last."""
SPOKEN = frozenset({"mdns", "ssdp", "wsd"})
"""Methods whose answers are datagrams that anybody on the link can send in another's name."""
_MOST_MACS = 5
_MOST_TEXTS = 4 * MOST_WORDS


@dataclass(slots=True)
class Sighting:
    """One address. `via` are the methods that saw it, `macs` its hardware addresses, the first one first."""

    address: Address
    via: set[str] = field(default_factory=set)
    macs: list[str] = field(default_factory=list)
    interface: str = ""
    doubted: bool = False
    told: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    duration: float = 0.0

    @property
    def method(self) -> str:
        """The method that proves most."""
        return next((method for method in RANK if method in self.via), "")


class Sightings:
    """All addresses of a run; several threads may add to them."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self.by_address: dict[Address, Sighting] = {}
        self._by_mac: dict[str, set[Address]] = defaultdict(set)
        self._fours: Counter[str] = Counter()

    def __contains__(self, address: Address) -> bool:
        """Tell whether an address was seen."""
        return address in self.by_address

    def __len__(self) -> int:
        """Count the addresses."""
        return len(self.by_address)

    def see(self, address: Address, method: str, *, mac: str = "", interface: str = "") -> Sighting:
        """Note that a method saw an address."""
        with self._lock:
            seen = self.by_address.get(address)
            if seen is None:
                seen = self.by_address[address] = Sighting(address)
            seen.via.add(method)
            seen.interface = seen.interface or interface
            if mac and mac not in seen.macs and len(seen.macs) < _MOST_MACS:
                seen.macs.append(mac)
                self._fours[mac] += address.version == 4
                self._by_mac[mac].add(address)
            return seen

    def tell(self, address: Address, told: Told) -> None:
        """Add what an address, which was seen, says of itself."""
        said = self.by_address[address].told
        facts = {
            "hosts": told.hosts,
            "names": told.names,
            "uuids": told.uuids,
            "services": told.services,
            "model": (told.model,),
            "vendor": (told.vendor,),
            "device": (told.device,),
            "workgroup": (told.workgroup,),
            "system": (told.system,),
            "serial": (evidence.normal_serial(told.serial),),
            "firmware": (told.firmware,),
            "claimed_mac": (told.mac,),
        }
        with self._lock:
            for name, texts in facts.items():
                said[name] |= set([text for text in texts if text][: max(0, _MOST_TEXTS - len(said[name]))])

    def same(self, address: Address) -> set[Address]:
        """Give the addresses that are known to be of the same machine, by its hardware address."""
        with self._lock:
            seen = self.by_address.get(address)
            if seen is None or len(seen.macs) != 1:
                return {address}
            mac = seen.macs[0]
            return {*self._by_mac[mac]} if self._fours[mac] <= evidence.PROXY_ADDRESSES else {address}

    def all(self) -> list[Sighting]:
        """Give what there is by now."""
        with self._lock:
            return [*self.by_address.values()]

    def observations(self, leases: Iterable[Lease]) -> Iterator[Observation]:
        """Give one observation for each address, then one for each lease; a lease proves nothing to be there."""
        held = list(leases)
        by_address = {lease.address: lease for lease in held}
        by_mac = {lease.mac: lease for lease in held if lease.mac}
        now = time.time()
        for seen in sorted(self.by_address.values(), key=self._order):
            lease = self._lease_of(seen, by_address, by_mac)
            outcome = Outcome.UNKNOWN if seen.doubted else Outcome.SEEN
            target = Target(TargetKind.HOST, str(seen.address))
            yield Observation(PROBE, seen.method, target, outcome, now, _values(seen, lease), seen.duration)
        for lease in held:
            target = Target(TargetKind.HOST, str(lease.address))
            left = min(1e9, max(0.0, lease.expires - now))
            yield Observation(PROBE, LEASE, target, Outcome.UNKNOWN, now, _identity(lease.mac, lease), left)

    def _order(self, seen: Sighting) -> tuple[bool, int, int]:
        """Sort by address, but last what only answers for others: there may be more of it than a report carries."""
        proxied = bool(seen.macs) and all(self._fours[mac] > evidence.PROXY_ADDRESSES for mac in seen.macs)
        return proxied, seen.address.version, int(seen.address)

    def _lease_of(self, seen: Sighting, by_address: dict[Address, Lease], by_mac: dict[str, Lease]) -> Lease | None:
        lease = by_address.get(seen.address)
        if lease is not None and (not lease.mac or not seen.macs or lease.mac in seen.macs):
            return lease
        # The other addresses of a card whose lease is known.
        alone = len(seen.macs) == 1 and self.same(seen.address) != {seen.address}
        return by_mac.get(seen.macs[0]) if alone else None


def _identity(mac: str, lease: Lease | None, *hosts: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if mac:
        values[evidence.MAC] = mac
        values[evidence.LOCAL_MAC] = evidence.is_local_mac(mac)
    named = lease.hostname if lease is not None and lease.hostname else _best_hostname(hosts)
    if named:
        values[evidence.HOSTNAME] = named
    if lease is not None and lease.dhcp_id:
        values[evidence.DHCP_ID] = lease.dhcp_id
    return values


def _best_hostname(hosts: Iterable[str]) -> str:
    # The shortest: of "pc-12" and "pc-12.school.edu.cn" both are the machine's, and NetBIOS knows the short one only.
    found = {name for text in hosts if (name := evidence.normal_hostname(text))}
    return min(found, key=lambda name: (len(name), name), default="")


def _values(seen: Sighting, lease: Lease | None) -> dict[str, Value]:
    told = seen.told
    # What a host behind a router says of its own card is all that can be known of it.
    mac = seen.macs[0] if seen.macs else min(told["claimed_mac"], default="") if not seen.interface else ""
    values = _identity(mac, lease, *told["hosts"])
    values["via"] = tuple(sorted(seen.via, key=RANK.index))
    if seen.interface:
        values["interface"] = seen.interface
    if len(seen.macs) > 1:
        values["other_macs"] = tuple(sorted(seen.macs[1:]))
    uuids = evidence.uuids(told["uuids"])
    if uuids:
        values[evidence.UUID] = uuids
    names = sorted(told["names"] | told["hosts"])[:MOST_WORDS]
    hostname = str(values.get(evidence.HOSTNAME, ""))
    if names or hostname:
        values["name"] = (
            min(told["names"], key=lambda name: (-len(name), name)) if told["names"] else hostname or names[0]
        )
    if names:
        values["names"] = tuple(names)
    for name in ("model", "vendor", "device", "workgroup", "system", evidence.SERIAL, "firmware"):
        if told[name]:
            values[name] = min(told[name])
    if told["services"]:
        values["services"] = tuple(sorted(told["services"]))[:MOST_WORDS]
    return values
