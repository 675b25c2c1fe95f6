"""The probe of the first hop: what it sends, what it may say without a list, RA guard, and the way to an alert."""

import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from agent.probing.job import Job
from agent.probing.runner import run as run_in_child
from collector.memory.directory import AgentIdentity
from probes.kit.ipv6.model import VERDICTS
from probes.kit.sending.pacing import QuietHours
from tests.probes.ipv6.lan_lab import DUID, Lan, LanLab
from tests.probes.rig import Run, entry, net_of, run
from tests.support.collectors import Clock, Desk, desk
from tests.support.netns import Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import Processes
from wire.types import RunStatus

pytestmark = pytest.mark.timeout(200)
SCOPE = ("198.18.0.0/15", "2001:db8::/32", "fe80::/64")
COUNTERS = """
table ip6 seen {
  counter rs { }
  counter dhcp { }
  counter everybody { }
  chain in {
    type filter hook prerouting priority -400;
    icmpv6 type echo-request ip6 daddr ff02::1 counter name everybody
    icmpv6 type nd-router-solicit counter name rs
    udp dport 547 counter name dhcp
  }
}
"""


@pytest.fixture
def lab(netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path) -> LanLab:
    return LanLab(netns, process, needs, tmp_path)


def look(lab: LanLab, lan: Lan, *scope: str, seconds: float = 150, **options: object) -> Run:
    full = {"interfaces": [lan.interface], "listen": 2.0, "timeout": 1.0, **options}
    return lab.agent.call(run, "lan_ipv6", full, net_of(*scope), seconds=seconds)


def told(found: Run, check: str) -> tuple[str, str]:
    (item,) = [item for item in found.observations if item.method == check]
    return VERDICTS[item.outcome].value, str(item.values.get("code", ""))


def evidence(found: Run, check: str) -> str:
    return "\n".join(str(item.values.get("evidence", "")) for item in found.observations if item.method == check)


def load(space: Namespace, rules: str, needs: Callable[..., str]) -> None:
    needs("nft", package="nftables")
    space.run(["sh", "-c", f"nft -f - <<'END'\n{rules}END\n"])


def counted(space: Namespace) -> dict[str, int]:
    listed = json.loads(space.run(["nft", "-j", "list", "counters"]).stdout)["nftables"]
    return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}


def router_of(lan: Lan) -> str:
    return lan.link_local(lan.router, lan.there.interface)


def test_it_asks_once_where_the_link_is_in_scope_and_else_sends_nothing(lab: LanLab, needs: Callable[..., str]) -> None:
    lan = lab.lan("one")
    lab.settle()
    lab.good(lan)
    load(lan.router, COUNTERS, needs)
    lists = {"routers": [router_of(lan)], "dhcp_servers": [DUID], "flags": "OA"}
    # Part of the link is not enough: everybody on it gets what is sent to a group.
    watched = given_time(
        lambda seconds: look(lab, lan, "198.18.0.0/15", f"{lan.prefix}1:0:0:0/80", listen=seconds, **lists),
        lambda found: told(found, "LAN-RA") == ("pass", ""),
        first=5.5,
    )
    assert counted(lan.router) == {"rs": 0, "dhcp": 0, "everybody": 0}
    assert [item.reason.partition(":")[0] for item in watched.skipped] == ["out_of_scope"]
    assert told(watched, "LAN-RA") == ("pass", "")  # radvd speaks at least every five seconds
    assert told(watched, "LAN-ROGUERA") == ("unknown", "ra_listened")
    assert told(watched, "LAN-RAEXT") == ("unknown", "ra_listened")
    assert told(watched, "LAN-ROGUEDHCP6") == ("unknown", "dhcp_unasked")
    assert told(watched, "LAN-RDNSS") == ("unknown", "out_of_scope")
    assert told(watched, "LAN-MLD") == ("pass", "")
    assert told(watched, "LAN-RAGUARD") == ("unknown", "guard_off")
    asked = look(lab, lan, *SCOPE, **lists)
    assert counted(lan.router) == {"rs": 1, "dhcp": 2, "everybody": 0}
    assert asked.skipped == []
    for check in ("LAN-RA", "LAN-MODE", "LAN-ROGUERA", "LAN-RAEXT", "LAN-ROGUEDHCP6", "LAN-RDNSS"):
        assert told(asked, check) == ("pass", ""), check
    # Without lists nobody is called a stranger, but everybody is named, ready to be copied.
    open_minded = look(lab, lan, *SCOPE)
    assert told(open_minded, "LAN-ROGUERA") == ("unknown", "no_router_list")
    assert router_of(lan) in evidence(open_minded, "LAN-ROGUERA")
    assert told(open_minded, "LAN-ROGUEDHCP6") == ("unknown", "no_dhcp_list")
    assert f"DUID {DUID}" in evidence(open_minded, "LAN-ROGUEDHCP6")
    assert told(open_minded, "LAN-MODE") == ("info", "mode_no_policy")
    # A server where there must be none, and the right address at another MAC.
    strict = look(
        lab, lan, *SCOPE, dhcp_servers=["none"], routers=[f"{router_of(lan)} 02:00:00:00:00:01"], table_limit=2
    )
    assert told(strict, "LAN-ROGUEDHCP6") == ("fail", "rogue_dhcp6")
    assert told(strict, "LAN-ROGUERA") == ("fail", "rogue_ra")
    assert "address of a known router" in evidence(strict, "LAN-ROGUERA")
    assert told(strict, "LAN-RA") == ("unknown", "ra_silent")
    # The neighbour table holds the router and perhaps a few more: more than 90 % of two.
    assert told(strict, "LAN-NDCACHE") == ("fail", "ndcache_full")
    assert told(open_minded, "LAN-NDCACHE")[0] == "pass"


def test_quiet_hours_that_begin_while_it_listens_keep_the_questions_to_hosts_back(
    lab: LanLab, needs: Callable[..., str]
) -> None:
    lan = lab.lan("quiet")
    lab.settle()
    load(lan.router, COUNTERS, needs)
    noon = datetime.now().astimezone().replace(hour=12, minute=5)
    net = net_of(
        *SCOPE,
        quiet=(QuietHours.parse("13:00-14:00"),),
        clock=lambda: noon.replace(hour=13 if counted(lan.router)["rs"] else 12).timestamp(),
    )
    given = {"interfaces": [lan.interface], "listen": 2.0, "ask_hosts": True}
    found = lab.agent.call(run, "lan_ipv6", given, net)
    assert counted(lan.router) == {"rs": 1, "dhcp": 2, "everybody": 0}
    assert [item.reason for item in found.skipped] == ["quiet_hours: 13:00-14:00"]
    look(lab, lan, *SCOPE, ask_hosts=True)
    assert counted(lan.router)["everybody"] > 0


def test_without_the_privilege_it_says_what_is_needed(lab: LanLab, needs: Callable[..., str]) -> None:
    setpriv = needs("setpriv", package="util-linux")
    code = "from tests.probes.rig import net_of, run\nrun('lan_ipv6', {}, net_of())"
    argv = [setpriv, "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--", sys.executable, "-c", code]
    done = lab.agent.run(argv, check=False)
    assert done.stderr.splitlines()[-1].endswith("CannotRun: no_listening: CAP_NET_RAW")


def test_its_own_announcements_are_those_of_a_known_router(
    lab: LanLab, process: Processes, needs: Callable[..., str]
) -> None:
    lan = lab.lan("own")
    lab.settle()
    config = lab.write(
        "own.conf",
        f"interface {lan.interface} {{ AdvSendAdvert on; MaxRtrAdvInterval 4; MinRtrAdvInterval 3;"
        f" prefix {lan.prefix}/64 {{ }}; }};\n",
    )
    lab.agent.sysctl("net.ipv6.conf.all.forwarding", 1)
    argv = [needs("radvd"), "-n", "-C", config, "-p", lab.folder / "own.pid", "-m", "stderr"]
    process(argv, ready="version .* started", netns=lab.agent)
    found = given_time(
        lambda seconds: look(lab, lan, *SCOPE, listen=seconds, routers=["fe80::1"]),
        lambda found: told(found, "LAN-RA") == ("pass", ""),
        first=5,
    )
    assert told(found, "LAN-ROGUERA") == ("pass", "")
    assert told(found, "LAN-RA") == ("pass", "")
    assert "(this machine)" in evidence(found, "LAN-ROGUERA")


def test_link_local_name_servers_and_pref64(lab: LanLab, process: Processes, needs: Callable[..., str]) -> None:
    lan = lab.lan("local")
    lab.settle()
    lab.radvd(lan, dns=(router_of(lan),))
    lab.dnsmasq(lan)
    script = Path(__file__).with_name("send_ra.py")
    words = [lan.there.interface, router_of(lan), "255", "64:ff9b::/96"]
    process([sys.executable, script, *words], ready="ready", netns=lan.router)
    found = look(lab, lan, *SCOPE)
    assert told(found, "LAN-RDNSS") == ("pass", "")
    (seen,) = [item for item in found.observations if item.method == "LAN-RA"]
    assert seen.values["pref64"] == ("64:ff9b::/96",)


def test_every_way_around_ra_guard_is_seen(lab: LanLab) -> None:
    lan = lab.lan("evasion", rogue=True)
    lab.settle()
    lab.good(lan)
    assert lan.rogue is not None
    assert lan.rogue_end is not None
    ways = {"H": 1, "1": 2, "D": 3, "O": 4, "o": 5, "F": 6, "H111": 7}
    for way, number in ways.items():
        words = ["-i", "1", "-E", way, "-s", f"fe80::bad:{number}", "-A", "2001:db8:bad::/64"]
        lab.attack(lan, "atk6-fake_router26", *words, lan.rogue_end.interface)

    def missed(found: Run) -> set[str]:
        shown = evidence(found, "LAN-RAEXT")
        return {way for way, number in ways.items() if f"fe80::bad:{number} " not in shown}

    found = given_time(
        lambda seconds: look(lab, lan, *SCOPE, listen=seconds, routers=[router_of(lan)]),
        lambda found: not missed(found),
        first=3,
    )
    assert missed(found) == set()
    assert told(found, "LAN-RAEXT") == ("fail", "ra_ext")
    shown = evidence(found, "LAN-RAEXT")
    assert router_of(lan) not in shown
    assert told(found, "LAN-RA") == ("pass", "")


GUARD = "table bridge g {\n chain f {\n type filter hook forward priority 0; policy accept;\n RULES }\n}\n"
PLAIN = "icmpv6 type nd-router-advert drop\n"
WHOLE = f"{PLAIN} ip6 nexthdr {{ 0, 44, 60 }} drop\n"
NAIVE = "ip6 nexthdr icmpv6 @nh,320,8 134 drop\n"


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ("", ("fail", "guard_missing")),
        (NAIVE, ("fail", "guard_evaded")),
        (WHOLE, ("pass", "")),
        ("drop\n", ("unknown", "guard_no_path")),
    ],
    ids=["none", "naive", "whole", "no-path"],
)
def test_ra_guard_is_tested_between_two_access_ports(
    lab: LanLab, netns: Namespaces, needs: Callable[..., str], rules: str, verdict: tuple[str, str]
) -> None:
    lan = lab.lan("guarded", querier=False)
    lan.switch.run(["ip", "link", "add", "name", "second", "type", "veth", "peer", "name", "access", "netns",
                    lab.agent.name])  # fmt: skip
    lan.switch.run(["ip", "link", "set", "second", "master", "br0", "up"])
    lab.agent.run(["ip", "link", "set", "access", "up"])
    lab.settle()
    if rules:
        load(lan.switch, GUARD.replace("RULES", rules), needs)
    option = {"ra_guard": [f"access>{lan.interface}"]}
    if not rules:
        # Naming it is not enough: the link has to be in scope, too.
        outside = look(lab, lan, "198.18.0.0/15", "2001:db8::/32", **option)
        assert told(outside, "LAN-RAGUARD") == ("unknown", "guard_off")
    found = look(lab, lan, *SCOPE, **option)
    assert told(found, "LAN-RAGUARD") == verdict, evidence(found, "LAN-RAGUARD")
    # The test itself is no rogue router.
    assert told(found, "LAN-RAEXT")[0] == "unknown"


def test_a_rogue_router_raises_an_alert_that_names_it(lab: LanLab, tmp_path: Path) -> None:
    lan = lab.lan("alert", rogue=True)
    lab.settle()
    lab.good(lan)
    assert lan.rogue is not None
    assert lan.rogue_end is not None
    clock = Clock()
    with desk(tmp_path, clock=clock) as made:
        agent = made.agent()
        mine = {"routers": (router_of(lan),), "dhcp_servers": (DUID,), "listen": 2.0, "interfaces": (lan.interface,)}
        assert _report(made, agent, lab, mine) == set()
        lab.attack(lan, "atk6-fake_router26", "-i", "1", "-E", "H", "-A", "2001:db8:bad::/64", lan.rogue_end.interface)
        clock.forward(60)
        both = {"rogue-ra", "ra-extension-headers"}
        raised = given_time(
            lambda seconds: _report(made, agent, lab, {**mine, "listen": seconds}), lambda found: found == both, first=2
        )
        assert raised == both
        rogue = lan.link_local(lan.rogue, lan.rogue_end.interface)
        for alert in made.alerts():
            if alert.rule in ("rogue-ra", "ra-extension-headers"):
                assert rogue in str(alert.evidence)
                assert re.search("([0-9a-f]{2}:){5}[0-9a-f]{2}", str(alert.evidence))


def _report(made: Desk, agent: AgentIdentity, lab: LanLab, options: dict[str, object]) -> set[str]:
    """Run the probe as an agent does, in a child that holds nothing but CAP_NET_RAW, and hand its section in."""
    job = Job("lan", "lan_ipv6", 150, options, tuple(entry(value) for value in SCOPE))  # type: ignore[arg-type]
    section = lab.agent.call(run_in_child, job)
    assert section.status is RunStatus.DONE, section.reason
    made.send(agent, section)
    made.core.tick()
    return {alert.rule for alert in made.alerts()} & {"rogue-ra", "ra-extension-headers", "rogue-dhcp6", "rdnss-silent"}
