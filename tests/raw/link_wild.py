"""A machine on a link that answers every frame in whatever way a test wants, and keeps what it has seen."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from tests.support.netns import Namespace

_ALL_FRAMES = 0x0003
_OUTGOING = 4
Answer = Callable[[bytes], list[bytes]]


class WildMachine:
    """Reads frames of an interface with a packet socket and writes what `answer` makes of each."""

    def __init__(self, space: Namespace, interface: str) -> None:
        """Answer nothing yet."""
        self.answer: Answer = lambda _: []
        self.seen: list[bytes] = []
        self._socket = space.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
        space.call(self._socket.bind, (interface, _ALL_FRAMES))
        self.hardware: bytes = self._socket.getsockname()[4]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            frame, (_, _, kind, _, _) = self._socket.recvfrom(2048)
            if kind == _OUTGOING:
                continue
            self.seen.append(frame)
            for answer in self.answer(frame):
                with contextlib.suppress(OSError):
                    self._socket.send(answer)

    def close(self) -> None:
        """Stop and leave."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def asked_by_arp(self) -> set[str]:
        """Addresses that somebody asked for by ARP."""
        return {
            socket.inet_ntoa(frame[38:42])
            for frame in self.seen
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1"
        }

    def asked_by_nd(self) -> set[str]:
        """Addresses that somebody asked for by neighbour solicitation."""
        return {
            socket.inet_ntop(socket.AF_INET6, frame[62:78])
            for frame in self.seen
            if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135
        }


@contextlib.contextmanager
def wild_machine(space: Namespace, interface: str) -> Iterator[WildMachine]:
    """A wild machine for as long as the block lasts."""
    machine = WildMachine(space, interface)
    try:
        yield machine
    finally:
        machine.close()


def arp_reply(frame: bytes, hardware: bytes, address: str | None = None) -> bytes:
    """Answer an ARP request: `address`, or the one that was asked for, is at `hardware`."""
    claimed = socket.inet_aton(address) if address else frame[38:42]
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, hardware, claimed, frame[22:28], frame[28:32])
    return frame[6:12] + hardware + b"\x08\x06" + body
