"""Reading answers of a link: only what carries our mark counts, and no packet whatever makes the reader fail."""

import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes.kit.raw.link import answers
from probes.kit.raw.link.answers import LinkAnswer, read_echo4, read_echo6, read_link_answer
from probes.kit.raw.link.frames import COOKIE_BYTES, echo_to_all, icmp4_echo, mld_query
from probes.kit.raw.link.messages import Heard, read_heard, write_heard
from probes.kit.raw.packets import filters
from probes.kit.raw.packets.frames import ipv6

MARK, COOKIE = 0x1234, bytes(range(COOKIE_BYTES))
US, THEM = ip_address("fe80::1").packed, ip_address("fe80::2").packed
REPLY = bytes([129, 0, 0, 0]) + struct.pack("!HH", MARK, 1) + COOKIE


def read(packet: bytes) -> LinkAnswer | None:
    return read_link_answer(packet, MARK, COOKIE)


def problem(code: int = 2, mark: int = MARK) -> bytes:
    asked = echo_to_all(US, mark, COOKIE, option_80=True)
    return ipv6(THEM, US, 58, bytes([4, code, 0, 0]) + struct.pack("!I", 42) + asked)


def report(kind: int, hops: int = 1, source: bytes = THEM) -> bytes:
    body = bytes([58, 0, 5, 2, 0, 0, 1, 0]) + bytes([kind]) + bytes(23)
    return ipv6(source, socket.inet_pton(socket.AF_INET6, "ff02::16"), 0, body, hops=hops)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ipv6(THEM, US, 58, REPLY), LinkAnswer("echo", THEM)),
        (ipv6(THEM, US, 58, REPLY[:-1]), None),
        (ipv6(bytes(16), US, 58, REPLY), None),
        (ipv6(ip_address("ff02::1").packed, US, 58, REPLY), None),
        (problem(), LinkAnswer("opt80", THEM)),
        (problem(code=1), None),
        (problem(mark=1), None),
        (report(143), LinkAnswer("mld", THEM)),
        (report(131), LinkAnswer("mld", THEM)),
        (report(130), None),
        (report(143, hops=64), None),
        (report(143, source=ip_address("2001:db8::1").packed), None),
        (echo_to_all(US, MARK, COOKIE, option_80=False), None),
        (mld_query(), None),
        (b"", None),
    ],
)
def test_only_an_answer_to_our_question_counts(packet: bytes, expected: LinkAnswer | None) -> None:
    assert read(packet) == expected


def test_a_quote_cut_short_is_no_answer() -> None:
    whole = problem()
    assert all(read(whole[:length]) is None for length in range(len(whole) - 1))


@given(some.binary(max_size=300))
def test_any_packet_is_read_or_left(packet: bytes) -> None:
    for start in (b"", b"\x60\0\0\0\0\0\x3a\xff", b"\x60\0\0\0\0\0\0\1", b"\x45"):
        read(start + packet)
        read_echo4(start + packet, MARK, COOKIE)
        read_echo6(start + packet, MARK, COOKIE)


@given(some.integers(0, 400), some.integers(0, 255))
def test_one_wrong_byte_never_makes_a_failure(place: int, value: int) -> None:
    for packet in (problem(), report(143), ipv6(THEM, US, 58, REPLY)):
        changed = bytearray(packet)
        changed[place % len(packet)] = value
        read(bytes(changed))


def test_the_programs_fit_the_kernel() -> None:
    for program in (filters.arp_replies(), answers.link_answers(), *map(answers.echo_replies, (4, 6))):
        assert len(program) % 8 == 0


def test_an_echo_of_our_own_is_no_reply() -> None:
    assert not read_echo4(b"\x45" + bytes(19) + icmp4_echo(MARK, COOKIE), MARK, COOKIE)
    assert read_echo4(b"\x45" + bytes(19) + b"\0" + icmp4_echo(MARK, COOKIE)[1:], MARK, COOKIE)


@given(some.text(max_size=80))
def test_lines_that_cannot_be_read_say_so(text: str) -> None:
    try:
        heard = read_heard(text)
    except ValueError:
        return
    assert read_heard(write_heard(heard)) == heard


def test_a_line_reads_back() -> None:
    for heard in (Heard("arp", "10.0.0.1", "02:00:00:00:00:01", "eth0"), Heard("icmp", "2001:db8::1", "", "")):
        assert read_heard(write_heard(heard)) == heard
