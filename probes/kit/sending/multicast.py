"""Packets to everybody on a link: part of the sending layer, with its check of the scope before each of them.

A group's members are whoever is on the link, so a packet to a group needs all of them in scope: every prefix of that
family that this machine has on the link, whole. (A link where it has link-local addresses only is `fe80::/64`.)
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, IPv6Address, ip_address

from probes.kit.errors import Quiet
from probes.kit.machine.neighbours import Own
from probes.kit.scope.addresses import Address, Network, unmapped
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import BUSY
from wire.types import Family

_RECEIVE_BUFFER = 1 << 20


def link_prefixes(own: Iterable[Own], interface: str, family: Family) -> tuple[Network, ...]:
    """Give the prefixes that this machine has on a link; of IPv6 the link-local one only where there is no other."""
    found = {item.address.network for item in own if item.interface == interface and item.address.version == family}
    others = {network for network in found if not network.is_link_local}
    return tuple(sorted(others or found, key=lambda network: (int(network.network_address), network.prefixlen)))


def require_link(net: Net, prefixes: Iterable[Network], port: int | None) -> None:
    """Check that everybody on a link may get a packet, to a UDP port or (None) one without ports.

    Raises OutOfScope naming the first prefix that is not wholly in scope, or Quiet.
    """
    for prefix in prefixes:
        if not net.scope.holds(prefix, port, net.today()):
            what = str(prefix) if port is None else f"{prefix} port {port}"
            raise net.count(net.scope.refusal(what, str(prefix)))
    if hours := net.quiet_hours():
        raise net.count(Quiet(", ".join(map(str, prefixes)), str(hours)))


class Group:
    """A UDP socket that asks a multicast group of one link, and gets the answers that come to its own port."""

    def __init__(self, net: Net, own: tuple[Own, ...], interface: str, address: str, port: int, *, hops: int) -> None:
        """Open it; raises OutOfScope or Quiet, or OSError when this machine cannot send there. Nothing is sent yet."""
        self.interface = interface
        self.family: Family = 6 if ":" in address else 4
        self._net = net
        self._prefixes = link_prefixes(own, interface, self.family)
        self._port = port
        if not self._prefixes:
            raise OSError(errno.EADDRNOTAVAIL, f"no IPv{self.family} address on {interface}")
        require_link(net, self._prefixes, port)
        self._own = {item.address.ip for item in own}
        self._near = [item.address.network for item in own if item.interface == interface]
        index = socket.if_nametoindex(interface)
        self.socket = socket.socket(
            socket.AF_INET if self.family == 4 else socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
        try:
            if self.family == 4:
                self._to: tuple[str, int] | tuple[str, int, int, int] = (address, port)
                # struct ip_mreqn: group, address, interface
                self._set(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index))
                self._set(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
                self._set(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
                first = next(
                    item.address.ip
                    for item in own
                    if item.interface == interface and isinstance(item.address, IPv4Interface)
                )
                self.socket.bind((str(first), 0))
            else:
                self._to = (address, port, 0, index)
                self._set(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
                self._set(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
                self._set(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            self._set(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        except OSError:
            self.socket.close()
            raise

    def ask(self, payload: bytes) -> None:
        """Send to the group; raises OutOfScope or Quiet. What the system does not take is lost, as packets may be."""
        require_link(self._net, self._prefixes, self._port)
        self._net.pay()
        try:
            self.socket.sendto(payload, self._to)
        except OSError as error:
            if error.errno not in {*BUSY, errno.ENETDOWN, errno.ENETUNREACH, errno.EPERM, errno.EACCES}:
                raise

    def answers(self, size: int, most: int) -> Iterator[tuple[bytes, Address]]:
        """Give what has arrived, at most so many, from others than this machine; each with its sender."""
        for _ in range(most):
            try:
                packet, sender = self.socket.recvfrom(size + 1)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error, or the link went down
                continue
            address = self._sender(sender[0])
            if address is not None:
                yield packet, address

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _sender(self, text: str) -> Address | None:
        with contextlib.suppress(ValueError):
            address = unmapped(ip_address(text.partition("%")[0]))
            if address in self._own or address.is_loopback:
                return None
            if isinstance(address, IPv6Address) and address.is_link_local:
                return IPv6Address(f"{address}%{self.interface}")
            # What comes from elsewhere is no answer to a packet that never leaves the link.
            return address if any(address in network for network in self._near) else None
        return None

    def _set(self, level: int, name: int, value: int | bytes) -> None:
        self.socket.setsockopt(level, name, value)
