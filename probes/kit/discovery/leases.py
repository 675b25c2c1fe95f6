"""Lease files of DHCP servers on this machine: dnsmasq, ISC dhcpd, Kea (memfile). Nothing is sent.

A lease says what a client called itself and until when an address is its own, not that it is there. Clients write host
names and identifiers as they like, so a file is bounded, and what cannot be read in it is left out.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from probes.kit.evidence import dhcp_id, duid, normal_hostname, normal_mac
from probes.kit.scope.addresses import Address, unmapped

DEFAULT_FILES = (
    "/var/lib/misc/dnsmasq.leases",
    "/tmp/dhcp.leases",  # noqa: S108 (where OpenWrt's dnsmasq keeps them)
    "/var/lib/dhcp/dhcpd.leases",
    "/var/lib/dhcp/dhcpd6.leases",
    "/var/lib/kea/kea-leases4.csv",
    "/var/lib/kea/kea-leases6.csv",
)
MAX_FILE_BYTES = 8 << 20
"""Of a longer file the end is read: servers add what is new there."""
MOST_LEASES = 1 << 16
_MAX_LINE = 4096
_FIRST_PERSON = 1000
"""User ids below are those of servers (login.defs(5), UID_MIN); in /tmp other people's files say nothing of leases."""
NEVER = 253402300799.0
"""Expiry of a lease without an end."""
_HEAD_BYTES = 4096
_ACTIVE = "0"
_KEA_OLDER = (".2", ".1")
"""What Kea moves old leases to while it tidies up (kea-lfc(8)), oldest first."""

_ISC_LEASE = re.compile(r"lease\s+(\S{2,64})\s*\{")
_ISC_IAADDR = re.compile(r"iaaddr\s+(\S{2,64})\s*\{")
_ISC_IA = re.compile(r'ia-(?:na|ta)\s+("(?:[^"\\]|\\.){0,1000}"|[0-9a-fA-F:]{1,400})\s*\{')
_ISC_ENDS = re.compile(r"ends\s+(?:(never)|epoch\s+(\d{1,12})|\d\s+(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d))")
_ISC_STATE = re.compile(r"binding\s+state\s+(\w+)")
_ISC_HARDWARE = re.compile(r"hardware\s+ethernet\s+([0-9a-fA-F:]{11,17})")
_ISC_UID = re.compile(r'uid\s+("(?:[^"\\]|\\.){0,1000}"|[0-9a-fA-F:]{2,400})')
_ISC_NAME = re.compile(r'client-hostname\s+"((?:[^"\\]|\\.){0,255})"')
_ISC_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_DNSMASQ_MAC = re.compile(r"(?:[0-9a-f]{1,2}-)?((?:[0-9a-f]{2}:){5}[0-9a-f]{2})", re.IGNORECASE)
_IAID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Lease:
    """One lease that holds; texts are spelt as `probes.kit.evidence` does, and empty where nothing is known."""

    address: Address
    expires: float
    mac: str = ""
    hostname: str = ""
    dhcp_id: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What came of one file: its leases, or why it could not be read."""

    path: str
    leases: tuple[Lease, ...] = ()
    failure: str = ""


def read_files(paths: Iterable[str], now: float) -> list[Read]:
    """Read lease files; one that does not exist gives nothing, unless it was asked for by name (not a default)."""
    found = []
    for path in paths:
        try:
            found.append(Read(path, tuple(_read(Path(path), now))))
        except FileNotFoundError:
            if path not in DEFAULT_FILES:
                found.append(Read(path, failure="no such file"))
        except OSError as error:
            found.append(Read(path, failure=error.strerror or str(error)))
    return found


def parse(text: str, now: float) -> list[Lease]:
    """Read the text of a lease file of any of the three servers; of several leases for an address the last one counts.

    Those that ended before `now` (seconds since 1970) are left out.
    """
    start = text[:_HEAD_BYTES]
    if start.startswith("address,"):
        leases = _kea(text)
    elif _ISC_LEASE.search(start) or _ISC_IA.search(start) or "authoring-byte-order" in start:
        leases = _isc(text)
    else:
        leases = _dnsmasq(text)
    latest: dict[Address, Lease | None] = {}
    for address, lease in leases:
        latest.pop(address, None)
        latest[address] = lease
    held = [lease for lease in latest.values() if lease is not None and lease.expires > now]
    return held[-MOST_LEASES:]


def _read(path: Path, now: float) -> list[Lease]:
    text = _text(path)
    if not text.startswith("address,"):
        return parse(text, now)
    parts = []
    for suffix in _KEA_OLDER:
        try:
            parts.append(_text(path.with_name(path.name + suffix)))
        except OSError:
            continue
    return parse("".join([*parts, text]), now)


def _text(path: Path) -> str:
    # Without blocking: what lies there may be a pipe that nobody writes to.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "is not a plain file")
        if path.parent.stat().st_mode & stat.S_IWOTH and _FIRST_PERSON <= about.st_uid != os.geteuid():
            raise OSError(0, "anybody may have written it")
        head = b""
        if about.st_size > MAX_FILE_BYTES:
            head = file.readline(_MAX_LINE)
            file.seek(about.st_size - MAX_FILE_BYTES)
            file.readline(_MAX_LINE)
        return (head + file.read(MAX_FILE_BYTES)).decode("utf-8", "replace")


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if len(line) <= _MAX_LINE)


def _dnsmasq(text: str) -> Iterator[tuple[Address, Lease]]:
    """Lines of `expiry hardware address name client-id`; for IPv6, below the server's own DUID, `expiry iaid ...`."""
    for line in _lines(text):
        fields = line.split()
        address = _address(fields[2]) if len(fields) == 5 else None
        seconds = _seconds(fields[0]) if address is not None else None
        if address is None or seconds is None:
            continue
        expires = seconds or NEVER
        hostname = normal_hostname(fields[3]) if fields[3] != "*" else ""
        client = _hex(fields[4])
        if isinstance(address, IPv6Address):
            yield address, Lease(address, expires, "", hostname, duid(client))
            continue
        hardware = _DNSMASQ_MAC.fullmatch(fields[1])
        mac = normal_mac(_hex(hardware[1])) if hardware else ""
        yield address, Lease(address, expires, mac, hostname, dhcp_id(client, mac))


def _kea(text: str) -> Iterator[tuple[Address, Lease | None]]:
    """Comma-separated values with a header; a later line for an address replaces an earlier one."""
    columns: dict[str, int] = {}
    for line in _lines(text):
        fields = line.split(",")
        if fields[0] == "address":
            columns = {name: place for place, name in enumerate(fields)}
            continue
        row = {name: fields[place] for name, place in columns.items() if place < len(fields)}
        address, expires = _address(row.get("address", "")), _seconds(row.get("expire", ""))
        if address is None or expires is None:
            continue
        if (
            row.get("state", _ACTIVE) != _ACTIVE
            or row.get("valid_lifetime") == "0"
            or row.get("lease_type", "0") == "2"
        ):
            yield address, None
            continue
        mac = normal_mac(_hex(row.get("hwaddr", "")))
        client = duid(_hex(row["duid"])) if "duid" in row else dhcp_id(_hex(row.get("client_id", "")), mac)
        hostname = normal_hostname(row.get("hostname", "").replace("&#x2c", ","))
        yield address, Lease(address, expires, mac, hostname, client)


def _isc(text: str) -> Iterator[tuple[Address, Lease | None]]:
    """Statements in braces (dhcpd.leases(5)); each lease is written again at the end whenever it changes."""
    address: Address | None = None
    client = b""
    said: list[str] = []
    for raw in _lines(text):
        line = raw.strip()
        if opened := _ISC_IA.match(line):
            client = _quoted(opened[1])[_IAID_BYTES:]
        elif opened := _ISC_LEASE.match(line) or _ISC_IAADDR.match(line):
            address, said = _address(opened[1]), []
            if line.startswith("lease"):
                client = b""
        elif line.startswith("}"):
            if address is not None:
                yield address, _isc_lease(address, client, "\n".join(said))
            address = None
        elif address is not None and len(said) < 64:
            said.append(line)


def _isc_lease(address: Address, client: bytes, said: str) -> Lease | None:
    state, ends = _ISC_STATE.search(said), _ISC_ENDS.search(said)
    if state is not None and state[1] != "active":
        return None
    hardware, uid, name = _ISC_HARDWARE.search(said), _ISC_UID.search(said), _ISC_NAME.search(said)
    mac = normal_mac(_hex(hardware[1])) if hardware else ""
    if isinstance(address, IPv6Address):
        identity = duid(client)
    else:
        identity = dhcp_id(_quoted(uid[1]), mac) if uid else ""
    return Lease(address, _isc_time(ends), mac, normal_hostname(name[1]) if name else "", identity)


def _isc_time(ends: "re.Match[str] | None") -> float:
    if ends is None or ends[1]:
        return NEVER
    if ends[2]:
        return float(ends[2])
    try:
        return datetime.strptime(ends[3], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _seconds(text: str) -> float | None:
    return float(text) if len(text) <= 12 and text.isascii() and text.isdigit() else None


def _quoted(text: str) -> bytes:
    """Read an identifier as dhcpd writes it: a string with octal escapes, or hexadecimal digits with colons."""
    if not text.startswith('"'):
        return _hex(text)
    raw = text[1:-1].encode("utf-8", "replace")
    return _ISC_ESCAPE.sub(_unescaped, raw)


def _unescaped(found: "re.Match[bytes]") -> bytes:
    escaped = found[1]
    return bytes([int(escaped, 8) & 0xFF]) if len(escaped) == 3 else escaped


def _hex(text: str) -> bytes:
    """Read hexadecimal digits, with colons or without; single digits stand for themselves."""
    parts = text.split(":")
    try:
        return bytes(int(part, 16) for part in parts) if len(parts) > 1 else bytes.fromhex(text)
    except ValueError:
        return b""


def _address(text: str) -> Address | None:
    try:
        return unmapped(ip_address(text.strip("[]")))
    except ValueError:
        return None
