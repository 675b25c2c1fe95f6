"""Faults of a LAN x checks: each is seen by its own check and by no other; real servers, real attackers."""

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from probes.kit.ipv6.model import VERDICTS
from probes.lan_ipv6 import LINK_CHECKS
from tests.probes.ipv6.lan_lab import CLIENTS, DUID, Lan, LanLab
from tests.probes.rig import Run, net_of, run
from tests.support.netns import Namespaces
from tests.support.processes import Processes
from wire.types import Observation

pytestmark = pytest.mark.timeout(400)
SCOPE = ("198.18.0.0/15", "2001:db8::/32", "fe80::/64")
COLUMNS = (*LINK_CHECKS, "LAN-COVER")
LETTERS = {"pass": ".", "info": "i", "warn": "W", "fail": "F", "unknown": "?"}
Expected = dict[str, tuple[str, str]]


@pytest.fixture
def lab(netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path) -> LanLab:
    return LanLab(netns, process, needs, tmp_path)


def fault_lans(lab: LanLab, process: Processes) -> dict[str, tuple[Expected, Expected]]:
    """Make every LAN; gives what its fault must show, and what follows from it."""
    for name in ("good", "uncovered", "eui64"):
        lab.lan(name, clients=CLIENTS)
    for name in ("rogue", "spoofed", "behind", "fragments", "roguedhcp"):
        lab.lan(name, rogue=True)
    for name in ("deaddns", "halfdns", "nodns", "lifetime", "length", "noprefix", "managed", "ula", "hops", "dnsmasq"):
        lab.lan(name)
    lab.lan("noquerier", querier=False)
    lab.lan("empty", querier=False)
    lab.settle()
    for space in (lab.lans["empty"].router, lab.lans["empty"].switch):
        space.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    own = {name: str(lan.there.v6.ip) for name, lan in lab.lans.items()}
    for name in ("good", "uncovered", "eui64", "rogue", "spoofed", "behind", "fragments", "roguedhcp", "noquerier"):
        lab.good(lab.lans[name])
    lans = lab.lans
    lab.dnsmasq(
        lans["dnsmasq"], "--enable-ra", f"--dhcp-range=::,constructor:{lans['dnsmasq'].there.interface},ra-stateless",
        "--dhcp-duid=2495,a1b2c3d4e5f6", "--dhcp-option=option6:dns-server,[::]",
    )  # fmt: skip
    lab.radvd(lans["deaddns"], dns=(own["deaddns"],))
    lab.radvd(lans["halfdns"], dns=(own["halfdns"], f"{lans['halfdns'].prefix}dead"))
    lab.dnsmasq(lans["halfdns"])
    lab.radvd(lans["nodns"], settings="AdvOtherConfigFlag off;")
    for name, settings, prefix in (
        ("lifetime", "AdvOtherConfigFlag on; AdvDefaultLifetime 0;", ""),
        ("length", "", f"{lans['length'].prefix}/60"),
        ("noprefix", "", None),
        ("managed", "AdvManagedFlag on;", ""),
        ("ula", "", "fd00:db8:5::/64"),
    ):
        lab.radvd(lans[name], settings=settings, prefix=prefix, dns=(own[name],))
        lab.dnsmasq(lans[name])
    script = Path(__file__).with_name("send_ra.py")
    hops = lans["hops"]
    words = [hops.there.interface, hops.link_local(hops.router, hops.there.interface), "64"]
    process([sys.executable, script, *words], ready="ready", netns=hops.router)
    bad = "2001:db8:bad::/64"
    for name, words in (("rogue", []), ("behind", ["-E", "H"]), ("fragments", ["-E", "D"])):
        end = lans[name].rogue_end
        assert end is not None
        lab.attack(lans[name], "atk6-fake_router26", "-i", "1", "-A", bad, *words, end.interface)
    spoofed = lans["spoofed"]
    assert spoofed.rogue_end is not None
    true = spoofed.link_local(spoofed.router, spoofed.there.interface)
    lab.attack(spoofed, "atk6-fake_router26", "-i", "1", "-A", bad, "-s", true, spoofed.rogue_end.interface)
    end = lans["roguedhcp"].rogue_end
    assert end is not None
    lab.attack(lans["roguedhcp"], "atk6-fake_dhcps6", end.interface, bad, "2001:db8:bad::53")
    with ThreadPoolExecutor(3) as pool:  # each waits for an announcement
        ready = [
            pool.submit(lab.autoconfigure, lans["good"], eui64=False),
            pool.submit(lab.autoconfigure, lans["eui64"], eui64=True),
            pool.submit(lab.autoconfigure, lans["uncovered"], eui64=False, interfaces=(0, 1)),
        ]
    for lan in ready:
        lan.result()
    ra_only: Expected = {"LAN-ROGUERA": ("fail", "rogue_ra")}
    return {
        "good": ({}, {}),
        "dnsmasq": ({}, {}),
        "uncovered": ({"LAN-COVER": ("fail", "cover_low")}, {}),
        "eui64": ({"LAN-PRIV": ("warn", "eui64")}, {}),
        "rogue": (ra_only, {}),
        "spoofed": (ra_only, {}),
        "behind": ({"LAN-RAEXT": ("fail", "ra_ext")}, ra_only),
        "fragments": ({"LAN-RAEXT": ("fail", "ra_ext")}, ra_only),
        "roguedhcp": ({"LAN-ROGUEDHCP6": ("fail", "rogue_dhcp6")}, {}),
        "deaddns": ({"LAN-RDNSS": ("fail", "rdnss_silent")}, {}),
        "halfdns": ({"LAN-RDNSS": ("warn", "rdnss_partly")}, {}),
        "nodns": ({"LAN-RDNSS": ("fail", "rdnss_none")}, {"LAN-MODE": ("fail", "mode_differs")}),
        "lifetime": ({"LAN-RA": ("fail", "ra_lifetime")}, {}),
        "length": ({"LAN-RA": ("fail", "ra_prefix")}, {}),
        "noprefix": ({"LAN-RA": ("fail", "ra_no_prefix")}, {"LAN-MODE": ("warn", "mode_none")}),
        "managed": ({"LAN-MODE": ("fail", "mode_differs")}, {}),
        "ula": ({"LAN-ULA": ("warn", "ula_only")}, {}),
        "hops": ({"LAN-RA": ("fail", "ra_hops")}, {}),
        "noquerier": ({"LAN-MLD": ("warn", "mld_none")}, {}),
    }


def look(lab: LanLab, names: list[str], *scope: str, **more: object) -> Run:
    """Run the probe at the agent with every router of the lab on its allow list."""
    routers = []
    for name, lan in lab.lans.items():
        if name == "empty":
            continue
        mac = lan.router.run(["cat", f"/sys/class/net/{lan.there.interface}/address"]).stdout.strip()
        routers.append(f"{lan.link_local(lan.router, lan.there.interface)} {mac}")
    options: dict[str, object] = {
        "interfaces": [lab.lans[name].interface for name in names], "listen": 7.0, "routers": routers,
        "dhcp_servers": [DUID], "flags": "OA", "ask_hosts": True, "query_interval": 0.5, "timeout": 1.0, **more,
    }  # fmt: skip
    return lab.agent.call(run, "lan_ipv6", options, net_of(*(scope or SCOPE)), seconds=90)


def checks_of(found: Run, lan: Lan) -> dict[str, Observation]:
    """What was said of one LAN."""
    places = {lan.interface, str(lan.here.v4.network)}
    return {item.method: item for item in found.observations if item.target.name in places}


def told(item: Observation | None) -> tuple[str, str]:
    return ("missing", "") if item is None else (VERDICTS[item.outcome].value, str(item.values.get("code", "")))


def wrong(name: str, checks: Mapping[str, Observation], expected: Expected, follows: Expected) -> list[str]:
    """What the fault does not explain, or lacks that it demands."""
    problems = []
    for check in COLUMNS:
        said = told(checks.get(check))
        if check in expected or check in follows:
            right = said == {**follows, **expected}[check]
        else:
            right = said[0] in ("pass", "info", "unknown")
        if not right:
            seen = checks[check].values.get("evidence") if check in checks else ""
            problems.append(f"{name}: {check} is {said}: {seen}")
    return problems


def matrix(found: Run, lab: LanLab, made: Mapping[str, tuple[Expected, Expected]]) -> str:
    """Faults down, checks across; [F] is what the fault is for."""
    lines = [f"{'':10} " + " ".join(f"{number:>2} " for number in range(1, len(COLUMNS) + 1))]
    for name, (expected, _) in made.items():
        checks = checks_of(found, lab.lans[name])
        cells = []
        for check in COLUMNS:
            letter = LETTERS.get(told(checks.get(check))[0], "-")
            cells.append(f"[{letter}]" if check in expected else f" {letter} ")
        lines.append(f"{name:10} " + " ".join(cells))
    return "\n".join([*lines, ", ".join(f"{number} {check}" for number, check in enumerate(COLUMNS, start=1))])


def test_each_fault_is_seen_by_its_own_check_and_by_no_other(
    lab: LanLab, process: Processes, capsys: pytest.CaptureFixture[str]
) -> None:
    made = fault_lans(lab, process)
    found = look(lab, list(lab.lans))
    problems = [
        problem
        for name, (expected, follows) in made.items()
        for problem in wrong(name, checks_of(found, lab.lans[name]), expected, follows)
    ]
    with capsys.disabled():
        print("\n" + matrix(found, lab, made), *problems, sep="\n")
    assert problems == []
    good = checks_of(found, lab.lans["good"])
    assert {check: told(item)[0] for check, item in good.items()} == {
        check: "info" if check == "LAN-HOSTS" else "pass" for check in COLUMNS
    }
    assert [good["LAN-COVER"].values[word] for word in ("numerator", "denominator")] == [CLIENTS, CLIENTS]
    # Where nobody speaks IPv6 nothing is judged, although it was asked.
    empty = checks_of(found, lab.lans["empty"])
    assert {told(item) for item in empty.values()} == {("unknown", "no_ipv6_link")}
    assert set(empty) == set(COLUMNS)
