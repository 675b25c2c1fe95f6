"""A host made of Python behind a tap device, which answers SYNs in whatever way a test wants."""

import contextlib
import fcntl
import os
import select
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from probes.kit.raw.packets.frames import checksum, ethernet, ipv4, ipv6, pseudo_header
from tests.support.netns import Namespace

_DEVICE = Path("/dev/net/tun")
_SET_INTERFACE = 0x400454CA  # TUNSETIFF
_TUN, _TAP, _NO_HEADER = 0x0001, 0x0002, 0x1000
_HOST = b"\x02\0\0\0\0\x02"
NETWORK = "198.19.0.0/24"
ADDRESS, ADDRESS6 = "198.19.0.2", "2001:db8:77::2"


@dataclass(frozen=True, slots=True)
class Syn:
    """One SYN that arrived."""

    source: bytes
    target: bytes
    source_port: int
    port: int
    sequence: int
    packet: bytes

    def segment(self, flags: int, acknowledged: int, *, port: int | None = None, target: bytes | None = None) -> bytes:
        """An IP packet that answers it, or pretends to."""
        head = (port or self.port, self.source_port, 1, acknowledged & 0xFFFFFFFF, 5 << 4, flags, 0, 0, 0)
        tcp = struct.pack("!HHIIBBHHH", *head)
        source = target or self.target
        total = checksum(pseudo_header(source, self.source, 6, len(tcp)) + tcp)
        wrap = ipv4 if len(source) == 4 else ipv6
        return wrap(source, self.source, 6, tcp[:16] + struct.pack("!H", total) + tcp[18:])

    def accept(self) -> bytes:
        """The SYN-ACK of an open port."""
        return self.segment(0x12, self.sequence + 1)

    def refuse(self) -> bytes:
        """The reset of a closed port."""
        return self.segment(0x14, self.sequence + 1)

    def error(self, kind: int, code: int, *, sequence: int | None = None) -> bytes:
        """An ICMP error that quotes the SYN, or one like it."""
        quoted = bytearray(self.packet)
        at = 24 if len(self.target) == 4 else 44
        quoted[at : at + 4] = struct.pack("!I", self.sequence if sequence is None else sequence)
        body = struct.pack("!BBHI", kind, code, 0, 0) + quoted
        if len(self.target) == 16:
            total = checksum(pseudo_header(self.target, self.source, 58, len(body)) + body)
            return ipv6(self.target, self.source, 58, body[:2] + struct.pack("!H", total) + body[4:])
        return ipv4(self.target, self.source, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


Answer = Callable[[Syn], list[bytes]]


class WildHost:
    """Reads frames from the device and writes what the test's function makes of each SYN."""

    def __init__(self, device: int, linked: bool, scanner: bytes) -> None:
        """Answer nothing yet. `linked`: frames have an Ethernet header (tap); without one it is a tun device."""
        self.answer: Answer = lambda _: []
        self.seen: list[Syn] = []
        self._device = device
        self._head = ethernet(scanner, _HOST, 0)[:12] if linked else b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def write(self, packet: bytes) -> None:
        """Send any IP packet to the scanner."""
        head = self._head and self._head + (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd")
        os.write(self._device, head + packet)

    def close(self) -> None:
        """Stop answering."""
        self._stop.set()
        self._thread.join()
        os.close(self._device)

    def _run(self) -> None:
        while not self._stop.is_set():
            if select.select([self._device], [], [], 0.05)[0]:
                syn = _read(os.read(self._device, 2048)[len(self._head) and 14 :])
                if syn is not None:
                    self.seen.append(syn)
                    for packet in self.answer(syn):
                        self.write(packet)


def _read(packet: bytes) -> Syn | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and packet[9] == 6:
        source, target, at = packet[12:16], packet[16:20], 20
    elif version == 6 and packet[6] == 6:
        source, target, at = packet[8:24], packet[24:40], 40
    else:
        return None
    source_port, port, sequence = struct.unpack("!HHI", packet[at : at + 8])
    return Syn(source, target, source_port, port, sequence, packet) if packet[at + 13] == 2 else None


@contextlib.contextmanager
def wild_host(space: Namespace, *, linked: bool = True) -> Iterator[WildHost]:
    """Attach a wild host to a namespace: it has ADDRESS, ADDRESS6 and, by route, the rest of NETWORK."""
    if not _DEVICE.exists():
        pytest.skip(f"needs {_DEVICE}: modprobe tun")
    device = space.call(_open, "wild", linked)
    for address in (f"{ADDRESS.rpartition('.')[0]}.1/24", "2001:db8:77::1/64"):
        space.run(["ip", "address", "add", address, "dev", "wild", *(["nodad"] if ":" in address else [])])
    space.run(["ip", "link", "set", "wild", "up"])
    scanner = b""
    if linked:
        everyone = (ADDRESS6, *(f"198.19.0.{number}" for number in range(2, 255)))
        space.batch(f"neigh add {name} lladdr {_HOST.hex(':')} dev wild nud permanent" for name in everyone)
        link = space.run(["ip", "-brief", "link", "show", "dev", "wild"]).stdout
        scanner = bytes.fromhex(link.split()[2].replace(":", ""))
    host = WildHost(device, linked, scanner)
    try:
        yield host
    finally:
        host.close()


def _open(name: str, linked: bool) -> int:
    device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), (_TAP if linked else _TUN) | _NO_HEADER))
    return device
