"""Hearing what DHCP servers send to this machine's port 68, which belongs to its own DHCP client.

A packet socket gets copies of what arrives: it takes nothing from the client, sends nothing, and says nothing of what
is not an answer to a question of ours. Where the client is none, the kernel answers that the port is closed, as ever.
"""

import socket
from collections.abc import Iterator

from probes.kit.raw.packets.filters import bootp_replies
from probes.kit.raw.packets.frames import ETHERTYPES
from probes.kit.raw.packets.ring import attach_filter
from probes.kit.raw.syscalls import use_net_raw

_MOST_BYTES = 2048
_AT_ONCE = 256
_UDP_HEADER = 8
_PORTS = b"\0\x43\0\x44"


class Replies:
    """One socket on all links."""

    def __init__(self) -> None:
        """Open it; raises PermissionError without CAP_NET_RAW, which is not needed from then on."""
        use_net_raw()
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(ETHERTYPES[4]))
        try:
            attach_filter(self._socket, bootp_replies())
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Give the descriptor, to wait for."""
        return self._socket.fileno()

    def arrived(self) -> Iterator[bytes]:
        """Give the BOOTP messages (RFC 951) that arrived, some at a time: a flood does not hold the caller."""
        for _ in range(_AT_ONCE):
            try:
                packet = self._socket.recv(_MOST_BYTES)
            except BlockingIOError:
                return
            except OSError:  # a link went down
                continue
            start = 4 * (packet[0] & 15) if packet else 0
            # All but the first few, which may have come before the filter was there, are just that.
            if packet[start : start + 4] == _PORTS and packet[9] == socket.IPPROTO_UDP:
                length = int.from_bytes(packet[start + 4 : start + 6], "big")
                yield packet[start + _UDP_HEADER : start + length]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
