"""Hardware addresses on an Ethernet link by ARP (RFC 826) and neighbour discovery (RFC 4861)."""

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from probes.kit.machine.neighbours import State, neighbours
from probes.kit.raw.link.controls import Controls
from probes.kit.raw.packets.bursts import burst_of
from probes.kit.raw.packets.filters import arp_replies, neighbour_advertisements, only_at
from probes.kit.raw.packets.frames import ETHERTYPES, checksum, ethernet, ipv6, pseudo_header
from probes.kit.raw.packets.ring import attach_filter

_CERTAIN = frozenset({State.REACHABLE, State.PERMANENT, State.NOARP})
_ARP = 0x0806
_ARP_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_BROADCAST = b"\xff" * 6
_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT, _ICMP6 = 135, 136, 58
_SOURCE_LINK, _TARGET_LINK = 1, 2
_SOLICITED = bytes.fromhex("ff0200000000000000000001ff")

_ATTEMPTS = (0.1, 0.25, 0.5, 1.0)
"""Seconds to wait for answers after each round of questions: a question may get lost, some hosts take their time. The
last one is that of all further rounds, where the controls prove that questions get lost.
"""
QUESTIONS = len(_ATTEMPTS)
"""How often an address is asked for where no question gets lost."""
_MOST_RATE = 5_000.0
_HEED_SECONDS = 0.1


class LinkAddresses:
    """Asks on one interface for addresses of one family; made with CAP_NET_RAW, used without."""

    def __init__(self, sender: socket.socket, family: int) -> None:
        """Open a socket for answers; `sender` is a raw packet socket that is bound to the interface. Raises OSError."""
        self._family = family
        self._sender = sender
        self._interface, _, _, _, self.hardware = sender.getsockname()
        protocol = _ARP if family == 4 else ETHERTYPES[6]
        self._answers = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        try:
            program = arp_replies() if family == 4 else neighbour_advertisements()
            attach_filter(self._answers, only_at(socket.if_nametoindex(self._interface), program))
            self._answers.setblocking(False)
            self._answers.bind((self._interface, protocol))
        except OSError:
            self._answers.close()
            raise

    def close(self) -> None:
        """Close the socket for answers."""
        self._answers.close()

    def resolve(
        self, wanted: Mapping[bytes, bytes], rate: float, deadline: float, heed: Callable[[], None]
    ) -> tuple[dict[bytes, bytes], bool]:
        """Find who holds each address, given our source address towards it.

        Gives those that are known or answered, and whether the silence of the others proves that nobody holds them.
        `rate` is questions per second at most; all hosts of the link hear each of them. `heed` is called many times a
        second, and may raise to end it: a switch that limits questions makes this take a minute.
        """
        found = {
            entry.address.packed: bytes.fromhex(entry.mac.replace(":", ""))
            for entry in neighbours()
            if entry.interface == self._interface and entry.state in _CERTAIN and entry.mac
        }
        missing = {address: source for address, source in wanted.items() if address not in found}
        controls = Controls(QUESTIONS)
        rate = min(rate, _MOST_RATE)
        for number in count():
            if not missing or controls.enough or time.monotonic() >= deadline:
                break
            burst, asked_along = burst_of(rate), controls.begin(found.keys() & wanted.keys())
            for asked, address in enumerate([*missing, *asked_along], start=1):
                self._ask(address, wanted[address])
                if asked % burst == 0:
                    self._wait(min(deadline, time.monotonic() + burst / rate), missing, found, controls, heed)
            seconds = _ATTEMPTS[min(number, len(_ATTEMPTS) - 1)]
            self._wait(min(deadline, time.monotonic() + seconds), missing, found, controls, heed)
            rate = controls.slower(rate, len(missing))
        return found, controls.proven

    def _ask(self, address: bytes, source: bytes) -> None:
        write = solicitation if self._family == 6 else arp_request
        try:
            self._sender.send(write(address, source, self.hardware))
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.EAGAIN):  # a full queue: the next attempt asks again
                raise

    def _wait(
        self,
        end: float,
        missing: dict[bytes, bytes],
        found: dict[bytes, bytes],
        controls: Controls,
        heed: Callable[[], None],
    ) -> None:
        left = 1.0
        while missing and left > 0:
            heed()
            left = end - time.monotonic()  # once more at the end: what came while this process did not run was in time
            select.select([self._answers], [], [], max(0.0, min(left, _HEED_SECONDS)))
            for packet in self._arrived():
                answer = (read_advertisement if self._family == 6 else read_arp_reply)(packet)
                if answer is None:
                    continue
                if missing.pop(answer[0], None) is None:
                    controls.answered(answer[0])
                else:
                    found[answer[0]] = answer[1]
                    controls.newcomer()

    def _arrived(self) -> Iterator[bytes]:
        for _ in range(4096):
            try:
                yield self._answers.recv(256)
            except BlockingIOError:
                return


def read_arp_reply(packet: bytes) -> tuple[bytes, bytes] | None:
    """Read (address, hardware address) from an ARP reply; None for anything else."""
    if len(packet) < _ARP_PACKET.size:
        return None
    kind, protocol, size, width, operation, hardware, address, _, _ = _ARP_PACKET.unpack_from(packet)
    if (kind, protocol, size, width, operation) != (1, ETHERTYPES[4], 6, 4, _REPLY):
        return None
    return (address, hardware) if _is_host(hardware) else None


def read_advertisement(packet: bytes) -> tuple[bytes, bytes] | None:
    """Read (address, hardware address) from an IPv6 packet with a neighbour advertisement; None for anything else.

    A hop limit below 255 means that it came from another link (RFC 4861 section 7.1.2).
    """
    if len(packet) < 64 or packet[6] != _ICMP6 or packet[7] != 255 or packet[40] != _ADVERTISEMENT:
        return None
    address, at = packet[48:64], 64
    while at + 8 <= len(packet):
        kind, length = packet[at], packet[at + 1] * 8
        if length == 0:
            return None
        if kind == _TARGET_LINK and length == 8 and _is_host(packet[at + 2 : at + 8]):
            return address, packet[at + 2 : at + 8]
        at += length
    return None


def arp_request(address: bytes, source: bytes, hardware: bytes) -> bytes:
    """Write the frame that asks for an IPv4 address; `hardware` is our own."""
    packet = _ARP_PACKET.pack(1, ETHERTYPES[4], 6, 4, _REQUEST, hardware, source, bytes(6), address)
    return ethernet(_BROADCAST, hardware, _ARP) + packet


def solicitation(address: bytes, source: bytes, hardware: bytes) -> bytes:
    """Write the frame that asks for an IPv6 address (RFC 4861 section 4.3)."""
    group = _SOLICITED + address[-3:]
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address + struct.pack("!BB", _SOURCE_LINK, 1) + hardware
    total = checksum(pseudo_header(source, group, _ICMP6, len(body)) + body)
    packet = ipv6(source, group, _ICMP6, body[:2] + struct.pack("!H", total) + body[4:], hops=255)
    return ethernet(b"\x33\x33" + group[-4:], hardware, ETHERTYPES[6]) + packet


def _is_host(hardware: bytes) -> bool:
    return not hardware[0] & 1 and any(hardware)
