"""DNS over the sending layer: against named, and against servers that lie, babble or keep silent."""

import contextlib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.errors import OutOfScope
from probes.kit.exchange import resolve
from probes.kit.exchange.dns import Status, parse
from probes.kit.exchange.resolve import Answer, answers, lookup
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from tests.probes.rig import LAB, net_of
from tests.probes.servers import named, tcp_server, udp_server, wait_for_end
from tests.support.netns import Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.ports import free_port
from tests.support.processes import Processes

HERE = [ip_address("127.0.0.1")]
_ZONE = (
    """
www A 198.18.1.2
www AAAA 2001:db8:1::2
four A 198.18.1.4
six AAAA 2001:db8:1::6
alias CNAME www
loop CNAME pool
pool CNAME loop
outside CNAME www.elsewhere.example.
"""
    + "".join(f"c{n} CNAME c{n + 1}\n" for n in range(20))
    + "c20 A 198.18.1.20\nmany"
    + "".join(f" A 198.18.{n // 250}.{n % 250 + 1}\n" for n in range(300))
)


def ask(net: Net, name: str, kind: str, servers: list[Address], **how: float) -> Answer:
    return lookup(net, name, kind, servers, **{"timeout": 20.0, **how})  # type: ignore[arg-type]


@pytest.fixture
def world(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> tuple[Namespace, list[Address]]:
    """A prober, and a name server that it reaches over both families."""
    program = needs("named", package="bind9")
    prober, server = netns(), netns()
    _, there = netns.link(prober, server)
    named(process, program, server, tmp_path / "named", _ZONE, four=str(there.v4.ip), six=str(there.v6.ip))
    return prober, [ip_address(str(there.v4.ip)), ip_address(str(there.v6.ip))]


def test_against_named(world: tuple[Namespace, list[Address]]) -> None:
    prober, servers = world
    net = net_of(*LAB)

    def found(name: str, kind: str, which: int = 0) -> tuple[str, list[str]]:
        answer = prober.call(ask, net, name, kind, [servers[which]])
        return answer.status.value, [str(address) for address in answer.addresses]

    for which in (0, 1):
        assert found("www.school.example", "A", which) == ("ok", ["198.18.1.2"])
        assert found("WWW.School.Example.", "AAAA", which) == ("ok", ["2001:db8:1::2"])
    assert found("four.school.example", "AAAA") == ("nodata", [])
    assert found("six.school.example", "A") == ("nodata", [])
    assert found("missing.school.example", "AAAA") == ("nxdomain", [])
    assert found("www.elsewhere.example", "A") == ("refused", [])
    assert found("alias.school.example", "AAAA") == ("ok", ["2001:db8:1::2"])
    assert found("c12.school.example", "A") == ("ok", ["198.18.1.20"])
    for endless in ("c0.school.example", "loop.school.example"):
        assert found(endless, "A")[0] in ("broken", "servfail")
    # 300 addresses do not fit a datagram: the answer comes over TCP, and only so many of it are kept.
    status, addresses = found("many.school.example", "A")
    assert (status, len(addresses)) == ("ok", resolve.MAX_ADDRESSES)
    assert prober.call(answers, net, servers[1], timeout=20.0) is Status.REFUSED
    chain = prober.call(ask, net, "alias.school.example", "A", servers).chain
    assert chain == ("alias.school.example", "www.school.example")


def test_the_next_server_is_asked_when_one_is_silent(world: tuple[Namespace, list[Address]]) -> None:
    prober, servers = world
    silent = ip_address("198.18.1.99")
    answer = given_time(
        lambda seconds: prober.call(
            ask, net_of(*LAB), "www.school.example", "A", [silent, servers[0]], timeout=seconds
        ),
        lambda answer: answer.status is Status.OK,
        first=0.3,
    )
    assert answer.status is Status.OK


def test_a_server_out_of_scope_gets_nothing(world: tuple[Namespace, list[Address]]) -> None:
    prober, servers = world
    net = net_of("198.18.1.2/32")
    assert prober.call(ask, net, "www.school.example", "A", [servers[1], servers[0]]).status is Status.OK
    assert net.sent == 1
    with pytest.raises(OutOfScope, match=str(servers[1])):
        prober.call(ask, net, "www.school.example", "A", [servers[1]])


def test_a_domain_in_scope_lends_public_addresses_only(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    space = netns()
    # These public addresses are nobody's in a namespace that reaches nothing.
    zone = "www A 202.112.0.36\nwww A 10.0.0.9\nwww AAAA 2001:da8::36\nwww AAAA fd00::1\n"
    named(process, needs("named", package="bind9"), space, tmp_path / "named", zone, four="127.0.0.1")
    net = net_of("www.school.example")
    for kind in ("A", "AAAA"):
        assert len(space.call(ask, net, "www.school.example", kind, HERE).addresses) == 2
    assert net.gate("202.112.0.36", 443).address == "202.112.0.36"
    assert net.gate("2001:da8::36", 443).family == 6
    for special in ("10.0.0.9", "fd00::1"):
        with pytest.raises(OutOfScope):
            net.gate(special, 443)
    stranger = net_of()
    assert space.call(ask, stranger, "www.school.example", "A", HERE).status is Status.OK
    with pytest.raises(OutOfScope):
        stranger.gate("202.112.0.36", 443)


def test_localhost_is_never_asked_for() -> None:
    net = net_of()
    assert ask(net, "localhost", "A", []).addresses == (ip_address("127.0.0.1"),)
    assert ask(net, "www.localhost", "AAAA", []).addresses == (ip_address("::1"),)
    assert net.sent == 0


@pytest.mark.parametrize("name", ["", "a..b", "a b", "1.2.3.4", "x" * 300, "-a.cn"])
def test_what_is_no_domain_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ask(net_of(), name, "A", HERE)


def test_no_server_and_a_closed_one(free_port: Callable[..., int]) -> None:
    assert ask(net_of(), "a.cn", "A", []).status is Status.NO_RESOLVER
    assert ask(net_of(), "a.cn", "A", HERE, port=free_port()).status is Status.UNREACHABLE


def reply(query: bytes, *records: tuple[str, str, str], rcode: int = 0, flags: int = 0) -> dns.message.Message:
    """Make a proper response with (name, type, data) records."""
    response = dns.message.make_response(dns.message.from_wire(query))
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.flags |= flags
    for name, kind, data in records:
        response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, data))
    return response


def wire(query: bytes, *records: tuple[str, str, str], **how: int) -> bytes:
    return reply(query, *records, **how).to_wire(max_size=65535)


GOOD = ("www.a.cn.", "A", "198.18.0.9")


def other_id(query: bytes) -> bytes:
    return bytes([query[0] ^ 1]) + wire(query, GOOD)[1:]


def other_question(query: bytes) -> bytes:
    fake = dns.message.make_query("evil.a.cn.", "A", id=dns.message.from_wire(query).id)
    return wire(fake.to_wire(), ("evil.a.cn.", "A", "198.18.0.9"))


def pointer_loop(query: bytes) -> bytes:
    # A name that is a pointer to itself.
    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    question = b"\x03www\x01a\x02cn\x00\x00\x01\x00\x01"
    name = struct.pack("!H", 0xC000 | (len(header) + len(question)))
    return header + question + name + struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc6\x12\x00\x09"


_POISONED = """
import struct, dns.message
from probes.kit.exchange import resolve
from probes.kit.exchange.dns import parse
question = dns.message.make_query("www.school.example", "AAAA", use_edns=False)
head = question.to_wire()[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question.to_wire()[12:]
for kind in (255, 1):
    record = struct.pack(">HHHIH", 0xC00C, 28, kind, 60, 16) + bytes(15) + bytes([kind % 2])
    print(*resolve.read(question, parse(question, head + record), 0.0).addresses)
"""


def test_a_record_of_any_class_does_not_spoil_later_answers() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", _POISONED], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["::1"], done.stderr


@pytest.mark.parametrize(
    "garbage",
    [
        other_id,
        other_question,
        pointer_loop,
        lambda query: query,
        lambda _: b"",
        lambda query: query[:2],
        lambda query: wire(query, GOOD)[:-3],
        lambda query: query[:2] + b"\x81\x80" + b"\xff" * 600,
        lambda query: query[:4] + b"\xff\xff" * 4 + query[12:],
    ],
)
def test_garbage_is_told_from_an_answer(garbage: Callable[[bytes], bytes]) -> None:
    with udp_server(lambda query: [garbage(query)]) as port:
        answer = given_time(
            lambda seconds: ask(net_of(), "www.a.cn", "A", HERE, port=port, timeout=seconds),
            lambda answer: answer.status is not Status.TIMEOUT,
            first=0.2,
        )
    assert answer.status is Status.BROKEN
    with udp_server(lambda query: [garbage(query), wire(query, GOOD)]) as port:
        assert ask(net_of(), "www.a.cn", "A", HERE, port=port).addresses == (ip_address("198.18.0.9"),)


def test_endless_garbage_ends() -> None:
    with udp_server(lambda query: [other_id(query)] * 500) as port:
        assert ask(net_of(), "www.a.cn", "A", HERE, port=port, timeout=30).status is Status.BROKEN


@pytest.mark.parametrize(
    ("records", "how", "expected"),
    [
        ([("stranger.cn.", "A", "198.18.0.9")], {}, Status.NODATA),
        ([("www.a.cn.", "CNAME", "b.cn."), ("c.cn.", "A", "198.18.0.9")], {}, Status.NODATA),
        ([("www.a.cn.", "CNAME", "www.a.cn.")], {}, Status.BROKEN),
        ([("www.a.cn.", "CNAME", "b.cn."), ("b.cn.", "CNAME", "www.a.cn.")], {}, Status.BROKEN),
        ([GOOD], {"rcode": 2}, Status.SERVFAIL),
        ([GOOD], {"rcode": 3}, Status.NXDOMAIN),
        ([GOOD], {"rcode": 5}, Status.REFUSED),
        ([GOOD], {"rcode": 4}, Status.BROKEN),
        ([], {}, Status.NODATA),
    ],
)
def test_what_an_answer_says(records: list[tuple[str, str, str]], how: dict[str, int], expected: Status) -> None:
    with udp_server(lambda query: [wire(query, *records, **how)]) as port:
        answer = ask(net_of(), "www.a.cn", "A", HERE, port=port)
    assert (answer.status, answer.addresses) == (expected, ())


def test_thousands_of_records_are_bounded() -> None:
    def flood(connection: socket.socket) -> None:
        length = struct.unpack("!H", connection.recv(2))[0]
        query = connection.recv(length)
        records = [("www.a.cn.", "A", f"198.18.{n >> 8}.{n & 255}") for n in range(900)]
        packed = wire(query, *records)
        connection.sendall(struct.pack("!H", len(packed)) + packed)

    with _truncating(flood) as port:
        answer = ask(net_of(), "www.a.cn", "A", HERE, port=port)
    assert len(answer.addresses) == resolve.MAX_ADDRESSES


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"\x00\xff")
    for _ in range(250):
        time.sleep(0.05)
        connection.sendall(b"x")


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (lambda connection: connection.sendall(b"\xff\xff" + b"x" * 65535), Status.BROKEN),
        (lambda connection: connection.sendall(b"\x00\x04abcd"), Status.BROKEN),
        (lambda connection: connection.sendall(b"\x00\x00"), Status.BROKEN),
        (lambda connection: connection.sendall(b"\x00"), Status.UNREACHABLE),
        (lambda _: None, Status.UNREACHABLE),
        (_drip, Status.TIMEOUT),
        (wait_for_end, Status.TIMEOUT),
    ],
)
def test_a_second_way_that_does_not_work(talk: Callable[[socket.socket], None], expected: Status) -> None:
    with _truncating(talk) as port:
        seconds = 0.3 if expected is Status.TIMEOUT else 20
        assert ask(net_of(), "www.a.cn", "A", HERE, port=port, timeout=seconds).status is expected


@contextlib.contextmanager
def _truncating(talk: Callable[[socket.socket], None]):  # type: ignore[no-untyped-def]
    """Say "truncated" over UDP, so that the question comes again over TCP at the same port."""
    port = free_port()  # one that is free for both
    with udp_server(lambda query: [wire(query, flags=dns.flags.TC)], port=port), tcp_server(talk, port=port):
        yield port


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 255))
def test_no_bytes_crash_the_reader(tail: bytes, place: int, byte: int) -> None:
    question = dns.message.make_query("www.a.cn.", "A", use_edns=0)
    parse(question, question.to_wire()[:2] + tail)
    proper = bytearray(wire(question.to_wire(), ("www.a.cn.", "CNAME", "b.cn."), ("b.cn.", "A", "198.18.0.9")))
    proper[place % len(proper)] = byte
    response = parse(question, bytes(proper))
    if response is not None:
        resolve.read(question, response, 0.0)
