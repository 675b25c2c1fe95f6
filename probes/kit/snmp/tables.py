"""What the tables of gateways and switches say, read through anything that walks a column; pure but for that."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from probes.kit.evidence import normal_hostname, normal_mac
from probes.kit.scope.addresses import Address
from probes.kit.services.talk import text

Oid = tuple[int, ...]
Value = int | bytes | Oid
Column = Callable[[Oid], Iterable[tuple[Oid, Value]]]
"""Gives index and value of each row of a column."""

MIB2: Oid = (1, 3, 6, 1, 2, 1)
SYS_DESCR, SYS_OBJECT, SYS_NAME = (*MIB2, 1, 1, 0), (*MIB2, 1, 2, 0), (*MIB2, 1, 5, 0)
ENTERPRISES: Oid = (1, 3, 6, 1, 4, 1)

IF_DESCR, IF_PHYS, IF_NAME, IF_ALIAS = (
    (*MIB2, 2, 2, 1, 2), (*MIB2, 2, 2, 1, 6), (*MIB2, 31, 1, 1, 1, 1), (*MIB2, 31, 1, 1, 1, 18),
)  # fmt: skip
"""ifTable and ifXTable (RFC 2863)."""
IP_AD_ENT_IF = (*MIB2, 4, 20, 1, 2)
MEDIA_PHYS, MEDIA_TYPE = (*MIB2, 4, 22, 1, 2), (*MIB2, 4, 22, 1, 4)
PHYSICAL_PHYS, PHYSICAL_TYPE, PHYSICAL_STATE = (*MIB2, 4, 35, 1, 4), (*MIB2, 4, 35, 1, 6), (*MIB2, 4, 35, 1, 7)
"""ipNetToMediaTable and ipNetToPhysicalTable (RFC 4293)."""
BASE_PORT_IF = (*MIB2, 17, 1, 4, 1, 2)
FDB_PORT, FDB_STATUS = (*MIB2, 17, 4, 3, 1, 2), (*MIB2, 17, 4, 3, 1, 3)
Q_FDB_PORT, Q_FDB_STATUS = (*MIB2, 17, 7, 1, 2, 2, 1, 2), (*MIB2, 17, 7, 1, 2, 2, 1, 3)
Q_VLAN_FDB = (*MIB2, 17, 7, 1, 4, 2, 1, 3)
"""dot1dTpFdbTable (RFC 4188), dot1qTpFdbTable and dot1qVlanCurrentTable (RFC 4363)."""
LLDP: Oid = (1, 0, 8802, 1, 1, 2, 1)
LLDP_LOC_PORT_SUB, LLDP_LOC_PORT, LLDP_LOC_DESC = (*LLDP, 3, 7, 1, 2), (*LLDP, 3, 7, 1, 3), (*LLDP, 3, 7, 1, 4)
LLDP_REM: Oid = (*LLDP, 4, 1, 1)
LLDP_REM_MGMT = (*LLDP, 4, 2, 1, 3)
"""LLDP-MIB (IEEE 802.1AB-2005): lldpLocPortTable, lldpRemTable, lldpRemManAddrTable."""
CDP: Oid = (*ENTERPRISES, 9, 9, 23, 1, 2, 1, 1)
"""cdpCacheTable of CISCO-CDP-MIB."""

_INVALID_MEDIA = 2
_GONE = frozenset({5, 7})
"""States invalid and incomplete of ipNetToPhysicalState."""
_LEARNED, _MANAGED = 3, 5
_CHASSIS_MAC, _CHASSIS_ADDRESS = 4, 5
_PORT_MAC = 3
_CAPABILITIES = ("other", "repeater", "bridge", "access point", "router", "telephone", "docsis", "station")
"""LldpSystemCapabilitiesMap, most significant bit first."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a device; `mac` is empty where it has none."""

    name: str = ""
    alias: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A device in an ARP or ND table: whose address has which MAC, behind which interface (its index)."""

    address: Address
    mac: str
    interface: int


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A MAC that a switch learned at a port; `vlan` is None where its table does not tell."""

    mac: str
    port: str
    vlan: int | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A device that says over LLDP or CDP who it is; `port` is ours, `remote_port` is where the cable ends there."""

    protocol: str
    port: str
    mac: str = ""
    name: str = ""
    remote_port: str = ""
    remote_mac: str = ""
    system: str = ""
    platform: str = ""
    capabilities: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    vlan: int | None = None

    @property
    def hostname(self) -> str:
        """Its name as evidence; empty where it cannot be one."""
        return normal_hostname(self.name)


@dataclass(slots=True)
class Device:
    """All that was read from one gateway or switch."""

    address: Address
    description: str = ""
    name: str = ""
    object_id: Oid = ()
    interfaces: Mapping[int, Interface] = field(default_factory=dict)
    mac: str = ""
    neighbours: list[Neighbour] = field(default_factory=list)
    forwarded: list[Forwarded] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    def interface(self, index: int) -> str:
        """Name an interface by its index."""
        found = self.interfaces.get(index)
        return found.name if found and found.name else f"if{index}"


def interfaces(column: Column) -> dict[int, Interface]:
    """Read names, aliases and hardware addresses of all interfaces."""
    descriptions, names, aliases = (_texts(column(root)) for root in (IF_DESCR, IF_NAME, IF_ALIAS))
    cards = {index[0]: normal_mac(value) for index, value in _octets(column(IF_PHYS)) if len(index) == 1}
    indexes = sorted({*descriptions, *names, *aliases, *cards})
    return {
        index: Interface(names.get(index) or descriptions.get(index, ""), aliases.get(index, ""), cards.get(index, ""))
        for index in indexes
    }


def own_mac(column: Column, address: Address, found: Mapping[int, Interface]) -> str:
    """Give the hardware address of the interface that holds an IPv4 address of the device."""
    if address.version == 6:
        return ""
    for index, value in column(IP_AD_ENT_IF):
        if _ipv4(index) == address and isinstance(value, int):
            return found[value].mac if value in found else ""
    return ""


def arp(column: Column) -> Iterator[Neighbour]:
    """Read ipNetToMediaTable: ifIndex and IPv4 address are the index."""
    invalid = {index for index, value in column(MEDIA_TYPE) if value == _INVALID_MEDIA}
    for index, value in _octets(column(MEDIA_PHYS)):
        address = _ipv4(index[1:])
        if address is not None and index not in invalid and (mac := normal_mac(value)):
            yield Neighbour(address, mac, index[0])


def physical(column: Column) -> Iterator[Neighbour]:
    """Read ipNetToPhysicalTable of both families: ifIndex, address type, its length and its bytes are the index."""
    gone = {index for index, value in column(PHYSICAL_STATE) if value in _GONE}
    gone |= {index for index, value in column(PHYSICAL_TYPE) if value == _INVALID_MEDIA}
    for index, value in _octets(column(PHYSICAL_PHYS)):
        address = _inet(index[1:])
        if address is not None and index not in gone and (mac := normal_mac(value)):
            yield Neighbour(address, mac, index[0])


def forwarding(column: Column, device: Device) -> Iterator[Forwarded]:
    """Read the forwarding database, with VLANs where the switch tells them, else without."""
    ports = {index[0]: value for index, value in column(BASE_PORT_IF) if len(index) == 1 and isinstance(value, int)}

    def place(port: int) -> tuple[str, str]:
        index = ports.get(port)
        if index is None:
            return f"port{port}", ""
        known = device.interfaces.get(index)
        return device.interface(index), known.alias if known else ""

    own = {card.mac for card in device.interfaces.values()}
    found = list(_learned(column(Q_FDB_PORT), column(Q_FDB_STATUS), 7))
    if not found:
        for index, port in _learned(column(FDB_PORT), column(FDB_STATUS), 6):
            mac = _mac_of(index)
            if mac and mac not in own:
                name, alias = place(port)
                yield Forwarded(mac, name, None, alias)
        return
    # A filtering database may serve several VLANs; where the map is missing or ambiguous, the VLAN is not known.
    vlans: dict[int, set[int]] = {}
    for index, value in column(Q_VLAN_FDB):
        if len(index) == 2 and isinstance(value, int):
            vlans.setdefault(value, set()).add(index[1])
    for index, port in found:
        mac = _mac_of(index[1:])
        if mac and mac not in own:
            name, alias = place(port)
            of_database = vlans.get(index[0], set())
            yield Forwarded(mac, name, next(iter(of_database)) if len(of_database) == 1 else None, alias)


def lldp(column: Column, device: Device) -> Iterator[Peer]:
    """Read the neighbours that LLDP knows; the index is a time mark, our port's number and a running number."""
    subtypes, names, descriptions = (
        {index[0]: value for index, value in column(root) if len(index) == 1}
        for root in (LLDP_LOC_PORT_SUB, LLDP_LOC_PORT, LLDP_LOC_DESC)
    )

    def ours(number: int) -> str:
        named = names.get(number)
        if isinstance(named, bytes) and subtypes.get(number) != _PORT_MAC and text(named):
            return text(named)
        described = descriptions.get(number)
        # Where the identifier is a MAC, as on servers, the description has the interface's name.
        return (text(described) if isinstance(described, bytes) else "") or device.interface(number)

    cells: dict[int, dict[Oid, Value]] = {
        number: {index: value for index, value in column((*LLDP_REM, number)) if len(index) == 3}
        for number in (4, 5, 6, 7, 8, 9, 10, 12)
    }
    managed: dict[Oid, list[Address]] = {}
    for index, _ in column(LLDP_REM_MGMT):
        found = _managed(index[3:])
        if found is not None and len(managed.setdefault(index[:3], [])) < 8:
            managed[index[:3]].append(found)
    for index in sorted(cells[5]):
        kind, chassis = cells[4].get(index), _bytes(cells[5][index])
        addresses = managed.get(index, [])
        if kind == _CHASSIS_ADDRESS and (shown := _family_address(chassis)) is not None and shown not in addresses:
            addresses = [*addresses, shown]
        port_kind, port = cells[6].get(index), _bytes(cells[7].get(index))
        port_mac = normal_mac(port) if port_kind == _PORT_MAC else ""
        yield Peer(
            "lldp",
            ours(index[1]),
            mac=normal_mac(chassis) if kind == _CHASSIS_MAC else "",
            name=text(_bytes(cells[9].get(index))),
            remote_port=text(_bytes(cells[8].get(index))) if port_mac else text(port),
            remote_mac=port_mac,
            system=text(_bytes(cells[10].get(index))),
            capabilities=_capabilities(_bytes(cells[12].get(index))),
            addresses=tuple(addresses),
        )


def cdp(column: Column, device: Device) -> Iterator[Peer]:
    """Read the neighbours that CDP knows; the index is our ifIndex and a running number."""
    cells: dict[int, dict[Oid, Value]] = {
        number: {index: value for index, value in column((*CDP, number)) if len(index) == 2}
        for number in (3, 4, 5, 6, 7, 8, 11)
    }
    for index in sorted(cells[6]):
        raw, vlan = _bytes(cells[4].get(index)), cells[11].get(index)
        address = IPv4Address(raw) if cells[3].get(index) == 1 and len(raw) == 4 else None
        yield Peer(
            "cdp",
            device.interface(index[0]),
            name=text(_bytes(cells[6][index])),
            remote_port=text(_bytes(cells[7].get(index))),
            system=text(_bytes(cells[5].get(index))),
            platform=text(_bytes(cells[8].get(index))),
            addresses=() if address is None else (address,),
            vlan=vlan if isinstance(vlan, int) and 0 < vlan < 4095 else None,
        )


def _learned(
    ports: Iterable[tuple[Oid, Value]], status: Iterable[tuple[Oid, Value]], size: int
) -> Iterator[tuple[Oid, int]]:
    """Give index and port of what was learned or set by hand; not the switch's own addresses nor what is gone."""
    known = dict(status)
    for index, port in ports:
        if len(index) != size or not isinstance(port, int) or port <= 0:
            continue
        if known.get(index, _LEARNED) in (_LEARNED, _MANAGED):
            yield index, port


def _texts(rows: Iterable[tuple[Oid, Value]]) -> dict[int, str]:
    return {index[0]: text(value) for index, value in _octets(rows) if len(index) == 1}


def _octets(rows: Iterable[tuple[Oid, Value]]) -> Iterator[tuple[Oid, bytes]]:
    return ((index, value) for index, value in rows if isinstance(value, bytes) and index)


def _bytes(value: Value | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _mac_of(index: Oid) -> str:
    return normal_mac(bytes(index)) if len(index) == 6 and max(index) < 256 else ""


def _ipv4(index: Oid) -> IPv4Address | None:
    return IPv4Address(bytes(index)) if len(index) == 4 and max(index) < 256 else None


def _inet(index: Oid) -> Address | None:
    """Read an InetAddressType, a length and so many bytes (RFC 4001); zones (types 3 and 4) end in four more bytes."""
    if len(index) < 2 or len(index) != 2 + index[1] or (index[2:] and max(index[2:]) > 255):
        return None
    raw = bytes(index[2:])
    if index[0] in (1, 3) and len(raw) in (4, 8):
        return IPv4Address(raw[:4])
    if index[0] in (2, 4) and len(raw) in (16, 20):
        return IPv6Address(raw[:16])
    return None


def _managed(index: Oid) -> Address | None:
    """Read an AddressFamilyNumbers, a length and so many bytes."""
    if len(index) < 2 or len(index) != 2 + index[1] or (index[2:] and max(index[2:]) > 255):
        return None
    return _family_address(bytes((index[0], *index[2:]))) if index[0] < 256 else None


def _family_address(raw: bytes) -> Address | None:
    if raw[:1] == b"\x01" and len(raw) == 5:
        return IPv4Address(raw[1:])
    if raw[:1] == b"\x02" and len(raw) == 17:
        return IPv6Address(raw[1:])
    return None


def _capabilities(raw: bytes) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(_CAPABILITIES) if raw[:1] and raw[0] & (0x80 >> bit))
