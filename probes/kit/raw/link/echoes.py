"""ICMP echoes to hosts behind routers (RFC 792, RFC 4443), each with a cookie of its own, so that none is forged."""

import os
import socket
from collections.abc import Iterable, Iterator
from hashlib import blake2s
from ipaddress import ip_address

from probes.kit.errors import CannotRun
from probes.kit.raw.helper.privilege import NOT_ALLOWED
from probes.kit.raw.link.answers import echo_replies, read_echo4, read_echo6
from probes.kit.raw.link.frames import COOKIE_BYTES, icmp4_echo, icmp6_echo
from probes.kit.raw.link.sockets import RECEIVE_BUFFER
from probes.kit.raw.packets.ring import attach_filter
from probes.kit.scope.addresses import Address

_AT_ONCE = 1024
_REPLY_BYTES = 256


class Echoes:
    """A raw socket for each family, where there is anybody to ask; `missing` have not answered yet."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        """Open the sockets; a kernel without IPv6 has one only. Raises CannotRun without the privilege."""
        self.missing: dict[bytes, None] = dict.fromkeys(address.packed for address in addresses)
        self.sockets: dict[int, socket.socket] = {}
        self._mark = int.from_bytes(os.urandom(2), "big")
        self._key = os.urandom(32)
        for family, domain, protocol in (
            (4, socket.AF_INET, socket.IPPROTO_ICMP),
            (6, socket.AF_INET6, socket.IPPROTO_ICMPV6),
        ):
            if self.missing:
                self._open(family, domain, protocol)

    def _open(self, family: int, domain: socket.AddressFamily, protocol: int) -> None:
        try:
            sock = socket.socket(domain, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
        except PermissionError:
            self.close()
            raise CannotRun(NOT_ALLOWED) from None
        except OSError:
            return
        attach_filter(sock, echo_replies(family))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.sockets[family] = sock

    def ask(self, address: bytes) -> bool:
        """Send an echo request; tell whether it left."""
        family = 4 if len(address) == 4 else 6
        sock = self.sockets.get(family)
        if sock is None:
            return False
        write = icmp4_echo if family == 4 else icmp6_echo
        try:
            sock.sendto(write(self._mark, self._cookie_of(address)), (str(ip_address(address)), 0))
        except OSError:  # no route, or a full queue: it stays silent, which proves nothing anyway
            return False
        return True

    def arrived(self) -> Iterator[bytes]:
        """Give the addresses that have answered for the first time; they are no longer missing."""
        for family, sock in self.sockets.items():
            read = read_echo4 if family == 4 else read_echo6
            for _ in range(_AT_ONCE):
                try:
                    packet, sender = sock.recvfrom(_REPLY_BYTES)
                except OSError:
                    break
                address = ip_address(sender[0].partition("%")[0]).packed
                if address in self.missing and read(packet, self._mark, self._cookie_of(address)):
                    del self.missing[address]
                    yield address

    def close(self) -> None:
        """Close the sockets."""
        for sock in self.sockets.values():
            sock.close()

    def _cookie_of(self, address: bytes) -> bytes:
        return blake2s(address, key=self._key, digest_size=COOKIE_BYTES).digest()
