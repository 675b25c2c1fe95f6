"""ipv6_reachability against real sites on one family, the other and both, and from vantage points that lack IPv6."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from probes.kit.errors import OptionError
from probes.kit.ipv6.vantage.gate import Endpoint, parse_endpoints
from probes.kit.sending.net import Net
from tests.probes.rig import LAB, NO_POLICY, Run, entry, net_of, run
from tests.probes.servers import named, nginx, udp_server
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes
from wire.digest import section_digest
from wire.types import Body, Outcome, Policy, RunStatus, TargetKind

NAME = "ipv6_reachability"
GATE = ["[2001:db8:c8::1]:443", "2001:db8:c8::2", "[2001:db8:c8::3]:53"]


class World:
    """A prober whose gateway is a namespace with name server, web server and the rest of the Internet in it."""

    def __init__(self, prober: Namespace, outside: Namespace, here: Attachment, there: Attachment) -> None:
        self.prober, self.outside, self.here, self.there = prober, outside, here, there
        self.four, self.six = str(there.v4.ip), str(there.v6.ip)

    def look(
        self, *targets: str, net: Net | None = None, policy: Policy = NO_POLICY, seconds: float = 60, **given: Any
    ) -> Run:
        options = {"targets": list(targets), "resolvers": [self.four], "self_targets": GATE, "timeout": 1.0, **given}
        return self.prober.call(run, NAME, options, net or net_of(*LAB), policy=policy, seconds=seconds)


@pytest.fixture
def world(netns: Namespaces) -> World:
    prober, outside = netns(), netns()
    here, there = netns.link(prober, outside)
    prober.run(["ip", "route", "add", "default", "via", str(there.v4.ip)])
    prober.run(["ip", "-6", "route", "add", "default", "via", str(there.v6.ip)])
    outside.run(["ip", "-6", "route", "add", "local", "2001:db8:c8::/64", "dev", "lo"])
    # The first packet over a new link may wait a second for its neighbour.
    prober.call(net_of(*LAB).connect, str(there.v6.ip), 9, 10)
    return World(prober, outside, here, there)


@pytest.fixture
def sites(world: World, process: Processes, needs: Callable[..., str], tmp_path: Path) -> World:
    four, six = world.four, world.six
    zone = f"""
both A {four}
both AAAA {six}
four A {four}
lame A {four}
lame AAAA 2001:db8:c8::99
half A {four}
half AAAA {six}
half AAAA 2001:db8:c8::99
six AAAA {six}
ula A {four}
ula AAAA fd00::1
ula AAAA ::ffff:198.18.0.1
wrong A {four}
wrong AAAA {six}
gone A 198.18.1.77
"""
    named(process, needs("named", package="bind9"), world.outside, tmp_path / "named", zone, four=four, six=six)
    world.outside.run(["ip", "-6", "address", "add", "2001:db8:c8::80/128", "dev", "lo"])
    servers = f"""
      server {{ listen {four}:80 default_server; listen [{six}]:80 default_server;
        location / {{ return 200 "hello"; }}
        location /away {{ return 301 https://elsewhere.example/; }}
        location /forbidden {{ return 403; }}
        location /broken {{ return 500; }}
        location /missing {{ return 404; }}
      }}
      server {{ listen {four}:80; server_name wrong.school.example; return 200 "hello"; }}
      server {{ listen [{six}]:80; server_name wrong.school.example; return 502; }}
    """
    nginx(process, needs("nginx"), world.outside, tmp_path / "nginx", servers, port=80)
    return world


def site(found: Run, name: str) -> tuple[object, object, object, Outcome]:
    line = found.of(name)
    assert (line.target.kind, line.method) == (TargetKind.SITE, "WEB-HTTP")
    return line.values["aaaa"], line.values["ipv4"], line.values["ipv6"], line.outcome


def test_sites_on_one_family_the_other_and_both(sites: World) -> None:
    expected = {
        "both.school.example": (True, "pass", "pass", Outcome.PASS),
        "four.school.example": (False, "pass", "fail", Outcome.FAIL),
        "six.school.example": (True, "fail", "pass", Outcome.WARN),
        "lame.school.example": (True, "pass", "fail", Outcome.FAIL),
        "half.school.example": (True, "pass", "pass", Outcome.WARN),
        "ula.school.example": (False, "pass", "fail", Outcome.FAIL),
        "http://wrong.school.example/": (True, "pass", "fail", Outcome.FAIL),
        "http://both.school.example/away": (True, "pass", "pass", Outcome.PASS),
        "http://both.school.example/forbidden": (True, "unknown", "unknown", Outcome.UNKNOWN),
        "http://both.school.example/broken": (True, "fail", "fail", Outcome.FAIL),
        "http://both.school.example/missing": (True, "fail", "fail", Outcome.FAIL),
        "missing.school.example": (False, "fail", "fail", Outcome.FAIL),
        f"http://{sites.four}/": (None, "pass", "fail", Outcome.FAIL),
        f"http://[{sites.six}]/": (None, "fail", "pass", Outcome.WARN),
    }
    found = sites.look(*expected)
    assert {name: site(found, name) for name in expected} == expected
    assert found.skipped == []
    both, lame = found.of("both.school.example"), found.of("lame.school.example")
    assert both.values["addresses"] == (sites.four, sites.six)
    assert both.values["ipv6_detail"] == "http 200"
    assert both.duration > 0
    assert "2001:db8:c8::99: https tcp: " in str(lame.values["ipv6_detail"])
    assert (lame.values["WEB-AAAA"], found.of("ula.school.example").values["WEB-AAAA"]) == ("pass", "fail")
    assert (found.progress[-1].done, found.progress[-1].total) == (len(expected) + 1, len(expected) + 1)


def test_what_this_machine_says_of_itself(sites: World) -> None:
    found = sites.look(resolvers=[sites.four, sites.six])
    verdicts = {item.method: (item.outcome, item.values.get("reason", "")) for item in found.observations}
    assert verdicts == {
        "NET-ADDR": (Outcome.PASS, ""),
        "NET-ROUTE": (Outcome.PASS, ""),
        "NET-RES6": (Outcome.PASS, ""),
        "NET-SELF": (Outcome.PASS, ""),
        "ipv6": (Outcome.PASS, ""),
    }
    assert {item.target.kind for item in found.observations} == {TargetKind.AGENT}
    assert found.of("self", "NET-ADDR").values["prefixes"] == (str(sites.here.v6.network),)
    assert found.of("self", "ipv6").values == {"ipv6": "pass", "reason": ""}


def test_the_picture_of_the_same_world_has_the_same_digest(sites: World) -> None:
    targets = ("both.school.example", "lame.school.example", "six.school.example")

    def digest() -> str:
        found = sites.look(*targets)
        return section_digest(NAME, RunStatus.DONE, "", Body(tuple(found.observations), (), tuple(found.skipped)))

    assert digest() == digest()


def unknown_for_others(found: Run, name: str = "both.school.example") -> None:
    line = found.of(name)
    assert (line.values["ipv4"], line.values["ipv6"], line.outcome) == ("pass", "unknown", Outcome.UNKNOWN)
    assert line.values["aaaa"] is True


def test_without_an_address_only_this_machine_fails(sites: World) -> None:
    sites.prober.run(["ip", "-6", "address", "flush", "dev", sites.here.interface, "scope", "global"])
    found = sites.look("both.school.example", "four.school.example")
    unknown_for_others(found)
    assert site(found, "four.school.example") == (False, "pass", "unknown", Outcome.UNKNOWN)
    assert found.of("self", "NET-ADDR").values == {"reason": "no_global_address"}
    assert found.of("self", "ipv6").values == {"ipv6": "fail", "reason": "no_global_address"}


def test_without_a_route_only_this_machine_fails(sites: World) -> None:
    sites.prober.run(["ip", "-6", "route", "del", "default"])
    found = sites.look("both.school.example")
    unknown_for_others(found)
    assert found.of("self", "NET-ROUTE").outcome is Outcome.FAIL
    assert found.of("self", "ipv6").values == {"ipv6": "fail", "reason": "no_default_route"}


def test_two_of_three_make_the_gate(sites: World, needs: Callable[..., str]) -> None:
    needs("nft", package="nftables")

    def drop(addresses: str) -> None:
        chain = f"type filter hook input priority 0;\n ip6 daddr {{ {addresses} }} drop\n"
        rules = f"flush ruleset\ntable inet f {{\n chain i {{\n{chain} }}\n}}\n"
        sites.outside.run(["sh", "-c", f"nft -f - <<'END'\n{rules}END\n"])

    drop("2001:db8:c8::3")
    found = sites.look("both.school.example")
    assert found.of("self", "NET-SELF").outcome is Outcome.PASS
    assert site(found, "both.school.example")[2] == "pass"
    drop("2001:db8:c8::2, 2001:db8:c8::3")
    found = sites.look("both.school.example")
    unknown_for_others(found)
    assert found.of("self", "ipv6").values == {"ipv6": "fail", "reason": "gate_silent: 2001:db8:c8::2, 2001:db8:c8::3"}


@pytest.mark.parametrize("gate", [[], GATE[:2], [GATE[0]] * 3])
def test_without_enough_gate_targets_nothing_is_claimed(sites: World, gate: list[str]) -> None:
    found = sites.look("both.school.example", self_targets=gate)
    unknown_for_others(found)
    assert found.of("self", "ipv6").values["ipv6"] == "unknown"
    assert str(found.of("self", "ipv6").values["reason"]).startswith("no_gate_targets: self_targets")


def test_a_gate_out_of_scope_is_unknown_and_says_how_to_open_it(sites: World) -> None:
    net = net_of("198.18.0.0/15", f"{sites.six}/128")
    found = sites.look("both.school.example", net=net)
    unknown_for_others(found)
    assert found.of("self", "ipv6").values["ipv6"] == "unknown"
    assert {item.what for item in found.skipped} == {
        "2001:db8:c8::1 port 443",
        "2001:db8:c8::2 port 443",
        "2001:db8:c8::3 port 53",
    }
    assert all("edusec scope add 2001:db8:c8::" in item.reason for item in found.skipped)


def test_targets_of_the_collector_are_looked_at_too(sites: World) -> None:
    policy = replace(NO_POLICY, targets=("both.school.example", "not a site", "four.school.example"))
    found = sites.look("four.school.example", policy=policy)
    assert [item.target.name for item in found.observations if item.target.kind is TargetKind.SITE] == [
        "four.school.example",
        "both.school.example",
    ]
    assert [(item.what, item.reason.partition(":")[0]) for item in found.skipped] == [("not a site", "not_http")]


def test_a_site_out_of_scope_is_skipped_and_nothing_is_sent_to_it(sites: World) -> None:
    net = net_of(entry(sites.four, "53"), "2001:db8:c8::/64")
    found = sites.look("both.school.example", net=net)
    assert {item.target.name for item in found.observations} == {"self"}
    assert [(item.what, item.reason) for item in found.skipped] == [
        (
            "both.school.example",
            "out_of_scope: edusec scope add both.school.example --authoriser NAME --reason TEXT --until DATE",
        )
    ]


def test_a_resolver_out_of_scope_is_named(sites: World) -> None:
    found = sites.look("both.school.example", net=net_of("2001:db8:c8::/64"))
    assert [item.what for item in found.skipped] == [f"both.school.example (DNS {sites.four} port 53)"]
    assert f"edusec scope add {sites.four} " in found.skipped[0].reason


def test_what_no_time_is_left_for_is_skipped(sites: World) -> None:
    found = sites.look("both.school.example", "four.school.example", seconds=1.0)
    assert [(item.what, item.reason) for item in found.skipped] == [
        ("both.school.example", "deadline"),
        ("four.school.example", "deadline"),
    ]


def test_no_resolver_means_unknown_not_unpublished(sites: World) -> None:
    found = sites.look("both.school.example", resolvers=["198.18.1.99"], timeout=0.3)
    assert site(found, "both.school.example") == (None, "unknown", "unknown", Outcome.UNKNOWN)
    assert found.of("both.school.example").values["ipv6_detail"] == "dns: timeout"


@pytest.fixture
def broken_dns() -> Callable[[bytes], list[bytes]]:
    def answer(query: bytes) -> list[bytes]:
        asked = dns.message.from_wire(query)
        response = dns.message.make_response(asked)
        if asked.question[0].rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text("www.school.example.", 60, "IN", "A", "127.0.0.1"))
        else:
            response.set_rcode(dns.rcode.SERVFAIL)
        return [response.to_wire()]

    return answer


def test_a_name_server_that_fails_on_aaaa_is_broken_and_its_aaaa_unknown(
    netns: Namespaces, broken_dns: Callable[[bytes], list[bytes]]
) -> None:
    space = netns()
    with space.call(_start, udp_server(broken_dns, port=53)):
        options = {"targets": ["www.school.example"], "resolvers": ["127.0.0.1"], "timeout": 0.5}
        found = space.call(run, NAME, options, net_of())
    line = found.of("www.school.example")
    assert (line.values["aaaa"], line.values["DNS-BROKEN"], line.values["ipv4"]) == (None, "fail", "fail")
    assert line.outcome is Outcome.UNKNOWN


def _start(manager: Any) -> Any:
    """Open a context manager inside a namespace; give one that only closes it."""
    manager.__enter__()

    class Opened:
        def __enter__(self) -> None: ...
        def __exit__(self, *details: object) -> None:
            manager.__exit__(*details)

    return Opened()


@pytest.mark.parametrize(
    ("servers", "outcome", "reason"),
    [
        (["127.0.0.53"], Outcome.UNKNOWN, "local_resolver"),
        (["198.18.1.2"], Outcome.WARN, "no_ipv6_resolver"),
        (["2001:db8:c8::99"], Outcome.FAIL, "resolver_silent: unreachable"),
    ],
)
def test_resolvers_are_judged_over_ipv6_alone(world: World, servers: list[str], outcome: Outcome, reason: str) -> None:
    found = world.look(resolvers=servers, timeout=0.3).of("self", "NET-RES6")
    assert (found.outcome, found.values["reason"]) == (outcome, reason)


def test_a_next_hop_that_nobody_heard_proves_nothing(world: World) -> None:
    prober, interface = world.prober, world.here.interface

    def verdict() -> tuple[Outcome, str]:
        line = world.look(self_targets=[]).of("self", "NET-ROUTE")
        return line.outcome, str(line.values.get("reason", "")).partition(":")[0]

    assert verdict() == (Outcome.PASS, "")
    prober.run(["ip", "-6", "route", "replace", "default", "via", "2001:db8:1::77", "dev", interface])
    assert verdict() == (Outcome.UNKNOWN, "gateway_not_heard")
    prober.run(["ip", "-6", "neigh", "add", "2001:db8:1::77", "dev", interface, "nud", "failed"])
    assert verdict()[0] in (Outcome.FAIL, Outcome.UNKNOWN)
    prober.run(["ip", "-6", "route", "replace", "default", "dev", interface])
    assert verdict() == (Outcome.PASS, "")
    prober.run(["ip", "-6", "route", "del", "default"])
    assert verdict() == (Outcome.FAIL, "no_default_route")


def test_unique_local_addresses_only_warn(world: World) -> None:
    prober, interface = world.prober, world.here.interface
    prober.run(["ip", "-6", "address", "flush", "dev", interface, "scope", "global"])
    prober.run(["ip", "-6", "address", "add", "fd00:1:2:3::5/64", "dev", interface, "nodad"])
    line = world.look(self_targets=[]).of("self", "NET-ADDR")
    assert (line.outcome, dict(line.values)) == (
        Outcome.WARN,
        {"prefixes": ("fd00:1:2:3::/64",), "reason": "only_local_addresses"},
    )


def test_a_transition_address_is_a_tunnel(world: World) -> None:
    prober, interface = world.prober, world.here.interface
    assert world.look(self_targets=[]).of("self", "NET-ADDR").values["tunnel"] is False
    prober.run(["ip", "-6", "address", "flush", "dev", interface, "scope", "global"])
    prober.run(["ip", "-6", "address", "add", "2002:c612:1::1/64", "dev", interface, "nodad"])
    assert world.look(self_targets=[]).of("self", "NET-ADDR").values["tunnel"] is True


def test_an_endpoint_without_a_port_means_443() -> None:
    assert parse_endpoints(["[2001:db8::1]:53", "2001:db8::2", "[2001:db8::3]"]) == (
        Endpoint(ip_address("2001:db8::1"), 53),  # type: ignore[arg-type]
        Endpoint(ip_address("2001:db8::2"), 443),  # type: ignore[arg-type]
        Endpoint(ip_address("2001:db8::3"), 443),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "text", ["198.18.0.1", "[198.18.0.1]:80", "www.a.cn", "[2001:db8::1]:0", "[2001:db8::1]:x", "[2001:db8::1", ""]
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(OptionError, match=r"self_targets: .*IPv6 address with a port"):
        run(NAME, {"self_targets": [text]}, net_of())


@pytest.mark.parametrize("key", ["targets", "resolvers"])
def test_other_options_are_checked(key: str) -> None:
    with pytest.raises(OptionError, match=f"^{NAME}: {key}: "):
        run(NAME, {key: ["a b"]}, net_of())
