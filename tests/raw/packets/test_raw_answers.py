"""What anybody may send is read without harm, and the filter in the kernel agrees with the reader behind it."""

import contextlib
import socket
import struct

import hypothesis
import pytest
from hypothesis import strategies as st

from probes.kit.raw.link.addresses import read_advertisement, read_arp_reply
from probes.kit.raw.packets.answers import HEADS, Answer, read_ipv4, read_ipv6
from probes.kit.raw.packets.filters import SNAP, neighbour_advertisements, syn_answers
from probes.kit.raw.packets.frames import ipv4, ipv6
from probes.kit.raw.packets.ring import attach_filter
from probes.kit.raw.packets.states import MEANINGS, State, of_icmp4, of_icmp6, pack_states, unpack_states

_OURS, _THEIRS = (
    {4: b"\xc6\x12\0\1", 6: b"\x20\1" + b"\0" * 13 + b"\1"},
    {4: b"\xc6\x12\0\2", 6: b"\x20\1" + b"\2" * 14},
)
_FAMILIES = pytest.mark.parametrize("family", [4, 6])
_READ = {4: read_ipv4, 6: read_ipv6}


def _packet(family: int, protocol: int, payload: bytes, *, back: bool = True) -> bytes:
    source, target = (_THEIRS[family], _OURS[family]) if back else (_OURS[family], _THEIRS[family])
    return (ipv4 if family == 4 else ipv6)(source, target, protocol, payload)


def _tcp(port: int, source_port: int, acknowledged: int, flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", port, source_port, 99, acknowledged, 5 << 4, flags, 0, 0, 0)


def _error(family: int, kind: int, code: int, *, source_port: int = 40_001, sequence: int = 7) -> bytes:
    quoted = _packet(family, 6, struct.pack("!HHI", source_port, 80, sequence), back=False)
    return _packet(family, 1 if family == 4 else 58, struct.pack("!BBHI", kind, code, 0, 0) + quoted)


@_FAMILIES
@pytest.mark.parametrize(
    ("flags", "state"),
    [(0x12, State.OPEN), (0x52, State.OPEN), (0x14, State.CLOSED), (0x04, State.CLOSED), (0x16, State.CLOSED),
     (0x02, None), (0x10, None), (0x18, None), (0x00, None)],
)  # fmt: skip
def test_flags_of_a_segment(family: int, flags: int, state: State | None) -> None:
    answer = _READ[family](_packet(family, 6, _tcp(80, 40_001, 0, flags)))
    assert answer == (Answer(_THEIRS[family], 80, 40_001, 0xFFFFFFFF, state) if state else None)


@_FAMILIES
def test_a_reset_without_acknowledgement_proves_nothing(family: int) -> None:
    # It is read, and its acknowledgement of 0 is then held against the cookie like any other.
    answer = _READ[family](_packet(family, 6, _tcp(80, 40_001, 0, 0x04)))
    assert answer is not None
    assert answer.sequence == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("family", "kind", "code", "state"),
    [(4, 3, 13, State.PROHIBITED), (4, 3, 3, State.PORT_UNREACHABLE), (4, 3, 1, State.HOST_UNREACHABLE),
     (4, 3, 0, State.NET_UNREACHABLE), (4, 11, 0, State.HOPS_EXCEEDED),
     (4, 3, 4, None), (4, 5, 0, None), (4, 0, 0, None),
     (6, 1, 1, State.PROHIBITED), (6, 1, 4, State.PORT_UNREACHABLE), (6, 1, 3, State.HOST_UNREACHABLE),
     (6, 1, 0, State.NET_UNREACHABLE), (6, 3, 0, State.HOPS_EXCEEDED),
     (6, 2, 0, None), (6, 1, 99, None), (6, 136, 0, None)],
)  # fmt: skip
def test_icmp_errors_quote_our_syn(family: int, kind: int, code: int, state: State | None) -> None:
    answer = _READ[family](_error(family, kind, code))
    assert answer == (Answer(_THEIRS[family], 80, 40_001, 7, state) if state else None)


def test_ipv4_options_move_the_segment() -> None:
    plain = _packet(4, 6, _tcp(80, 40_001, 8, 0x12))
    long = bytes([0x46]) + plain[1:20] + b"\1\1\1\0" + plain[20:]
    assert read_ipv4(long) == Answer(_THEIRS[4], 80, 40_001, 7, State.OPEN)


def test_a_later_fragment_is_no_segment() -> None:
    plain = bytearray(_packet(4, 6, _tcp(80, 40_001, 8, 0x12)))
    plain[6:8] = struct.pack("!H", 0x2000 | 185)
    assert read_ipv4(bytes(plain)) is None


@_FAMILIES
def test_every_cut_of_an_answer_is_refused_or_the_same(family: int) -> None:
    for packet in (_packet(family, 6, _tcp(80, 40_001, 8, 0x12)), _error(family, 3 if family == 4 else 1, 1)):
        whole = _READ[family](packet)
        assert whole is not None
        for length in range(len(packet)):
            assert _READ[family](packet[:length]) in (None, whole)


@hypothesis.given(
    st.binary(max_size=SNAP), st.sampled_from([0, 0x45, 0x4F, 0x40, 0x60, 0x6F]), st.sampled_from([1, 6, 58])
)
def test_no_bytes_do_harm(data: bytes, first: int, protocol: int) -> None:
    packet = bytearray(data)
    if len(packet) > 9 and first:
        packet[0] = first
        packet[9 if first < 0x60 else 6] = protocol
    for read in (read_ipv4, read_ipv6):
        answer = read(bytes(packet))
        assert answer is None or (len(answer.target) in (4, 16) and 0 <= answer.sequence <= 0xFFFFFFFF)
    read_arp_reply(bytes(packet))
    read_advertisement(bytes(packet))


@hypothesis.given(
    st.binary(min_size=54, max_size=SNAP), st.sampled_from([4, 6]), st.sampled_from([0x12, 0x14, 0x02, 0x18])
)
def test_the_short_way_to_read_agrees_with_the_long_one(data: bytes, family: int, flags: int) -> None:
    packet = bytearray(data)
    if family == 4:
        packet[0], packet[9], packet[33], packet[6:8] = 0x45, 6, flags, b"\0\0"
    else:
        packet[0], packet[6], packet[53] = 0x60 | data[0] & 15, 6, flags
    head = HEADS[family]
    first, protocol, target, port, source_port, acknowledged, got = struct.unpack_from(f"!{head.form}", packet)
    assert struct.calcsize(f"!{head.form}") == head.size
    assert first in head.plain
    assert (protocol, got) == (6, flags)
    answer = head.read(bytes(packet))
    if flags in (0x12, 0x14):
        assert answer is not None
        assert answer[:4] == (target, port, source_port, acknowledged - 1 & 0xFFFFFFFF)
    else:
        assert answer is None


def _passes(program: bytes, packets: list[bytes]) -> list[bytes]:
    """What a kernel lets through of some packets, and how much of each."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        attach_filter(there, program)
        there.setblocking(False)
        got = []
        for packet in packets:
            here.send(packet)
            try:
                got.append(there.recv(4096))
            except BlockingIOError:
                got.append(b"")
        return got


@_FAMILIES
def test_the_filter_lets_answers_through_and_nothing_else(family: int) -> None:
    unreachable = 3 if family == 4 else 1
    good = [
        *(
            _packet(family, 6, _tcp(80, port, 8, flags))
            for port in range(40_000, 40_004)
            for flags in (0x12, 0x14, 0x04)
        ),
        *(_error(family, unreachable, code, source_port=40_003) for code in range(4)),
        _error(family, 11 if family == 4 else 3, 0),
    ]
    other = [
        _packet(family, 6, _tcp(80, 39_999, 8, 0x12)),
        _packet(family, 6, _tcp(80, 40_004, 8, 0x12)),
        _packet(family, 6, _tcp(80, 40_001, 8, 0x10)),
        _packet(family, 6, _tcp(80, 40_001, 8, 0x02)),
        _packet(family, 17, struct.pack("!HHHH", 53, 40_001, 8, 0)),
        _error(family, unreachable, 1, source_port=39_999),
        _error(family, 0 if family == 4 else 129, 0),
        _error(family, 5 if family == 4 else 137, 0),
        b"",
        b"\x45",
        good[0][:20],
    ]
    program = syn_answers(family, 40_000, 4)
    assert _passes(program, good) == good
    assert _passes(program, other) == [b""] * len(other)


def test_the_filter_finds_segments_behind_ipv4_options() -> None:
    plain = _packet(4, 6, _tcp(80, 40_001, 8, 0x12))
    long = bytes([0x47]) + plain[1:20] + b"\1" * 8 + plain[20:]
    error = _error(4, 3, 13)
    behind = (
        bytes([0x46]) + error[1:20] + b"\1" * 4 + error[20:28] + bytes([0x46]) + error[29:48] + b"\1" * 4 + error[48:]
    )
    fragment = plain[:6] + struct.pack("!H", 185) + plain[8:]
    assert _passes(syn_answers(4, 40_000, 4), [long, behind, fragment]) == [long, behind, b""]
    assert read_ipv4(behind) == Answer(_THEIRS[4], 80, 40_001, 7, State.PROHIBITED)


@_FAMILIES
def test_the_filter_cuts_what_is_long(family: int) -> None:
    long = _packet(family, 6, _tcp(80, 40_001, 8, 0x12) + b"x" * 1000)
    assert _passes(syn_answers(family, 40_000, 4), [long]) == [long[:SNAP]]


@hypothesis.given(st.sampled_from([4, 6]), st.lists(st.binary(max_size=SNAP), max_size=20))
def test_what_the_filter_drops_the_reader_would_not_have_taken(family: int, packets: list[bytes]) -> None:
    error, protocols = (b"\3\1\0\0", (6, 1)) if family == 4 else (b"\1\1\0\0", (6, 58))
    shaped = []
    for number, packet in enumerate(packets):
        head = bytearray(packet)
        if len(head) > 60:
            head[0] = 0x45 if family == 4 else 0x60
            head[9 if family == 4 else 6] = protocols[number % 2]
            at = 20 if family == 4 else 40
            head[at : at + 4] = (struct.pack("!HH", 80, 40_002), error)[number % 2]
        shaped.append(bytes(head))
    for packet, passed in zip(shaped, _passes(syn_answers(family, 40_000, 4), shaped), strict=True):
        answer = _READ[family](packet)
        if answer is not None and 40_000 <= answer.source_port < 40_004:
            assert passed == packet


def test_only_advertisements_of_this_link_name_a_hardware_address() -> None:
    body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + _THEIRS[6] + b"\2\1" + b"\2\0\0\0\0\1"
    good = ipv6(_THEIRS[6], _OURS[6], 58, body, hops=255)
    assert read_advertisement(good) == (_THEIRS[6], b"\2\0\0\0\0\1")
    assert read_advertisement(ipv6(_THEIRS[6], _OURS[6], 58, body, hops=64)) is None
    multicast = ipv6(_THEIRS[6], _OURS[6], 58, body[:-6] + b"\3\0\0\0\0\1", hops=255)
    assert read_advertisement(multicast) is None
    assert read_advertisement(ipv6(_THEIRS[6], _OURS[6], 58, body[:-8] + b"\2\0" + b"\0" * 6, hops=255)) is None
    solicitation = ipv6(_THEIRS[6], _OURS[6], 58, b"\x87" + body[1:], hops=255)
    assert _passes(neighbour_advertisements(), [good, solicitation]) == [good, b""]


def test_only_arp_replies_name_a_hardware_address() -> None:
    def packet(operation: int, hardware: bytes) -> bytes:
        return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + hardware + _THEIRS[4] + bytes(6) + _OURS[4]

    assert read_arp_reply(packet(2, b"\2\0\0\0\0\1")) == (_THEIRS[4], b"\2\0\0\0\0\1")
    assert read_arp_reply(packet(1, b"\2\0\0\0\0\1")) is None
    assert read_arp_reply(packet(2, b"\xff" * 6)) is None
    assert read_arp_reply(packet(2, bytes(6))) is None


def test_every_icmp_word_has_a_meaning() -> None:
    for kind in range(256):
        for code in range(256):
            for state in (of_icmp4(kind, code), of_icmp6(kind, code)):
                assert state is None or MEANINGS[state].settled is not None
    assert set(MEANINGS) == set(State) - {State.GIVEN_UP, State.DOUBTED}


@hypothesis.given(st.lists(st.sampled_from([int(state) for state in MEANINGS]), max_size=300).map(bytes))
def test_packed_states_come_back(states: bytes) -> None:
    assert unpack_states(pack_states(states), len(states)) == states


@hypothesis.given(st.text(max_size=60), st.integers(0, 100))
def test_packed_states_from_nowhere_are_refused(text: str, count: int) -> None:
    with contextlib.suppress(ValueError):
        assert len(unpack_states(text, count)) <= count


def test_packed_states_are_bounded() -> None:
    bomb = pack_states(bytes(50_000_000))
    with pytest.raises(ValueError, match="unknown, or more than"):
        unpack_states(bomb, 100)
    with pytest.raises(ValueError, match="unknown, or more than"):
        unpack_states(pack_states(bytes([200])), 1)
