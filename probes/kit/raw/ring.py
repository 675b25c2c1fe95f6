"""A receive ring shared with the kernel (TPACKET_V3): packets arrive without a system call each.

The ring is memory of the socket itself, so net.core.rmem_max does not bound it, and what did not fit is counted.
"""

import ctypes
import mmap
import socket
import struct
from collections.abc import Iterator

SOL_PACKET = 263
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


class Ring:
    """A packet socket on one interface whose filtered packets are read from shared memory."""

    def __init__(self, interface: int, protocol: int, program: bytes) -> None:
        """Open the ring for an interface index, an Ethertype and a BPF program; needs CAP_NET_RAW, raises OSError."""
        # Protocol 0 receives nothing; the filter is in place before bind() lets packets in.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        self.dropped = 0
        self.seen = 0
        self._block = 0
        try:
            attach_filter(self.socket, program)
            self.socket.setsockopt(SOL_PACKET, _VERSION, _TPACKET_V3)
            slots = _BLOCK_BYTES // _SLOT_BYTES * _BLOCKS
            request = struct.pack("=7I", _BLOCK_BYTES, _BLOCKS, _SLOT_BYTES, slots, _RETIRE_MILLISECONDS, 0, 0)
            self.socket.setsockopt(SOL_PACKET, _RX_RING, request)
            self.memory = mmap.mmap(self.socket.fileno(), _BLOCK_BYTES * _BLOCKS)
            self.socket.bind((socket.if_indextoname(interface), protocol))
        except OSError:
            self.socket.close()
            raise

    def packets(self) -> Iterator[tuple[int, int, int]]:
        """Give offset of the network header in `memory`, length and arrival (ns since 1970) of what has arrived.

        At most one turn of the ring, so that a flood cannot hold the caller; a packet is valid until the next one.
        """
        memory, unpack = self.memory, _PACKET.unpack_from
        for _ in range(_BLOCKS):
            base = self._block * _BLOCK_BYTES
            status, count, first = _BLOCK.unpack_from(memory, base + _BLOCK_STATUS)
            if not status & _READY:
                return
            at = base + first
            for _ in range(count):
                following, seconds, nanoseconds, length, _, _, _, network = unpack(memory, at)
                yield at + network, length, seconds * 1_000_000_000 + nanoseconds
                at += following
            self.seen += count
            memory[base + _BLOCK_STATUS : base + _BLOCK_STATUS + 4] = _FREE
            self._block = (self._block + 1) % _BLOCKS

    def count_dropped(self) -> int:
        """Ask the kernel how many packets found the ring full since last asked, and add them to `dropped`."""
        # struct tpacket_stats_v3: tp_packets (which holds the dropped ones too), tp_drops, tp_freeze_q_cnt
        _, dropped, _ = struct.unpack("=III", self.socket.getsockopt(SOL_PACKET, _STATISTICS, 12))
        self.dropped += dropped
        return int(dropped)

    def close(self) -> None:
        """Give the memory back and close the socket."""
        self.memory.close()
        self.socket.close()


def attach_filter(sock: socket.socket, program: bytes) -> None:
    """Attach a classic BPF program, an array of `struct sock_filter`."""
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(code)))
