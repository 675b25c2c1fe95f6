"""Nothing outside the scope gets a packet, whatever scope and task: counted by the firewall of the receiving side."""

import contextlib
import json
import random
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Address, collapse_addresses

import pytest

from probes.kit.errors import Refused
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import Pace
from tests.probes.rig import entry, run
from tests.support.netns import Namespace, Namespaces

FOUR = [f"198.18.200.{number}" for number in range(8)]
SIX = [str(IPv6Address(f"2001:db8:c8::{number:x}")) for number in range(8)]
PORTS = (22, 80, 443)
_COUNT = """
table inet seen {
  set pairs4 { type ipv4_addr . inet_service; counter; flags dynamic; size 65536; }
  set pairs6 { type ipv6_addr . inet_service; counter; flags dynamic; size 65536; }
  chain in {
    type filter hook prerouting priority -300;
    meta l4proto { tcp, udp } ip daddr 198.18.200.0/24 update @pairs4 { ip daddr . th dport }
    meta l4proto { tcp, udp } ip6 daddr 2001:db8:c8::/64 update @pairs6 { ip6 daddr . th dport }
  }
}
"""


@pytest.fixture
def lab(netns: Namespaces, needs: object) -> tuple[Namespace, Namespace]:
    """A prober and a world that owns all addresses of the test and counts what arrives, pair by pair."""
    needs("nft", package="nftables")  # type: ignore[operator]
    prober, world = netns(), netns()
    _, there = netns.link(prober, world)
    for family, prefix, gateway in (("-4", "198.18.200.0/24", there.v4.ip), ("-6", "2001:db8:c8::/64", there.v6.ip)):
        prober.run(["ip", family, "route", "add", prefix, "via", str(gateway)])
        world.run(["ip", family, "route", "add", "local", prefix, "dev", "lo"])
    world.run(["sh", "-c", f"nft -f - <<'END'\n{_COUNT}END\n"])
    return prober, world


def seen(world: Namespace) -> set[tuple[str, int]]:
    """The (address, port) pairs that got a packet."""
    found = set()
    for name in ("pairs4", "pairs6"):
        listed = json.loads(world.run(["nft", "-j", "list", "set", "inet", "seen", name]).stdout)["nftables"][1]["set"]
        for item in listed.get("elem", ()):
            address, port = item["elem"]["val"]["concat"]
            found.add((address, int(port)))
    return found


def test_every_way_out_and_any_scope(lab: tuple[Namespace, Namespace]) -> None:
    prober, world = lab
    dice = random.Random(1122)
    ever: set[tuple[str, int]] = set()
    now = datetime.now(UTC)  # midnight does not come meanwhile
    for _ in range(15):
        world.run(["nft", "flush", "ruleset"])
        world.run(["sh", "-c", f"nft -f - <<'END'\n{_COUNT}END\n"])
        entries = []
        for _ in range(dice.randrange(4)):
            base, longest = dice.choice([("198.18.200.", 32), ("2001:db8:c8::", 128)])
            length = longest - dice.randrange(3)
            first = dice.randrange(8) >> (longest - length) << (longest - length)
            ports = dice.choice(["", "22", "80,443"])
            until = dice.choice([30, 30, 0, -1])
            entries.append(entry(f"{base}{first:x}/{length}", ports, until))
        scope = Scope(entries)
        allowed = {
            (address, port)
            for address in (*FOUR, *SIX)
            for port in (*PORTS, 53)
            if scope.allows_address(address, port, now.date())
        }
        net = Net(scope, pace=Pace(1e6), clock=now.timestamp)
        given = {
            "targets": ["198.18.200.0/29", "2001:db8:c8::/125"],
            "ports": "22,80,443",
            "timeout": 0.3,
            "retries": 0,
        }
        found = prober.call(run, "open_ports", given, net)
        prober.call(_one_by_one, net)
        got = seen(world)
        assert got == allowed
        ever |= allowed
        assert found.open() == set()
    assert len(ever) > 20, "these scopes allowed next to nothing, so next to nothing was compared"


def _one_by_one(net: Net) -> None:
    for address in (*FOUR, *SIX, *(f"::ffff:{text}" for text in FOUR)):
        for port in PORTS:
            with contextlib.suppress(Refused):
                net.connect(address, port, 0.3)
        with contextlib.suppress(Refused, OSError), net.datagrams(address, 53) as line:
            line.send(b"x")


@pytest.mark.parametrize("looks", [12, 24])
def test_a_scope_that_ends_between_plan_and_start_or_during_a_scan_stops_it(
    lab: tuple[Namespace, Namespace], monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    prober, world = lab
    monkeypatch.setattr("probes.kit.sending.net._TIME_CHECK_SECONDS", 0.0)
    midnight, now = {"left": looks}, datetime.now(UTC)

    def clock() -> float:
        midnight["left"] -= 1
        return (now + timedelta(days=midnight["left"] < 0)).timestamp()

    net = Net(Scope([entry("198.18.200.0/24", days=0)]), pace=Pace(200, burst=1), clock=clock)
    given = {"targets": ["198.18.200.0/29"], "ports": "1-1000", "timeout": 0.3}
    found = prober.call(run, "open_ports", given, net)
    assert 0 < len(seen(world)) < 4000
    assert [*collapse_addresses(map(IPv4Network, {item.what for item in found.skipped}))] == [
        IPv4Network("198.18.200.0/29")
    ]
    assert found.coverage == []
