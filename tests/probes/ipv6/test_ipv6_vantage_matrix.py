"""Checks of the vantage point x faults: each is seen by its own check and by no other, with real parts throughout."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from probes.kit.ipv6.vantage.judge import LOOK_OUT, NET_CHECKS
from tests.probes.ipv6.vantage_faults import Fault, count, faults, fetch, made
from tests.probes.ipv6.vantage_lab import FOUR, LARGE, OLD, SIX, VantageLab
from tests.probes.snmp.snmp_lab import COMMUNITY, credentials
from tests.support.netns import Namespaces
from tests.support.processes import Processes

pytestmark = pytest.mark.timeout(400)
COLUMNS = (*NET_CHECKS, "TRF-SHARE", "TRF-USERS")
AT_ONCE = 6
LETTERS = {"pass": ".", "info": "i", "warn": "W", "fail": "F", "unknown": "?"}
Checks = Mapping[str, dict[str, Any]]


def build(netns: Namespaces, process: Processes, needs: Callable[..., str], folder: Path) -> VantageLab:
    """The lab with nothing wrong in it, and traffic of a client that uses both families."""
    built = VantageLab(netns, process, needs, folder)
    count(built)
    fetch(built.client, SIX)
    fetch(built.client, FOUR)
    built.dump()
    return built


@pytest.fixture
def lab(netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path) -> VantageLab:
    return build(netns, process, needs, tmp_path)


@pytest.fixture
def labs(_namespaces_possible: None, needs: Callable[..., str], tmp_path: Path) -> Iterator[list[VantageLab]]:
    """The same lab some times over, each in namespaces of its own, so that the faults need not wait for each other."""
    made = [(Namespaces(), Processes(tmp_path / f"processes{number}")) for number in range(AT_ONCE)]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            built = [
                pool.submit(build, spaces, processes, needs, tmp_path / str(number))
                for number, (spaces, processes) in enumerate(made)
            ]
        yield [lab.result() for lab in built]
    finally:
        for spaces, processes in made:
            processes.close()
            spaces.close()


def test_each_fault_is_seen_by_its_own_check_and_by_no_other(
    labs: list[VantageLab], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Checks] = {}
    wrong: list[str] = []
    shares = [faults()[number :: len(labs)] for number in range(len(labs))]
    with ThreadPoolExecutor(len(labs)) as pool:
        found = [item for some in pool.map(_look, labs, shares) for item in some]
    for fault, code, checks in found:
        seen[fault.name] = checks
        wrong += _wrong(fault, checks)
        failed = "fail" in {line["verdict"] for line in checks.values()}
        assert (code == 1) is failed, fault.name
    with capsys.disabled():
        print("\n" + _matrix(seen), *wrong, sep="\n")
    assert wrong == []
    for checks in seen.values():
        for name, line in checks.items():
            if line["verdict"] in ("fail", "warn"):
                assert line["fix"]["zh"], name
                assert line["fix"]["en"], name
    for name in LOOK_OUT:
        assert seen["gates"][name]["verdict"] == "unknown"


def _look(lab: VantageLab, some: Sequence[Fault]) -> list[tuple[Fault, int, Checks]]:
    """Make one fault after the other in a lab, and look at each."""
    found: list[tuple[Fault, int, Checks]] = []
    for fault in some:
        with made(fault, lab):
            found.append((fault, *lab.run(**fault.options)))
    return found


def _wrong(fault: Fault, checks: Checks) -> list[str]:
    problems = []
    for name in COLUMNS:
        line = checks.get(name, {"verdict": "missing", "code": "", "evidence": []})
        verdict, told = line["verdict"], f"{line['code']} {line['evidence']}"
        if name in fault.expected:
            if verdict != fault.expected[name] or fault.code not in ("", line["code"]):
                problems.append(f"{fault.name}: {name} is {verdict}, not {fault.expected[name]}: {told}")
        elif verdict in ("warn", "fail", "missing"):
            if fault.follows.get(name) != verdict:
                problems.append(f"{fault.name}: {name} is {verdict}: {told}")
        elif verdict == "unknown" and not fault.expected:
            problems.append(f"{fault.name}: {name} is {verdict}: {told}")
    return problems


def _matrix(seen: Mapping[str, Checks]) -> str:
    """Faults down, checks across; [F] is what the fault is for."""
    width = max(len(name) for name in seen)
    lines = [f"{'':{width}} " + " ".join(f"{number:>2} " for number in range(1, len(COLUMNS) + 1))]
    for fault in faults():
        letters = [(name, LETTERS[seen[fault.name][name]["verdict"]]) for name in COLUMNS]
        cells = [f"[{letter}]" if name in fault.expected else f" {letter} " for name, letter in letters]
        lines.append(f"{fault.name:{width}} " + " ".join(cells))
    return "\n".join([*lines, ", ".join(f"{number} {name}" for number, name in enumerate(COLUMNS, start=1))])


def test_a_vantage_point_without_ipv6_knows_nothing_of_what_is_outside(lab: VantageLab) -> None:
    lab.agent.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    _, checks = lab.run(resolvers=["198.18.253.10"])
    assert {checks[name]["verdict"] for name in LOOK_OUT} == {"unknown"}
    assert {checks[name]["code"] for name in LOOK_OUT} == {"no_ipv6"}
    assert checks["NET-SELF"]["verdict"] == "fail"
    assert checks["NET-TUNNEL"]["verdict"] == "unknown"


def test_each_source_of_counters_tells_the_same_share(lab: VantageLab) -> None:
    conf = lab.write("snmpd.conf", f"rocommunity {COMMUNITY}\nagentaddress udp:161\n")
    argv = [lab.needs("snmpd"), "-f", "-Le", "-C", "-c", conf, "-r"]
    lab.start(argv, lab.gate, lambda: ":161 " in lab.gate.run(["ss", "-Hlun"]).stdout)
    for address in (SIX, SIX, SIX, FOUR):
        fetch(lab.client, address)
    lab.dump()
    router = str(lab.gate_in.v4.ip)
    secret = ["--snmp-host", router, "--snmp-credentials", credentials(lab.folder, f"{router}/32")]
    seen = {}
    for source in ("nft", "dev_snmp6", "snmp"):
        words = ["--source", source, "--nft-file", str(lab.folder / "nft.json"), *secret]
        seen[source] = lab.probe("traffic_ipv6", *words)["TRF-SHARE"]["values"]
        assert seen[source]["source"] == source
    shares = [float(values["share"]) for values in seen.values()]
    assert max(shares) - min(shares) < 0.03, seen
    assert {name: values["confidence"] for name, values in seen.items()} == {
        "nft": "high", "dev_snmp6": "medium", "snmp": "medium",
    }  # fmt: skip
    refused = lab.probe("traffic_ipv6", "--source", "snmp", "--snmp-host", router, "--snmp-credentials", "/none")
    assert refused["TRF-SHARE"]["values"]["code"] == "no_counters"


def test_flows_name_the_sites_that_ipv4_carries_most_of(lab: VantageLab) -> None:
    fetch(lab.old, OLD)
    lab.dump()
    words = ["--resolvers", "3000:5::53:a", "--sites", "old.test", "--sites", "dual.test", "--nft-file"]
    share = lab.probe("traffic_ipv6", *words, str(lab.folder / "nft.json"))["TRF-SHARE"]["values"]
    (line,) = share["v4_only"]
    name, size = line.split()
    assert name == "old.test"
    assert LARGE < int(size) < 2 * LARGE
    # Without the sets of nftables the connection table tells the same, once it counts bytes.
    lab.agent.sysctl("net.netfilter.nf_conntrack_acct", 1)
    lab.filter(lab.agent, "ct state new accept")
    fetch(lab.old, OLD)
    fetch(lab.client, SIX)
    found = lab.probe("traffic_ipv6", *words, "/nonexistent")
    assert [line.split()[0] for line in found["TRF-SHARE"]["values"]["v4_only"]] == ["old.test"]
    users = found["TRF-USERS"]["values"]
    assert (users["source"], users["users_v6"], users["users"]) == ("conntrack", 1, 2)
