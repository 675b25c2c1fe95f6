"""Frames are what a target's kernel takes for good: checksums hold for every port without being written anew."""

import ctypes
import socket
import struct

import hypothesis
import pytest
from hypothesis import strategies as st

from probes.kit.raw.packets.cookie import Secret, secret, sequence
from probes.kit.raw.packets.frames import IP_BYTES, checksum, ethernet, pseudo_header, syn
from probes.kit.raw.packets.panel import Host, Panel
from probes.kit.raw.syscalls import Message

_SECRETS = st.builds(Secret, st.integers(0, 0xFFFF), st.integers(1, 0xFFFF))
_ADDRESSES = st.sampled_from([4, 16]).flatmap(lambda size: st.tuples(*[st.binary(min_size=size, max_size=size)] * 2))
_PORTS = st.integers(1, 65535)


def _check(packet: bytes) -> tuple[int, int, int]:
    """Check all checksums of an IP packet with a SYN; give its ports and sequence number."""
    if packet[0] >> 4 == 4:
        assert checksum(packet[:20]) == 0
        assert struct.unpack("!H", packet[2:4])[0] == len(packet)
        source, target, tcp = packet[12:16], packet[16:20], packet[20:]
    else:
        assert struct.unpack("!H", packet[4:6])[0] == len(packet) - 40
        source, target, tcp = packet[8:24], packet[24:40], packet[40:]
    assert checksum(pseudo_header(source, target, 6, len(tcp)) + tcp) == 0
    assert tcp[13] == 2
    source_port, port, number = struct.unpack("!HHI", tcp[:8])
    return source_port, port, number


@hypothesis.given(_ADDRESSES, _PORTS, _SECRETS, _PORTS)
def test_a_syn_is_well_formed(addresses: tuple[bytes, bytes], source_port: int, of: Secret, port: int) -> None:
    assert _check(syn(*addresses, source_port, of, port)) == (source_port, port, sequence(of, port))


@pytest.mark.parametrize("of", [Secret(0, 1), Secret(0xFFFF, 0xFFFF), Secret(0x1234, 0x8000), Secret(7, 2)])
def test_the_checksum_of_a_host_never_changes(of: Secret) -> None:
    source, target = socket.inet_aton("198.18.0.1"), socket.inet_aton("198.18.0.2")
    assert {syn(source, target, 40_000, of, port)[36:38] for port in range(1, 65536)} == {
        syn(source, target, 40_000, of)[36:38]
    }


def test_sequence_numbers_differ_by_port_and_host() -> None:
    key = bytes(range(32))
    one, other = secret(key, b"\1\2\3\4"), secret(key, b"\1\2\3\5")
    assert one != other
    # Ports 0 and 65535 are the same modulo 65535; nobody scans port 0.
    assert len({sequence(one, port) for port in range(1, 65536)}) == 65535
    assert secret(bytes(32), b"\1\2\3\4") != one


@hypothesis.given(
    st.sampled_from([4, 16]),
    st.lists(_SECRETS, min_size=1, max_size=40),
    st.lists(_PORTS, min_size=1, max_size=40, unique=True),
    st.integers(1, 17),
    st.booleans(),
)
def test_a_panel_holds_the_frames_that_would_be_built_one_by_one(
    size: int, secrets: list[Secret], ports: list[int], rows: int, linked: bool
) -> None:
    link = ethernet(b"\2" * 6, b"\4" * 6, 0x0800 if size == 4 else 0x86DD) if linked else b""
    source = bytes([198, 18, 0, 1]).rjust(size, b"\x20")
    hosts = [Host(str(number), number.to_bytes(size, "big"), source, of, link) for number, of in enumerate(secrets, 1)]
    panel = Panel(-1, hosts, ports, rows)
    step = max(1, len(ports) // len(hosts))
    for source_port in (40_000, 40_003):
        panel.dress(source_port)
        for first in range(0, len(ports), rows):
            count = panel.load(first)
            built = [
                link + syn(source, host.address, source_port, host.secret, ports[(row + number * step) % len(ports)])
                for row in range(first, min(first + rows, len(ports)))
                for number, host in enumerate(hosts)
            ]
            assert count == len(built)
            assert [panel.frame(number) for number in range(count)] == built


def test_a_panel_sends_exactly_the_frames_it_is_asked_for() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        link = ethernet(b"\2" * 6, b"\4" * 6, 0x0800)
        hosts = [Host(str(n), bytes([198, 18, 0, n]), bytes([198, 18, 1, 1]), Secret(n, n), link) for n in range(1, 4)]
        panel = Panel(here.fileno(), hosts, [22, 80, 443], 3)
        panel.dress(40_000)
        panel.load(0)
        assert panel.send(2, 5) == 5
        got = [there.recv(200) for _ in range(5)]
        assert got == [panel.frame(number) for number in range(2, 7)]
        assert [_check(frame[14:])[1] for frame in got] == [443, 80, 443, 22, 443]


def test_messages_are_laid_out_as_the_kernel_reads_them() -> None:
    # struct mmsghdr is a struct msghdr, padded, and its own count: 64 bytes where pointers have 8.
    assert ctypes.sizeof(Message) == 8 * ctypes.sizeof(ctypes.c_void_p)


@hypothesis.given(st.binary(max_size=80))
def test_a_checksum_makes_its_data_sum_to_zero(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + struct.pack("!H", checksum(data))) == 0


def test_header_sizes_are_what_frames_have() -> None:
    for size, family in ((4, 4), (16, 6)):
        assert len(syn(bytes(size), bytes(size), 1, Secret(1, 1))) == IP_BYTES[family] + 24
