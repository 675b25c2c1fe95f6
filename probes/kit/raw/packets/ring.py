"""A receive ring shared with the kernel (TPACKET_V3): packets arrive without a system call each.

The ring is memory of the socket itself, so net.core.rmem_max does not bound it, and what did not fit is counted.
"""

import ctypes
import mmap
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from probes.kit.raw.packets.filters import only_at

SOL_PACKET = 263
EVERYWHERE = 0
"""Stands for all interfaces."""
_RX_RING, _STATISTICS, _VERSION = 5, 6, 10
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26

_BLOCK_BYTES = max(1 << 15, mmap.PAGESIZE)
_BLOCKS = 128
_SLOT_BYTES = 512
_RETIRE_MILLISECONDS = 4
# With 32 KiB blocks the ring holds some 30,000 answers, or half a second of a trickle that retires a block each 4 ms.

_BLOCK_STATUS = 8
_READY = 1
_BLOCK = struct.Struct("=III")  # block_status, num_pkts, offset_to_first_pkt
_PACKET = struct.Struct("=IIIIIIHH")  # tp_next_offset, tp_sec, tp_nsec, tp_snaplen, tp_len, tp_status, tp_mac, tp_net
_FREE = struct.pack("=I", 0)

LENGTH_AT = 12 if sys.byteorder == "little" else 15
"""Where a packet's header has the lowest byte of the length that was kept, which is less than 256."""


class Run(NamedTuple):
    """Packets at equal distances in `Ring.view`: the place of the first header, and from a header to its packet."""

    start: int
    packets: int
    stride: int
    network: int


class Ring:
    """A packet socket on one interface whose filtered packets are read from shared memory."""

    def __init__(self, interface: int, protocol: int, program: bytes) -> None:
        """Open the ring for an interface index or EVERYWHERE, an Ethertype and a BPF program.

        Needs CAP_NET_RAW, raises OSError.
        """
        # Protocol 0 receives nothing; the filter is in place before bind() lets packets in. Python's bind() knows no
        # "everywhere"; what came from there before the filter, the kernel drops when the ring is made.
        first = 0 if interface else socket.htons(protocol)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, first)
        self.dropped = 0
        self._block = 0
        try:
            attach_filter(self.socket, only_at(interface, program) if interface else program)
            self.socket.setsockopt(SOL_PACKET, _VERSION, _TPACKET_V3)
            slots = _BLOCK_BYTES // _SLOT_BYTES * _BLOCKS
            request = struct.pack("=7I", _BLOCK_BYTES, _BLOCKS, _SLOT_BYTES, slots, _RETIRE_MILLISECONDS, 0, 0)
            self.socket.setsockopt(SOL_PACKET, _RX_RING, request)
            self._memory = mmap.mmap(self.socket.fileno(), _BLOCK_BYTES * _BLOCKS)
            self.view = memoryview(self._memory)
            if interface:
                self.socket.bind((socket.if_indextoname(interface), protocol))
        except OSError:
            self.socket.close()
            raise

    def runs(self) -> Iterator[Run]:
        """Give what has arrived, as runs of packets that lie at equal distances; a run is valid until the next one.

        At most one turn of the ring, so that a flood cannot hold the caller.
        """
        for _ in range(_BLOCKS):
            base = self._block * _BLOCK_BYTES
            status, count, first = _BLOCK.unpack_from(self.view, base + _BLOCK_STATUS)
            if not status & _READY:
                return
            yield from self._runs_of_block(base + first, count, base + _BLOCK_BYTES)
            self.view[base + _BLOCK_STATUS : base + _BLOCK_STATUS + 4] = _FREE
            self._block = (self._block + 1) % _BLOCKS

    def _runs_of_block(self, at: int, count: int, end: int) -> Iterator[Run]:
        following, _, _, length, _, _, _, network = _PACKET.unpack_from(self.view, at)
        last = at + following * (count - 1)
        # Answers of one kind are of one size, so most blocks are one run. The last header of a block points nowhere.
        if (
            following
            and last < end
            and all(
                self.view[at + place : last : following].tobytes() == bytes([byte]) * (count - 1)
                for place, byte in enumerate(following.to_bytes(4, sys.byteorder))
            )
        ):
            yield Run(at, count, following, network)
            return
        for _ in range(count):
            following, _, _, length, _, _, _, network = _PACKET.unpack_from(self.view, at)
            yield Run(at, 1, network + length, network)
            at += following

    def packet(self, at: int) -> bytes:
        """Give the packet whose header is at a place."""
        _, _, _, length, _, _, _, network = _PACKET.unpack_from(self.view, at)
        return bytes(self.view[at + network : at + network + length])

    def arrived(self, at: int) -> int:
        """Give when the packet arrived whose header is at a place, in ns since 1970."""
        _, seconds, nanoseconds, _, _, _, _, _ = _PACKET.unpack_from(self.view, at)
        return int(seconds) * 1_000_000_000 + int(nanoseconds)

    def count_dropped(self) -> int:
        """Ask the kernel how many packets found the ring full since last asked, and add them to `dropped`."""
        # struct tpacket_stats_v3: tp_packets (which holds the dropped ones too), tp_drops, tp_freeze_q_cnt
        _, dropped, _ = struct.unpack("=III", self.socket.getsockopt(SOL_PACKET, _STATISTICS, 12))
        self.dropped += dropped
        return int(dropped)

    def close(self) -> None:
        """Give the memory back and close the socket."""
        self.view.release()
        self._memory.close()
        self.socket.close()


def attach_filter(sock: socket.socket, program: bytes) -> None:
    """Attach a classic BPF program, an array of `struct sock_filter`."""
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(code)))
