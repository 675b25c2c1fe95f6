"""From what several devices said to one picture of the hosts behind them. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from probes.kit.evidence import HOSTNAME, LOCAL_MAC, MAC, is_local_mac
from probes.kit.scope.addresses import Address
from probes.kit.snmp.tables import Device, Forwarded, Neighbour, Peer
from wire.types import Observation, Outcome, Target, TargetKind, Value

PROBE = "snmp_tables"
ARP, ND, FDB = "snmp_arp", "snmp_nd", "snmp_fdb"
MOST_ADDRESSES = 16
"""Addresses that one MAC is taken to have; what has more answers for others, or lies."""
MOST_PEERS = 64
"""Cables of one device that its own line lists."""


def observations(devices: Sequence[Device], now: float) -> Iterator[Observation]:
    """Give what all devices together say of the hosts that they know.

    A MAC stands at several switches: at the port where its device is plugged in, and at every uplink on the way. The
    port that knows the fewest MACs is taken to be the first kind.
    """
    holders: dict[str, set[str]] = defaultdict(set)
    for device in devices:
        seen: set[tuple[str, str]] = set()
        for item in device.neighbours:
            if not is_host(item.address) or (key := (str(item.address), item.mac)) in seen:
                continue
            seen.add(key)
            if len(holders[item.mac]) < MOST_ADDRESSES:
                holders[item.mac].add(str(item.address))
            yield _neighbour(device, item, now)
        if device.mac:
            holders[device.mac].add(str(device.address))
    for switch, entry in _nearest(devices):
        # Whose address nobody told is known by its MAC alone: it is there, all the same.
        for name in sorted(holders.get(entry.mac, ())) or [entry.mac]:
            yield _forwarded(switch, entry, name, now)
    for device in devices:
        for peer in device.peers:
            yield from _peer(device, peer, holders, now)


def is_host(address: Address) -> bool:
    """Tell whether an address can be a single host's that others know by the same name.

    A link-local one means another host on each link, and which link the device's interface is on nobody can tell.
    """
    return not (address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local)


def cables(device: Device) -> tuple[str, ...]:
    """Write which device is at which port, one line each."""
    lines = []
    for peer in device.peers[:MOST_PEERS]:
        other = peer.name or (str(peer.addresses[0]) if peer.addresses else peer.mac)
        lines.append(f"{peer.port} -> {other} {peer.remote_port}".strip()[:512])
    return tuple(sorted(set(lines)))


def card(mac: str) -> dict[str, Value]:
    """Write a MAC as evidence."""
    return {MAC: mac, LOCAL_MAC: is_local_mac(mac)} if mac else {}


def _neighbour(device: Device, item: Neighbour, now: float) -> Observation:
    values = {**card(item.mac), "gateway": str(device.address), "interface": device.interface(item.interface)}
    method = ARP if item.address.version == 4 else ND
    return Observation(PROBE, method, Target(TargetKind.HOST, str(item.address)), Outcome.SEEN, now, values)


def _nearest(devices: Iterable[Device]) -> Iterator[tuple[Device, Forwarded]]:
    places: dict[tuple[str, int | None], list[tuple[int, str, str, Device, Forwarded]]] = defaultdict(list)
    for device in devices:
        crowd = Counter(item.port for item in device.forwarded)
        for item in device.forwarded:
            rank = (crowd[item.port], str(device.address), item.port, device, item)
            places[item.mac, item.vlan].append(rank)
    for key in sorted(places, key=lambda key: (key[0], key[1] or 0)):
        *_, device, item = min(places[key], key=lambda rank: rank[:3])
        yield device, item


def _forwarded(device: Device, item: Forwarded, name: str, now: float) -> Observation:
    values: dict[str, Value] = {**card(item.mac), "switch": str(device.address), "port": item.port}
    if item.vlan is not None:
        values["vlan"] = item.vlan
    if item.alias:
        values["port_alias"] = item.alias
    return Observation(PROBE, FDB, Target(TargetKind.HOST, name), Outcome.SEEN, now, values)


def _peer(device: Device, peer: Peer, holders: dict[str, set[str]], now: float) -> Iterator[Observation]:
    mac = peer.mac or peer.remote_mac
    addresses = [str(address) for address in peer.addresses if is_host(address)]
    names = addresses or sorted(holders.get(mac, ())) or ([mac] if mac else [])
    said: dict[str, Value] = {
        HOSTNAME: peer.hostname,
        "name": peer.name,
        "remote_port": peer.remote_port,
        "description": peer.system,
        "model": peer.platform,
        "capabilities": peer.capabilities,
        "native_vlan": peer.vlan,
    }
    values: dict[str, Value] = {**card(mac), "switch": str(device.address), "port": peer.port}
    values |= {key: value for key, value in said.items() if value}
    for name in names:
        yield Observation(PROBE, peer.protocol, Target(TargetKind.HOST, name), Outcome.SEEN, now, values)
