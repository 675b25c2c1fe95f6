"""Zone verdicts without a network, and name servers that lie, hang and lead in circles on loopback."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.exchange.dns import Status
from probes.kit.ipv6.catalogue.checks import CATALOGUE, WHY
from probes.kit.ipv6.model import Check, Verdict
from probes.kit.ipv6.zone import judge
from probes.kit.ipv6.zone.ask import Asker, reverse_name
from probes.kit.ipv6.zone.chain import MAX_QUESTIONS, ROOTS, Walk, chain
from probes.kit.ipv6.zone.judge import Held, Server, Spoken
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from tests.support.patience import given_time
from tests.support.ports import free_port

ONE, TWO = IPv6Address("3000::1"), IPv6Address("3000::2")
HOST = dns.name.from_text("www.school.test")
STATUS = st.sampled_from(Status)


def verdict(check: Check) -> tuple[Verdict, str]:
    """What tests compare; every code has words."""
    assert check.id in CATALOGUE
    assert not check.code or check.code in WHY
    return check.verdict, check.code


def test_name_servers_with_aaaa() -> None:
    both = Server("a.test", (ONE,)), Server("b.test", (TWO,))
    none, blind = Server("c.test", ()), Server("d.test", (), known=False)
    assert verdict(judge.servers_published([*both, none])) == (Verdict.PASS, "")
    assert verdict(judge.servers_published([both[0], none])) == (Verdict.WARN, "ns_one")
    assert verdict(judge.servers_published([none])) == (Verdict.FAIL, "ns_none")
    for mixed in ([], [none, blind], [both[0], blind]):
        assert judge.servers_published(mixed).verdict is Verdict.UNKNOWN


def spoken(udp: Status, tcp: Status, refused: str = "") -> Spoken:
    return Spoken("a.test", str(ONE), udp, tcp, refused)


def test_name_servers_that_answer() -> None:
    good, silent = spoken(Status.OK, Status.OK), spoken(Status.TIMEOUT, Status.TIMEOUT)
    udp_only, ours = (
        spoken(Status.OK, Status.UNREACHABLE),
        spoken(Status.NO_RESOLVER, Status.NO_RESOLVER, "out_of_scope"),
    )
    assert verdict(judge.servers_reachable([good, good])) == (Verdict.PASS, "")
    assert verdict(judge.servers_reachable([good, silent])) == (Verdict.WARN, "ns_partly")
    assert verdict(judge.servers_reachable([silent, silent])) == (Verdict.FAIL, "ns_silent")
    assert verdict(judge.servers_reachable([udp_only])) == (Verdict.WARN, "ns_silent")
    for mixed in ([], [ours], [good, ours], [silent, ours]):
        assert judge.servers_reachable(mixed).verdict is Verdict.UNKNOWN


def test_glue_is_for_servers_inside_the_zone_only() -> None:
    inside = [Server("ns.school.test", (ONE,)), Server("ns.elsewhere.test", (TWO,))]
    assert verdict(judge.glue("school.test", inside, {"ns.school.test": (ONE,)})) == (Verdict.PASS, "")
    assert verdict(judge.glue("school.test", inside, {})) == (Verdict.FAIL, "glue_missing")
    assert verdict(judge.glue("school.test", inside, {"ns.school.test": (TWO,)})) == (Verdict.FAIL, "glue_differs")
    assert judge.glue("school.test", inside, None).verdict is Verdict.UNKNOWN
    assert judge.glue("school.test", inside[1:], None).verdict is Verdict.INFO
    assert judge.glue("ool.test", [Server("ns.school.test", (ONE,))], None).verdict is Verdict.INFO


def test_both_families_hold_the_same() -> None:
    four, six = Held("a", 4, 7, ("3000::1",)), Held("a", 6, 7, ("3000::1",))
    assert verdict(judge.consistent([four, six])) == (Verdict.PASS, "")
    assert verdict(judge.consistent([four, Held("b", 6, 8, ("3000::1",))])) == (Verdict.FAIL, "consist_serial")
    assert verdict(judge.consistent([four, Held("b", 6, 7, ())])) == (Verdict.FAIL, "consist_data")
    assert judge.consistent([four, Held("b", 6, 7, None)]).verdict is Verdict.PASS
    assert judge.consistent([four]).verdict is Verdict.UNKNOWN
    assert judge.consistent([six]).verdict is Verdict.INFO


def test_an_alias_chain_must_end_with_aaaa() -> None:
    def of(*chain: str, aaaa: bool | None = True, loops: bool = False) -> tuple[Verdict, str]:
        return verdict(judge.aliases(chain, Status.OK, aaaa, has_ipv4=True, loops=loops))

    assert of("a") == (Verdict.INFO, "")
    assert of("a", "b") == (Verdict.PASS, "")
    assert of("a", "b", aaaa=False) == (Verdict.FAIL, "cname_v4_only")
    assert of("a", "b", aaaa=None)[0] is Verdict.UNKNOWN
    assert of("a", "b", "a", aaaa=None, loops=True) == (Verdict.FAIL, "cname_loop")


@given(st.lists(st.tuples(st.just("server"), STATUS, STATUS), max_size=6))
def test_aaaa_is_broken_only_where_a_works(pairs: list[tuple[str, Status, Status]]) -> None:
    check = judge.broken(pairs)
    if check.verdict is Verdict.FAIL:
        assert any(a is Status.OK and aaaa not in (Status.OK, Status.NODATA) for _, a, aaaa in pairs)
    if check.verdict is Verdict.PASS:
        assert not any(a is Status.OK and aaaa in (Status.SERVFAIL, Status.NXDOMAIN) for _, a, aaaa in pairs)


def test_reverse_names_mail_and_senders() -> None:
    assert verdict(judge.reverse({"3000::1": "www.school.test"})) == (Verdict.PASS, "")
    assert verdict(judge.reverse({"3000::1": "", "3000::2": "x"})) == (Verdict.WARN, "ptr_missing")
    assert judge.reverse({"3000::1": None}).verdict is Verdict.UNKNOWN
    assert judge.reverse({}).verdict is Verdict.UNKNOWN
    assert verdict(judge.mail({"a": False, "b": True})) == (Verdict.PASS, "")
    assert verdict(judge.mail({"a": False})) == (Verdict.WARN, "mx_v4_only")
    assert judge.mail({"a": False, "b": None}).verdict is Verdict.UNKNOWN
    assert judge.mail({}).verdict is Verdict.INFO
    assert verdict(judge.sender_policy("v=spf1 ip4:198.18.0.1 -all")) == (Verdict.WARN, "spf_v4_only")
    assert verdict(judge.sender_policy("v=spf1 ip4:198.18.0.1 ip6:3000::1 -all")) == (Verdict.PASS, "")
    assert verdict(judge.sender_policy("v=spf1 mx -all")) == (Verdict.PASS, "")
    assert judge.sender_policy(None).verdict is Verdict.INFO
    assert {judge.signed(True).code, judge.signed(False).code} == {"signed", "unsigned"}
    assert reverse_name(ip_address("198.18.0.1")).to_text() == "1.0.18.198.in-addr.arpa."


def test_the_root_hints_are_thirteen_addresses() -> None:
    assert len({IPv6Address(text) for text in ROOTS}) == 13


# Name servers on loopback.

Say = Callable[[dns.message.Message], list[bytes]]


@contextmanager
def name_server(udp: Say, tcp: Callable[[dns.message.Message], bytes] | None = None) -> Iterator[int]:
    """Answer each question with some datagrams, or with some bytes by TCP, until the end of the test."""
    port = free_port("::1")
    with (
        socket.create_server(("::1", port), family=socket.AF_INET6) as listener,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("::1", port))
        stop = threading.Event()

        def serve_udp() -> None:
            while not stop.is_set():
                wire, peer = datagrams.recvfrom(4096)
                if len(wire) < 12:
                    return
                for reply in udp(dns.message.from_wire(wire)):
                    datagrams.sendto(reply, peer)

        def serve_tcp() -> None:
            while tcp is not None:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                # Whoever asks may have had enough and left, before it asked or before the end of the answer.
                with line, contextlib.suppress(OSError, dns.exception.FormError):
                    line.settimeout(10)
                    length = int.from_bytes(line.recv(2), "big")
                    line.sendall(tcp(dns.message.from_wire(line.recv(length))))
                    line.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=serve_udp), threading.Thread(target=serve_tcp)]
        for thread in threads:
            thread.start()
        try:
            yield port
        finally:
            stop.set()
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("::1", port))
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def put(question: dns.message.Message, *records: dns.rrset.RRset, section: str = "answer", flags: int = 0) -> bytes:
    """A response with some records."""
    response = dns.message.make_response(question)
    response.flags |= flags
    getattr(response, section).extend(records)
    return response.to_wire(max_size=65535)


def question_of(udp: Say, tcp: Callable[[dns.message.Message], bytes] | None, seconds: float) -> Status:
    """What comes of one question to such a server."""
    with name_server(udp, tcp) as port:
        return Asker(Net(Scope()), seconds, port).ask(HOST, RdataType.AAAA, ip_address("::1")).status


def truncated(question: dns.message.Message) -> list[bytes]:
    return [put(question, flags=dns.flags.TC)]


def thousands(question: dns.message.Message) -> bytes:
    records = dns.rrset.from_text(HOST, 60, "IN", "AAAA", *(f"3000::{number:x}" for number in range(1, 2300)))
    wire = put(question, records)
    return len(wire).to_bytes(2, "big") + wire


def test_thousands_of_records_are_read_and_cut() -> None:
    with name_server(truncated, thousands) as port:
        reply = Asker(Net(Scope()), 20, port).ask(HOST, RdataType.AAAA, ip_address("::1"))
    assert reply.status is Status.OK
    assert len(reply.addresses(HOST)) == 16


def other_id(question: dns.message.Message) -> list[bytes]:
    question.id ^= 1
    return [put(question)] * 3


@pytest.mark.parametrize(
    ("udp", "tcp", "status"),
    [
        (lambda _: [], None, Status.TIMEOUT),
        (lambda _: [b"x"] * 100, None, Status.BROKEN),
        (other_id, None, Status.BROKEN),
        (lambda question: [question.to_wire()[:2] + b"\xc0\x0c" * 30], None, Status.BROKEN),
        (truncated, None, Status.TIMEOUT),
        (truncated, lambda _: b"\xff\xff" + b"x" * 20, Status.UNREACHABLE),
        (truncated, lambda _: b"\x00\x04junk", Status.BROKEN),
        (truncated, lambda _: b"", Status.UNREACHABLE),
    ],
)
def test_whatever_a_name_server_says_ends(
    udp: Say, tcp: Callable[[dns.message.Message], bytes] | None, status: Status
) -> None:
    found = given_time(lambda seconds: question_of(udp, tcp, seconds), lambda found: found is status, first=0.5)
    assert found is status


def test_a_server_out_of_scope_is_not_asked() -> None:
    net = Net(Scope())
    reply = Asker(net, 0.5).ask(HOST, RdataType.AAAA, ip_address("3000::53"))
    assert reply.refused.startswith("out_of_scope")
    assert net.sent == 0
    walk = Walk(Asker(net, 0.5), [IPv6Address("3000::53")])
    assert verdict(chain(walk, dns.name.from_text("school.test"))) == (Verdict.UNKNOWN, "out_of_scope")


def referral(zone: str, *servers: str, glue: str = "") -> Say:
    """A server that always refers to the same place."""

    def say(question: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(question)
        response.authority.append(dns.rrset.from_text(zone, 60, "IN", "NS", *servers))
        if glue:
            response.additional.append(dns.rrset.from_text(servers[0], 60, "IN", "AAAA", glue))
        return [response.to_wire()]

    return say


@pytest.mark.parametrize(
    "say",
    [
        referral("test.", "ns.test.", glue="::1"),  # the same zone again and again
        referral(".", "ns.test.", glue="::1"),  # upwards
        referral("elsewhere.", "ns.elsewhere.", glue="::1"),  # aside
        referral("test.", "ns.test."),  # no IPv6 glue
        referral("test.", *(f"ns{number}.other." for number in range(13))),  # servers that only the same server knows
        lambda question: [put(question)],  # neither an answer nor a referral
        lambda _: [],
    ],
)
def test_a_chain_that_leads_nowhere_is_broken_and_ends(say: Say) -> None:
    with name_server(say) as port:
        walk = Walk(Asker(Net(Scope()), 0.3, port), [IPv6Address("::1")])
        assert verdict(chain(walk, dns.name.from_text("school.test"))) == (Verdict.FAIL, "chain_broken")
    assert 0 <= walk.left < MAX_QUESTIONS
