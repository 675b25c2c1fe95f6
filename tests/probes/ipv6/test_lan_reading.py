"""What anybody on a link may send: read within bounds, never an error, and judged as the catalogue says."""

import itertools
import struct
from ipaddress import IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.ipv6.lan import judge_hosts, judge_routers, parse, write
from probes.kit.ipv6.lan.ear import Ear
from probes.kit.ipv6.lan.filters import link_talk
from probes.kit.ipv6.lan.headers import FRAGMENT, ICMP6, MAX_PARTS, Reassembly, Upper, walk
from probes.kit.ipv6.lan.judge_hosts import Bounds, Seen
from probes.kit.ipv6.lan.judge_routers import Allowed, parse_routers, parse_servers
from probes.kit.ipv6.lan.messages import MAX_ADVERTISEMENTS, MAX_HOSTS, MAX_LINES, HeardOnLink, ListenSaid, Querier
from probes.kit.ipv6.model import Check, Verdict
from probes.kit.raw.helper.messages import MAX_LINE_BYTES
from probes.kit.raw.packets.frames import checksum, ipv6, pseudo_header
from wire.codec import decode, encode

ROUTER, NODES = IPv6Address("fe80::1").packed, write.ALL_NODES
MAC = bytes.fromhex("020000000001")
PIO = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + IPv6Address("2001:db8:1::").packed
RDNSS = struct.pack("!BBHI", 25, 3, 0, 600) + IPv6Address("2001:db8:1::53").packed


def icmp(source: bytes, target: bytes, body: bytes) -> bytes:
    total = checksum(pseudo_header(source, target, ICMP6, len(body)) + body)
    return body[:2] + struct.pack("!H", total) + body[4:]


def ra(options: bytes = PIO + RDNSS, *, source: bytes = ROUTER, flags: int = 0, lifetime: int = 1800) -> bytes:
    return icmp(source, NODES, struct.pack("!BBHBBHII", 134, 0, 0, 64, flags, lifetime, 0, 0) + options)


def packet(payload: bytes, following: int = ICMP6, *, hops: int = 255, source: bytes = ROUTER) -> bytes:
    return ipv6(source, NODES, following, payload, hops=hops)


def heard(*packets: bytes, asked: bool = True, own: bool = False) -> HeardOnLink:
    ear = Ear("lan")
    for item in packets:
        ear.ipv6(item, MAC, own=own)
    return ear.told(asked=asked, seconds=10.0)


def pieces(payload: bytes, following: int, *cuts: int) -> list[bytes]:
    """Cut a payload at multiples of eight."""
    edges = [0, *cuts, len(payload)]
    found = []
    for start, stop in itertools.pairwise(edges):
        more = 1 if stop < len(payload) else 0
        head = struct.pack("!BBHI", following, 0, start | more, 7)
        found.append(packet(head + payload[start:stop], FRAGMENT))
    return found


def test_an_advertisement_is_read_whole() -> None:
    (found,) = heard(packet(ra(flags=0xC0))).advertisements
    assert (found.source, found.mac, found.hops, found.lifetime) == ("fe80::1", "02:00:00:00:00:01", 255, 1800)
    assert (found.managed, found.other, found.flaw, found.through) == (True, True, "", ())
    assert found.dns == ("2001:db8:1::53",)
    assert [(item.prefix, item.autonomous, item.on_link) for item in found.prefixes] == [
        ("2001:db8:1::/64", True, True)
    ]


@pytest.mark.parametrize(
    ("bytes_", "flaw"),
    [
        (packet(ra(), hops=64), "hop limit"),
        (packet(ra()[:10]), "malformed"),
        (packet(icmp(ROUTER, NODES, ra()[:2] + b"\0\0" + ra()[4:] + bytes(8))), "malformed"),
        (packet(ra()[:2] + b"\x12\x34" + ra()[4:]), "checksum"),
        (
            packet(
                ra(source=IPv6Address("2001:db8::1").packed), source=IPv6Address("2001:db8::1").packed
            ),
            "source not link-local",
        ),
        (packet(icmp(ROUTER, NODES, b"\x86\x01" + b"\0\0" + ra()[4:])), "code"),
    ],
)  # fmt: skip
def test_what_hosts_would_drop_says_why(bytes_: bytes, flaw: str) -> None:
    assert [item.flaw for item in heard(bytes_).advertisements] == [flaw]


@pytest.mark.parametrize("own_headers", [1, 3, 60])
def test_headers_are_walked_to_the_end(own_headers: int) -> None:
    pad = bytes([60, 0, 1, 4, 0, 0, 0, 0])
    chain = pad * (own_headers - 1) + bytes([ICMP6]) + pad[1:]
    (found,) = heard(packet(chain + ra(), 60)).advertisements
    assert found.through == ("destination options",) * own_headers


def test_a_chain_without_end_is_not_walked_for_ever() -> None:
    assert heard(packet(bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 5000, 60)).hidden == ("fe80::1 02:00:00:00:00:01",)


def test_pieces_are_put_together_in_any_order_and_both_ways_where_they_overlap() -> None:
    options = bytes([ICMP6, 2, 1, 20]) + bytes(20)
    payload = options + ra()
    made = pieces(payload, 60, 8, 40)
    for order in (made, made[::-1]):
        found = heard(*order)
        assert [item.through for item in found.advertisements if not item.flaw] == [
            ("fragment", "destination options"),
        ]
        # RFC 7112: the first piece has not the whole chain.
        assert found.hidden
    # A harmless first piece that a later one overwrites.
    harmless = icmp(ROUTER, NODES, bytes([128, 0, 0, 0]) + bytes(len(ra()) - 4))
    cover = pieces(harmless, ICMP6, 24)
    real = pieces(ra(), ICMP6, 24)
    for order in ([cover[0], real[0], real[1]], [real[0], cover[0], real[1]]):
        assert any(item.through == ("fragment",) for item in heard(*order).advertisements)


def test_pieces_that_never_end_are_forgotten() -> None:
    kept = Reassembly()
    for number in range(MAX_PARTS * 3):
        head = struct.pack("!BBHI", ICMP6, 0, 1, number)
        upper = walk(packet(head + bytes(8), FRAGMENT))
        assert upper is not None
        assert list(kept.add(upper)) == []
    assert len(kept._parts) == MAX_PARTS


def test_a_flood_is_told_as_one_and_fits_into_a_line() -> None:
    ear = Ear("lan")
    prefix = PIO * 32 + RDNSS * 32
    for number in range(MAX_ADVERTISEMENTS * 2):
        source = bytes.fromhex("fe80000000000000") + number.to_bytes(8, "big")
        options = b"".join(PIO[:16] + bytes([number, place]) + bytes(14) for place in range(40)) + prefix
        ear.ipv6(packet(ra(options, source=source), source=source), MAC, own=False)
    for number in range(MAX_HOSTS * MAX_LINES + 5):
        ear.arp(struct.pack("!HHBBH6sI", 1, 0x0800, 6, 4, 1, MAC, number + 1) + bytes(10), own=False)
    found = ear.told(asked=True, seconds=1.0)
    assert not found.complete
    line = encode(ListenSaid(heard=found))
    assert len(line) < MAX_LINE_BYTES
    assert decode(ListenSaid, line, MAX_LINE_BYTES).heard == found
    lines = ear.hosts()
    assert len(lines) == MAX_LINES
    assert all(len(encode(ListenSaid(hosts=hosts))) < MAX_LINE_BYTES for hosts in lines)
    assert judge_routers.hidden_router(found).code == "flooded"


SEEDS = (
    packet(ra()),
    packet(bytes([ICMP6, 0, 1, 4, 0, 0, 0, 0]) + ra(), 0),
    *pieces(bytes([ICMP6, 2, 1, 20]) + bytes(20) + ra(), 60, 24),
    packet(struct.pack("!HHHH", 547, 546, 60, 0) + b"\x07abc" + struct.pack("!HH", 2, 10) + bytes(10), 17),
    packet(icmp(ROUTER, NODES, bytes([130]) + bytes(27)), hops=1),
)


_Arrives = bytes | tuple[bytes, list[tuple[int, int]]]
"""Bytes of anybody, or a good packet with the places in which it is changed."""


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.tuples(
                st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6)
            ),
        ),
        max_size=8,
    ),
    st.binary(max_size=8),
    st.booleans(),
)
def test_nothing_that_arrives_is_an_error(items: list[_Arrives], hardware: bytes, own: bool) -> None:
    ear = Ear("lan", (b"12345678",))
    for item in items:
        if isinstance(item, bytes):
            raw = item
        else:
            seed, changes = item
            changed = bytearray(seed)
            for place, value in changes:
                changed[place % len(changed)] = value
            raw = bytes(changed)
        ear.ipv6(raw, hardware, own=own)
        ear.arp(raw, own=own)
    found = ear.told(asked=True, seconds=1.0)
    assert decode(ListenSaid, encode(ListenSaid(heard=found))).heard == found
    for hosts in ear.hosts():
        assert decode(ListenSaid, encode(ListenSaid(hosts=hosts))).hosts == hosts
    allowed = Allowed(parse_routers(["fe80::1"]), parse_servers(["none"]), "A")
    answers = dict.fromkeys(judge_routers.name_servers(found, allowed), (True, "ok"))
    for check in (
        judge_routers.advertised(found, allowed), judge_routers.mode(found, allowed),
        judge_routers.rogue_router(found, allowed), judge_routers.hidden_router(found),
        judge_routers.rogue_server(found, allowed), judge_routers.unique_local(found, allowed),
        judge_routers.dns_servers(found, allowed, answers), judge_hosts.querier(found, Bounds()),
    ):  # fmt: skip
        assert isinstance(check, Check)


def test_a_server_is_known_by_its_duid() -> None:
    body = b"\x07abc" + struct.pack("!HH", 2, 10) + bytes.fromhex("00030001020000000001")
    body += struct.pack("!HH", 23, 16) + IPv6Address("2001:db8::53").packed
    made = packet(struct.pack("!HHHH", 547, 546, 8 + len(body), 0) + body, 17)
    found = heard(made)
    assert [(item.duid, item.dns) for item in found.servers] == [("00030001020000000001", ("2001:db8::53",))]
    known = Allowed(servers=parse_servers(["00:03:00:01:02:00:00:00:00:01"]))
    assert judge_routers.rogue_server(found, known).verdict is Verdict.PASS
    other = Allowed(servers=parse_servers(["00:03:00:01:02:00:00:00:00:02"]))
    assert judge_routers.rogue_server(found, other).code == "rogue_dhcp6"
    assert judge_routers.rogue_server(heard(), known).code == "dhcp_silent"
    assert judge_routers.rogue_server(heard(asked=False), known).code == "dhcp_unasked"


@pytest.mark.parametrize("text", ["fe80::1%eth0", "2001:db8::1", "router", "fe80::1 02:00", "", "fe80::1  "])
def test_an_allow_list_of_routers_takes_link_local_addresses(text: str) -> None:
    if text.strip() == "fe80::1":
        assert parse_routers([text])[0].mac == ""
        return
    with pytest.raises(ValueError, match="is no link-local address"):
        parse_routers([text])


@pytest.mark.parametrize("text", ["", "xx", "0003", "00" * 131])
def test_an_allow_list_of_servers_takes_duids(text: str) -> None:
    with pytest.raises(ValueError, match="is no DUID"):
        parse_servers([text])
    assert parse_servers([]) is None
    assert parse_servers(["none"]) == frozenset()


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def test_coverage_lies_between_what_is_sure_and_what_is_possible() -> None:
    subnet, own = IPv4Network("10.0.0.0/24"), [mac(99)]
    four = {(f"10.0.0.{number}", mac(number)) for number in range(10)} | {("10.0.0.99", mac(99)), ("10.1.0.1", mac(50))}

    def cover(sure: int, link_local: int, *, asked: bool = True) -> Check:
        six = {(f"2001:db8::{number}", mac(number)) for number in range(sure)}
        six |= {(f"fe80::{number}", mac(number)) for number in range(sure, sure + link_local)}
        return judge_hosts.coverage(Seen(frozenset(four | six), asked=asked), subnet, own, Bounds())

    assert cover(9, 0).verdict is Verdict.PASS
    assert cover(8, 0).verdict is Verdict.WARN
    assert (cover(5, 1).verdict, cover(5, 1).code) == (Verdict.FAIL, "cover_low")
    assert cover(5, 5).code == "cover_unclear"
    assert cover(5, 0, asked=False).code == "cover_passive"
    assert dict(cover(5, 2).values) == {"numerator": 5, "possible": 7, "denominator": 10}
    assert judge_hosts.coverage(Seen(), subnet, own, Bounds()).code == "no_ipv4_hosts"


@pytest.mark.parametrize(
    ("used", "limit", "verdict"),
    [(0, 0, "unknown"), (69, 100, "pass"), (70, 100, "warn"), (89, 100, "warn"), (90, 100, "fail"), (5, 1, "fail")],
)
def test_the_neighbour_table_is_held_against_its_limit(used: int, limit: int, verdict: str) -> None:
    assert judge_hosts.table(used, limit, Bounds()).verdict == verdict


def test_an_address_made_of_the_mac_is_recognised() -> None:
    assert judge_hosts.shows_mac(IPv6Address("2001:db8::ff:fe00:1"), "02:00:00:00:00:01")
    assert not judge_hosts.shows_mac(IPv6Address("2001:db8::ff:fe00:2"), "02:00:00:00:00:01")
    few = Seen(frozenset({("2001:db8::1", mac(1))}))
    assert judge_hosts.privacy(few, Bounds()).code == "few_hosts"


def test_a_querier_may_be_silent_for_a_while() -> None:
    silent = HeardOnLink("lan", True, 254.0)
    assert judge_hosts.querier(silent, Bounds()).code == "mld_short"
    assert judge_hosts.querier(HeardOnLink("lan", True, 256.0), Bounds()).code == "mld_none"
    there = HeardOnLink("lan", True, 1.0, queriers=(Querier("fe80::1", mac(1), False, 2),))
    assert judge_hosts.querier(there, Bounds()).verdict is Verdict.PASS


def test_the_test_of_ra_guard_changes_nothing_at_hosts() -> None:
    mark = b"12345678"
    frames = write.guard_test(write.guard_source(mark), MAC, mark)
    ear, plain = Ear("lan", (mark,)), Ear("lan")
    for frame in frames.values():
        ear.ipv6(frame[14:], MAC, own=False)
        plain.ipv6(frame[14:], MAC, own=False)
    assert set(ear.told(asked=True, seconds=1.0).guard) == set(frames)
    assert ear.told(asked=True, seconds=1.0).advertisements == ()
    for item in plain.told(asked=True, seconds=1.0).advertisements:
        assert (item.lifetime, item.prefixes, item.dns, item.flaw) == (0, (), (), "")


def test_questions_are_what_their_standards_ask_for() -> None:
    asked = walk(write.router_solicitation(ROUTER, MAC)[14:])
    assert asked is not None
    assert (asked.hops, asked.payload[0], parse.checksum_holds(asked)) == (255, 133, True)
    nameless = walk(write.router_solicitation(None, MAC)[14:])
    assert nameless is not None
    assert (nameless.source, len(nameless.payload)) == (bytes(16), 8)  # RFC 4861 section 4.1: no option then
    for frame, kind in zip(write.dhcp_questions(ROUTER, MAC, b"abcdef"), (11, 1), strict=True):
        upper = walk(frame[14:])
        assert isinstance(upper, Upper)
        assert (upper.protocol, upper.payload[8]) == (17, kind)
        assert checksum(pseudo_header(upper.source, upper.target, 17, len(upper.payload)) + upper.payload) == 0


def test_the_filter_is_a_program_that_the_kernel_may_take() -> None:
    program = link_talk()
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096
