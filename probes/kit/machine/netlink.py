"""Questions to the kernel over rtnetlink (rtnetlink(7)), which answers for the network namespace that a probe is in.

Nothing leaves the machine. All functions raise OSError when the kernel does not answer.
"""

import os
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH = 18, 22, 26, 30
RTM_NEWNDUSEROPT = 68

MAX_ANSWERS = 100_000
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
ERROR, _DONE = 2, 3
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 17
_USER_OPTIONS_GROUP = 1 << 19
_USER_OPTIONS = struct.Struct("=BxHiBBxxxxxx")
_TRIES = 5
_SECONDS = 5.0


class Answer(NamedTuple):
    """One message: its fixed part as bytes, then its attributes by number."""

    fixed: bytes
    attributes: Mapping[int, bytes]


class Message(NamedTuple):
    """One message as it came; `sequence` is that of the question."""

    kind: int
    flags: int
    sequence: int
    body: bytes


class _Interrupted(Exception):
    """A table changed while it was read."""


def dump(kind: int, family: int, fixed_size: int) -> list[Answer]:
    """Read a whole table, at most MAX_ANSWERS rows; reads again when the table changed meanwhile."""
    for _ in range(_TRIES):
        try:
            return list(_ask(kind, _DUMP, bytes([family]) + bytes(fixed_size - 1), fixed_size))
        except _Interrupted:
            continue
    raise OSError(f"the kernel's table {kind} changes faster than it can be read")


def ask(kind: int, fixed: bytes, attributes: Mapping[int, bytes]) -> Answer | None:
    """Ask for one row; an error of the kernel (no such route) raises OSError with its errno."""
    packed = b"".join(attribute(number, value) for number, value in attributes.items())
    return next(_ask(kind, 0, fixed + packed, len(fixed)), None)


def parse_attributes(raw: bytes) -> dict[int, bytes]:
    """Read a list of attributes; what does not fit is left out."""
    found: dict[int, bytes] = {}
    place = 0
    while place + 4 <= len(raw):
        length, number = _ATTRIBUTE.unpack_from(raw, place)
        if length < 4 or place + length > len(raw):
            break
        found[number & _TYPE_MASK] = raw[place + 4 : place + length]
        place += (length + 3) & ~3
    return found


class UserOptions:
    """Options of router advertisements that the kernel passes on (RDNSS, PREF64, ...), heard from now on."""

    def __init__(self) -> None:
        """Begin to listen; takes no privilege."""
        self._link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._link.setblocking(False)
        try:
            self._link.bind((0, _USER_OPTIONS_GROUP))
        except OSError:
            self._link.close()
            raise

    def heard(self, seconds: float = 0.0) -> Iterator[bytes]:
        """Give the options, as they came, that were heard so far; waits so many seconds for a first one."""
        select.select((self._link,), (), (), seconds)
        for _ in range(MAX_ANSWERS):
            try:
                messages = list(receive(self._link))
            except OSError:
                return
            for kind, _, _, body in messages:
                if kind == RTM_NEWNDUSEROPT and len(body) >= _USER_OPTIONS.size:
                    _, length, _, _, _ = _USER_OPTIONS.unpack_from(body)
                    yield body[_USER_OPTIONS.size : _USER_OPTIONS.size + length]

    def close(self) -> None:
        """Stop listening."""
        self._link.close()


def question(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Write a message whose answers carry its `sequence`; `flags` come beside NLM_F_REQUEST."""
    return _HEADER.pack(_HEADER.size + len(payload), kind, _REQUEST | flags, sequence, 0) + payload


def attribute(number: int, value: bytes) -> bytes:
    """Write an attribute."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), number) + value + bytes(-len(value) % 4)


@contextmanager
def route_socket() -> Iterator[socket.socket]:
    """Open a socket for questions, whose answers are waited for so long as a busy kernel takes."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as link:
        link.settimeout(_SECONDS)
        link.bind((0, 0))
        yield link


def receive(link: socket.socket) -> Iterator[Message]:
    """Give the messages of the next datagram; what is cut short is left out."""
    packet = link.recv(_BUFFER)
    place = 0
    while place + _HEADER.size <= len(packet):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(packet, place)
        if length < _HEADER.size or place + length > len(packet):
            return
        yield Message(kind, flags, sequence, packet[place + _HEADER.size : place + length])
        place += (length + 3) & ~3


def _ask(kind: int, flags: int, payload: bytes, fixed_size: int) -> Iterator[Answer]:
    with route_socket() as link:
        link.send(question(kind, flags, 1, payload))
        for message in islice(_of_one(link), MAX_ANSWERS):
            yield Answer(message.body[:fixed_size], parse_attributes(message.body[fixed_size:]))
            if not flags & _DUMP:
                return


def _of_one(link: socket.socket) -> Iterator[Message]:
    """Give the messages that answer the one question under way, to the end."""
    while True:
        for message in receive(link):
            if message.flags & _DUMP_INTERRUPTED:
                raise _Interrupted
            if message.kind == _DONE:
                return
            if message.kind == ERROR:
                number = -struct.unpack_from("=i", message.body)[0]
                if number:
                    raise OSError(number, os.strerror(number))
                return
            yield message
