"""Frames that are built once and sent many times: only port, sequence number and nothing else change.

A panel holds `rows` x `hosts` frames in one buffer and a static array of messages over it. Loading ports writes four
byte columns with strided slices, and the arithmetic for the sequence numbers runs on one large integer with 32 bits per
frame; so Python costs some tens of nanoseconds per frame, and the rest is the kernel's.
"""

import ctypes
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from probes.kit.ports.order import stride
from probes.kit.raw.packets.cookie import Secret
from probes.kit.raw.packets.frames import IP_BYTES, LOW_SEQUENCE_AT, PORT_AT, TCP_BYTES, syn
from probes.kit.raw.syscalls import Buffer, Message, send_messages

_ALIGN = 16
_LANE = 4  # bytes


@dataclass(frozen=True, slots=True)
class Host:
    """A target with all that its frames need; `link` is the Ethernet header, empty where the kernel routes."""

    name: str
    address: bytes
    source: bytes
    secret: Secret
    link: bytes = b""
    zone: int = 0


class Panel:
    """The frames of one lane: in row r, host h is asked for port number r + h * `step` of `ports`, around its end."""

    def __init__(self, descriptor: int, hosts: Sequence[Host], ports: Sequence[int], rows: int) -> None:
        """Build buffers for so many `rows`; the descriptor must outlive the panel."""
        self.width = len(hosts)
        self.rows = rows
        self._descriptor = descriptor
        self._hosts = hosts
        self.step = stride(self.width, len(ports))
        self._count = len(ports)
        self._around = array("I", ports) * (1 - (-self.width * self.step // len(ports)))
        if sys.byteorder == "big":
            self._around.byteswap()
        family = 4 if len(hosts[0].address) == 4 else 6
        tcp = len(hosts[0].link) + IP_BYTES[family]
        self._port_at, self._low_at = tcp + PORT_AT, tcp + LOW_SEQUENCE_AT
        self._length = tcp + TCP_BYTES
        self._stride = -(-self._length // _ALIGN) * _ALIGN
        count = rows * self.width
        self._buffer = bytearray(count * self._stride)
        ones = int.from_bytes(b"\1\0\0\0" * count, "little")
        lows = b"".join(host.secret.low.to_bytes(_LANE, "little") for host in hosts) * rows
        self._ones, self._mask = ones, ones * 0xFFFF
        # 65535 more in each lane, so that no lane ever borrows from the next one.
        self._minuend = int.from_bytes(lows, "little") + self._mask
        self._names = b"" if hosts[0].link else b"".join(map(_name, hosts))
        self._messages = self._message_array(count)

    def dress(self, source_port: int) -> None:
        """Write all frames afresh for a source port."""
        row = b"".join(
            (host.link + syn(host.source, host.address, source_port, host.secret)).ljust(self._stride, b"\0")
            for host in self._hosts
        )
        self._buffer[:] = row * self.rows

    def load(self, first: int) -> int:
        """Write the rows from number `first` on, and give how many frames that makes."""
        last, reach = min(first + self.rows, self._count), self.width * self.step
        if self.width == 1:
            lanes = self._around[first:last].tobytes()
        else:
            lanes = b"".join([self._around[row : row + reach : self.step] for row in range(first, last)])
        count = len(lanes) // _LANE
        # (low - port) mod 65535 in every lane: fold the carry of the lane back, as one's complement does.
        wide = self._minuend - int.from_bytes(lanes, "little")
        folded = (wide & self._mask) + (wide >> 16 & self._ones)
        lows = folded.to_bytes(len(self._buffer) // self._stride * _LANE, "little")
        buffer, stride, end = self._buffer, self._stride, count * self._stride
        buffer[self._port_at : end : stride] = lanes[1::_LANE]
        buffer[self._port_at + 1 : end : stride] = lanes[::_LANE]
        buffer[self._low_at : end : stride] = lows[1 : len(lanes) : _LANE]
        buffer[self._low_at + 1 : end : stride] = lows[: len(lanes) : _LANE]
        return count

    def send(self, first: int, count: int) -> int:
        """Send frames from number `first` on; gives how many the kernel took, raises OSError if it took none."""
        return send_messages(self._descriptor, self._address + first * ctypes.sizeof(Message), count)

    def frame(self, number: int) -> bytes:
        """Give a frame as it stands in the buffer."""
        at = number * self._stride
        return bytes(self._buffer[at : at + self._length])

    def _message_array(self, count: int) -> "ctypes.Array[Message]":
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._keep = ctypes.create_string_buffer(self._names, len(self._names))
        name_length = len(self._names) // self.width
        names = ctypes.addressof(self._keep) if name_length else 0
        self._buffers = (Buffer * count)(*[Buffer(start + at * self._stride, self._length) for at in range(count)])
        buffers, size = ctypes.addressof(self._buffers), ctypes.sizeof(Buffer)
        messages = (Message * count)(
            *[
                Message.of(names + at % self.width * name_length, name_length, buffers + at * size)
                for at in range(count)
            ]
        )
        self._address = ctypes.addressof(messages)
        return messages


def _name(host: Host) -> bytes:
    # struct sockaddr_in or sockaddr_in6, for a raw IP socket
    if len(host.address) == 4:
        return struct.pack("=HH4s8x", socket.AF_INET, 0, host.address)
    return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, host.address, host.zone)
