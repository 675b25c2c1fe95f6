"""Multicast DNS (RFC 6762) and service discovery over it (RFC 6763): questions, and answers read with care.

We ask from a port of our own, so answers come to us alone (section 6.7) and carry the id of the question.
"""

import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from probes.kit.discovery.told import Told, word, words
from probes.kit.evidence import normal_mac
from probes.kit.scope.addresses import Address

METHOD = "mdns"
PORT = 5353
GROUPS = {4: "224.0.0.251", 6: "ff02::fb"}
MAX_DATAGRAM = 9000
"""Section 17: no message is longer."""

A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33
_MOST_RECORDS = 256
_MOST_LABELS = 64
_MOST_NAME = 255
_MOST_JUMPS = 16
_MOST_PAIRS = 64
_QUESTIONS_AT_ONCE = 24
_ANSWER = 0x8000
_IN, _UNICAST_PLEASE = 1, 0x8001
Labels = tuple[str, ...]

SERVICES: Labels = ("_services", "_dns-sd", "_udp", "local")
"""Everything that is offered (RFC 6763 section 9)."""
FIRST: tuple[tuple[Labels, int], ...] = (
    (SERVICES, PTR),
    (("_workstation", "_tcp", "local"), PTR),
    (("_device-info", "_tcp", "local"), PTR),
    (("_ipp", "_tcp", "local"), PTR),
    (("_smb", "_tcp", "local"), PTR),
)

_DEVICES = {
    "printer": ("_ipp", "_ipps", "_printer", "_pdl-datastream"),
    "scanner": ("_scanner", "_uscan", "_uscans"),
    "camera": ("_axis-video", "_onvif", "_rtsp", "_camera"),
    "media player": ("_airplay", "_raop", "_googlecast", "_spotify-connect", "_dlna"),
    "home device": ("_hap", "_homekit", "_matter", "_miio"),
    "storage": ("_adisk", "_afpovertcp", "_readynas", "_qnap"),
    "computer": ("_workstation", "_rdp", "_rfb"),
}
_MODELS = ("ty", "model", "md", "am", "usb_MDL", "product")
_VENDORS = ("usb_MFG", "manufacturer", "vendor")


class Record(NamedTuple):
    """One resource record: it has a `target` (PTR, SRV), an `address` (A, AAAA) or `pairs` (TXT)."""

    name: Labels
    kind: int
    target: Labels = ()
    address: Address | None = None
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """An answer with its id."""

    id: int
    records: tuple[Record, ...]


class Malformed(Exception):
    """Not a DNS message."""


def question(mark: int, asked: Sequence[tuple[Labels, int]]) -> bytes:
    """Write a query for some names; the answers may come straight to us (section 5.4)."""
    parts = [struct.pack("!6H", mark, 0, len(asked), 0, 0, 0)]
    for name, kind in asked:
        parts += [bytes([len(raw)]) + raw for raw in (label.encode()[:63] for label in name)]
        parts.append(b"\0" + struct.pack("!HH", kind, _UNICAST_PLEASE))
    return b"".join(parts)


def questions(mark: int, asked: Iterable[tuple[Labels, int]]) -> list[bytes]:
    """Write queries for many names, a few in each."""
    held = list(asked)
    return [
        question(mark, held[start : start + _QUESTIONS_AT_ONCE]) for start in range(0, len(held), _QUESTIONS_AT_ONCE)
    ]


def reverse(address: Address) -> tuple[Labels, int]:
    """Ask what an address is called."""
    return tuple(_plain(address).reverse_pointer.split(".")), PTR


def read(packet: bytes) -> Message | None:
    """Read a response; None for anything else, also for one that is malformed anywhere."""
    try:
        return _read(packet)
    except (Malformed, struct.error, IndexError):
        return None


def kinds_of(message: Message) -> set[Labels]:
    """Give the kinds of service that a message names, such as ("_http", "_tcp", "local")."""
    named = (name for record in message.records for name in (record.name, record.target))
    return {(*kind, "local") for name in named if (kind := _kind(name))}


def told_by(message: Message, sender: Address, same: Collection[Address] = ()) -> Told:
    """Say what a message tells of the one who sent it; names of other machines in it are left alone.

    `same` are further addresses that are known to be the sender's.
    """
    own = _plain(sender)
    ours = {own, *map(_plain, same)}
    addressed = {record.name for record in message.records if record.address is not None}
    mine = {record.name for record in message.records if record.address in ours}
    reversed_name = tuple(own.reverse_pointer.split("."))
    hosts, names, kinds, mac = {".".join(name) for name in mine}, set(), set(), ""
    pairs: dict[str, str] = {}
    for record in message.records:
        kinds |= {kind[0] for name in (record.name, record.target) if (kind := _kind(name))}
        if record.kind == PTR and record.name == reversed_name:
            hosts.add(".".join(record.target))
        elif record.kind == PTR and _kind(record.name) and len(record.target) > len(record.name):
            name, bracket, rest = record.target[0].partition(" [")
            if record.name[0] == "_workstation" and bracket:
                mac = mac or _mac(rest.rstrip("]"))
                hosts.add(name)
            else:
                names.add(record.target[0])
        elif record.kind == SRV and (record.target in mine or not addressed):
            hosts.add(".".join(record.target))
        for key, value in record.pairs:
            pairs.setdefault(key, value)
    # Who gives no address at all speaks of itself; who gives some, and ours is not among them, may be a reflector.
    if addressed and not mine:
        return Told(METHOD)
    return Told(
        METHOD,
        hosts=words(map(word, hosts)),
        names=words(map(word, names)),
        model=word(_first(pairs, _MODELS)),
        vendor=word(_first(pairs, _VENDORS)),
        device=next((device for device, some in _DEVICES.items() if kinds & set(some)), ""),
        mac=mac,
        services=words(word(kind.removeprefix("_")) for kind in kinds),
    )


def _read(packet: bytes) -> Message:
    if not 12 <= len(packet) <= MAX_DATAGRAM:
        raise Malformed
    mark, flags, *counts = struct.unpack_from("!6H", packet)
    if not flags & _ANSWER:
        raise Malformed
    at = 12
    if sum(counts) > _MOST_RECORDS:
        raise Malformed
    for _ in range(counts[0]):
        _, at = _name(packet, at)
        at += 4
    records = []
    for _ in range(sum(counts[1:])):
        name, at = _name(packet, at)
        kind, group, _, length = struct.unpack_from("!HHIH", packet, at)
        at += 10
        if at + length > len(packet):
            raise Malformed
        if group & 0x7FFF == _IN:
            record = _record(packet, name, kind, at, length)
            if record is not None:
                records.append(record)
        at += length
    return Message(mark, tuple(records))


def _record(packet: bytes, name: Labels, kind: int, at: int, length: int) -> Record | None:
    raw = packet[at : at + length]
    if kind == A and length == 4:
        return Record(name, kind, address=IPv4Address(raw))
    if kind == AAAA and length == 16:
        return Record(name, kind, address=IPv6Address(raw))
    if kind == PTR:
        return Record(name, kind, target=_name(packet, at)[0])
    if kind == SRV and length > 6:
        return Record(name, kind, target=_name(packet, at + 6)[0])
    return Record(name, kind, pairs=_pairs(raw)) if kind == TXT else None


def _pairs(raw: bytes) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(raw) and len(found) < _MOST_PAIRS:
        key, equals, value = raw[at + 1 : at + 1 + raw[at]].partition(b"=")
        if equals and key:
            found.append((key.decode("ascii", "replace"), value.decode("utf-8", "replace")))
        at += 1 + raw[at]
    return tuple(found)


def _name(packet: bytes, at: int) -> tuple[Labels, int]:
    """Read a name; a pointer must lead back before where the name began, so no two of them can form a circle."""
    labels: list[str] = []
    end, bound, size, jumps = 0, at, 0, 0
    while True:
        length = packet[at]
        if length & 0xC0 == 0xC0:
            target = (length & 0x3F) << 8 | packet[at + 1]
            end = end or at + 2
            jumps += 1
            if target >= bound or jumps > _MOST_JUMPS:
                raise Malformed
            at = bound = target
            continue
        if length & 0xC0:
            raise Malformed
        if length == 0:
            return tuple(labels), end or at + 1
        if at + 1 + length > len(packet):
            raise Malformed
        labels.append(packet[at + 1 : at + 1 + length].decode("utf-8", "replace"))
        size += length + 1
        if len(labels) > _MOST_LABELS or size > _MOST_NAME:
            raise Malformed
        at += 1 + length


def _kind(name: Labels) -> Labels | None:
    """Give ("_http", "_tcp") of a name that ends in it and `local`."""
    if len(name) < 3 or name[-1].lower() != "local" or name[-2].lower() not in ("_tcp", "_udp"):
        return None
    kind = name[-3].lower()
    plain = kind[1:].replace("-", "").replace("_", "")
    if not kind.startswith("_") or len(kind) > 16 or not plain.isascii() or not plain.isalnum():
        return None
    return (kind, name[-2].lower()) if kind != "_dns-sd" else None


def _plain(address: Address) -> Address:
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address


def _first(pairs: dict[str, str], keys: Iterable[str]) -> str:
    return next((pairs[key] for key in keys if pairs.get(key)), "").strip("()")


def _mac(text: str) -> str:
    try:
        return normal_mac(bytes.fromhex(text.replace(":", "")))
    except ValueError:
        return ""
