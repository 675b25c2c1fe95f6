"""Numbers of the kernel's own accounting, read from /proc (proc(5)); all readers raise OSError when it is not there."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path

from probes.kit.scope.addresses import Address, unmapped
from wire.types import Transport

_MAX_FILE = 8 << 20
_PIECE = 32_768


@dataclass(frozen=True, slots=True)
class Cpu:
    """What one core did since boot, in clock ticks: all of it, the idle part, and the part spent on packets."""

    total: int
    idle: int
    softirq: int


def cores(proc: Path = Path("/proc")) -> tuple[Cpu, ...]:
    """Read all cores; guest time is part of user time and not counted twice."""
    found = []
    for line in _lines(proc / "stat"):
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(number) for number in numbers[:8]] + [0] * (8 - len(numbers))
            found.append(Cpu(sum(ticks), ticks[3] + ticks[4], ticks[6]))
    return tuple(found)


def idle_share(before: tuple[Cpu, ...], after: tuple[Cpu, ...]) -> float | None:
    """Give which part (0-1) of all cores was idle between two readings; None when no time passed."""
    total = sum(new.total - old.total for old, new in zip(before, after, strict=False))
    idle = sum(new.idle - old.idle for old, new in zip(before, after, strict=False))
    return min(1.0, max(0.0, idle / total)) if total > 0 else None


def softirq_share(before: tuple[Cpu, ...], after: tuple[Cpu, ...]) -> float:
    """Give the largest part (0-1) that a single core spent on packets between two readings."""
    shares = [
        (new.softirq - old.softirq) / (new.total - old.total)
        for old, new in zip(before, after, strict=False)
        if new.total > old.total
    ]
    return max(shares, default=0.0)


def memory(proc: Path = Path("/proc")) -> tuple[int, int]:
    """Give total and available memory in bytes; available is what can be had without swapping (MemAvailable)."""
    found = {}
    for line in _lines(proc / "meminfo"):
        name, _, rest = line.partition(":")
        amount, _, unit = rest.strip().partition(" ")
        if amount.isdigit():
            found[name] = int(amount) * (1024 if unit == "kB" else 1)
    available = found.get("MemAvailable", found.get("MemFree", 0) + found.get("Buffers", 0) + found.get("Cached", 0))
    return found.get("MemTotal", 0), available


def uptime(proc: Path = Path("/proc")) -> float:
    """Give the seconds since boot."""
    return float(next(_lines(proc / "uptime")).split()[0])


def traffic(proc: Path = Path("/proc/thread-self")) -> tuple[int, int]:
    """Give the bytes received and sent since boot on all interfaces but loopback."""
    received = sent = 0
    for line in _lines(proc / "net/dev"):
        name, colon, rest = line.partition(":")
        numbers = rest.split()
        if colon and name.strip() != "lo" and len(numbers) >= 9:
            received += int(numbers[0])
            sent += int(numbers[8])
    return received, sent


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of this machine that waits for others: TCP in LISTEN, UDP bound but not connected."""

    transport: Transport
    address: Address
    port: int


def listeners(proc: Path = Path("/proc/thread-self")) -> tuple[Listener, ...]:
    """List the sockets that wait for others, each once, in order; needs no privileges."""
    found = set()
    for transport, state in ((Transport.TCP, "0A"), (Transport.UDP, "07")):
        for suffix in ("", "6"):
            try:
                rows = list(_lines(proc / "net" / f"{transport}{suffix}"))[1:]
            except FileNotFoundError:  # a kernel without IPv6
                continue
            for row in rows:
                columns = row.split()
                if len(columns) > 3 and columns[3] == state:
                    address, _, port = columns[1].rpartition(":")
                    found.add(Listener(transport, _address(address), int(port, 16)))
    return tuple(sorted(found, key=lambda item: (item.transport, item.address.version, int(item.address), item.port)))


def local_ports(proc: Path = Path("/proc")) -> range:
    """Give the ports that this machine takes for its own outgoing traffic."""
    low, high = next(_lines(proc / "sys/net/ipv4/ip_local_port_range")).split()
    return range(int(low), int(high) + 1)


def _address(text: str) -> Address:
    """Read an address as /proc writes it: 32-bit words in the byte order of this machine, in hexadecimal."""
    words = [int(text[place : place + 8], 16).to_bytes(4, sys.byteorder) for place in range(0, len(text), 8)]
    raw = b"".join(words)
    return unmapped(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw))


def _lines(path: Path) -> Iterator[str]:
    # In small pieces: for /proc the kernel sets memory aside for as much as is asked for.
    with path.open("rb", buffering=0) as file:
        text = b"".join(islice(iter(lambda: file.read(_PIECE), b""), _MAX_FILE // _PIECE))
    yield from text.decode("ascii", "replace").splitlines()
