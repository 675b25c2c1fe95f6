"""Checks x faults: each fault is seen by its own check and by no other, and a blind vantage point judges nobody."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from probes.kit.ipv6.model import Settings
from probes.kit.ipv6.site.judge import V6_CHECKS
from probes.kit.ipv6.zone.judge import ZONE_CHECKS
from tests.probes.ipv6.ipv6_lab import DNS64_6, GATES, RESOLVER6, ROOT6, SCOPE, Lab
from tests.probes.ipv6.ipv6_sites import Fault, faults, start
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

pytestmark = pytest.mark.timeout(400)
COLUMNS = (*V6_CHECKS, *ZONE_CHECKS)
LETTERS = {"pass": ".", "info": "i", "warn": "W", "fail": "F", "unknown": "?", "blocked": "B"}


@pytest.fixture
def lab(netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path) -> tuple[Lab, list[Fault]]:
    """The lab with every site of it."""
    made, built = faults(), Lab(netns, process, needs, tmp_path)
    start(built, made)
    return built, made


def edusec(space: Namespace, folder: Path, *words: str) -> list[dict[str, Any]]:
    """Run `edusec ipv6 check` inside a namespace; gives its lines."""
    scope, until = folder / "scope.toml", str(datetime.now(UTC).date() + timedelta(1))
    if not scope.exists():
        for value in SCOPE:
            argv = [sys.executable, "-P", "-m", "edusec", "scope", "add", value, "--authoriser", "a person",
                    "--reason", "the lab", "--until", until, "--scope", str(scope)]  # fmt: skip
            subprocess.run(argv, check=True, capture_output=True, timeout=60)
    argv = [*space.prefix, sys.executable, "-P", "-m", "edusec", "ipv6", "check", "--json", "--quiet", *words]
    argv += ["--scope", str(scope)]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def options(lab: Lab) -> list[str]:
    """What the vantage point must be told."""
    found = ["--resolvers", RESOLVER6, "--root-hint", ROOT6, "--ca-file", str(lab.folder / "ca.pem")]
    found += ["--timeout", "1.5", "--page-rate", "500", "--workers", "12", "--tries", "10"]
    for gate in GATES:
        found += ["--self-targets", f"[{gate}]:80"]
    return found


def test_each_fault_is_seen_by_its_own_check_and_by_no_other(
    lab: tuple[Lab, list[Fault]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built, made = lab
    lines = edusec(built.agent, tmp_path, *options(built), *(fault.site.host for fault in made))
    seen: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        if line["type"] == "check":
            seen.setdefault(line["target"], {})[line["id"]] = line
    wrong = [problem for fault in made for problem in _wrong(fault, seen.get(fault.site.host, {}))]
    with capsys.disabled():
        print("\n" + _matrix(made, seen), *wrong, sep="\n")
    assert wrong == []
    levels = {line["target"]: line for line in lines if line["type"] == "level"}
    assert levels["www.good.test"]["confirmed"] == levels["www.good.test"]["possible"] == 4
    assert levels["www.noaaaa.test"]["possible"] == 0
    assert levels["www.narrow.test"]["possible"] == 1
    assert levels["www.ns0.test"]["possible"] == 2
    assert levels["www.script.test"]["possible"] == 3
    # The crawl keeps to its budget, whatever the page holds.
    log = (built.folder / "many.log").read_text(encoding="ascii")
    assert 0 < log.count("GET /m") <= Settings().pages
    assert seen["www.many.test"]["WEB-L2"]["values"]["found"] == 300
    assert seen["www.wild.test"]["WEB-L2"]["values"]["found"] == 300
    asked = (built.folder / "wild.log").read_text(encoding="ascii").count("GET /")
    assert asked <= Settings().pages + Settings().tries + 10
    # Every failure comes with its evidence and its mend, in both languages.
    for checks in seen.values():
        for line in checks.values():
            if line["verdict"] in ("fail", "warn"):
                assert line["evidence"], line
                assert line["fix"]["zh"], line
                assert line["fix"]["en"], line


def _wrong(fault: Fault, checks: Mapping[str, dict[str, Any]]) -> list[str]:
    """What a site's verdicts have that its fault does not explain, or lack that it demands."""
    name = fault.site.name
    found = {check: line["verdict"] for check, line in checks.items()}
    problems = [
        f"{name}: {check} is {found.get(check, 'missing')}, not {verdict}: {checks.get(check, {}).get('evidence')}"
        for check, verdict in fault.expected.items()
        if found.get(check) not in (verdict, fault.follows.get(check, verdict))
    ]
    explained = {**fault.expected, **fault.follows}
    for check in COLUMNS:
        verdict = found.get(check, "missing")
        if check in explained or (check == "WEB-V6ONLY" and verdict == "fail" and "fail" in fault.expected.values()):
            continue
        allowed = ("pass", "info") if not fault.expected else ("pass", "info", "unknown")
        if verdict not in allowed:
            problems.append(f"{name}: {check} is {verdict}: {checks.get(check, {}).get('evidence')}")
    return problems


def _matrix(made: list[Fault], seen: Mapping[str, Mapping[str, dict[str, Any]]]) -> str:
    """Faults down, checks across; [F] is what the fault is for."""
    width = max(len(fault.site.name) for fault in made)
    heads = [f"{'':{width}} " + " ".join(f"{number:>2} " for number in range(1, len(COLUMNS) + 1))]
    for fault in made:
        cells = []
        for check in COLUMNS:
            letter = LETTERS[seen.get(fault.site.host, {}).get(check, {}).get("verdict", "unknown")]
            cells.append(f"[{letter}]" if check in fault.expected else f" {letter} ")
        heads.append(f"{fault.site.name:{width}} " + " ".join(cells))
    legend = ", ".join(f"{number} {check}" for number, check in enumerate(COLUMNS, start=1))
    return "\n".join([*heads, legend])


def test_what_a_dns64_makes_up_is_no_record_of_the_site(lab: tuple[Lab, list[Fault]], tmp_path: Path) -> None:
    built, _ = lab
    words = [word.replace(RESOLVER6, DNS64_6) for word in options(built)]
    lines = edusec(built.agent, tmp_path, *words, "--no-zone", "www.noaaaa.test", "www.good.test")
    found = {line["target"]: line for line in lines if line.get("id") == "WEB-AAAA"}
    assert (found["www.noaaaa.test"]["verdict"], found["www.noaaaa.test"]["code"]) == ("fail", "bad_aaaa")
    assert found["www.noaaaa.test"]["evidence"] == ["AAAA 3000:64::c612:6402 (DNS64)"]
    assert found["www.good.test"]["verdict"] == "pass"


def test_without_any_ipv4_a_site_is_still_proven_to_work(lab: tuple[Lab, list[Fault]], tmp_path: Path) -> None:
    """The run of WEB-V6ONLY takes nothing from IPv4: it ends the same on a machine that has none."""
    built, _ = lab
    built.agent.run(["ip", "-4", "address", "flush", "scope", "global"])
    words = ["www.good.test", "www.script.test", "www.image.test", "www.redirect.test"]
    lines = edusec(built.agent, tmp_path, *options(built), "--no-zone", *words)
    found = {line["target"].split(".")[1]: line for line in lines if line.get("id") == "WEB-V6ONLY"}
    assert {name: line["verdict"] for name, line in found.items()} == {
        "good": "pass", "script": "fail", "image": "warn", "redirect": "fail",
    }  # fmt: skip
    assert any("https://static.v4host.test/x.js: no usable AAAA" in text for text in found["script"]["evidence"])


def test_a_visit_without_ipv4_needs_a_resolver_on_ipv6(lab: tuple[Lab, list[Fault]], tmp_path: Path) -> None:
    built, _ = lab
    words = [word.replace(RESOLVER6, "198.18.253.10") for word in options(built)]
    lines = edusec(built.agent, tmp_path, *words, "--no-zone", "www.good.test")
    found = {line["id"]: line for line in lines if line["type"] == "check"}
    assert (found["WEB-V6ONLY"]["verdict"], found["WEB-V6ONLY"]["code"]) == ("unknown", "v6only_resolver")
    assert {line["verdict"] for name, line in found.items() if name != "WEB-V6ONLY"} <= {"pass", "info"}


def test_a_vantage_point_without_ipv6_judges_nobody(lab: tuple[Lab, list[Fault]], tmp_path: Path) -> None:
    built, made = lab
    built.agent.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    words = [word.replace(RESOLVER6, "198.18.253.10") for word in options(built)]
    lines = edusec(built.agent, tmp_path, *words, *(fault.site.host for fault in made))
    checks = [line for line in lines if line["type"] == "check" and line["id"] != "NET-SELF"]
    assert {line["verdict"] for line in checks} == {"unknown"}
    assert len(checks) == len(made) * len(COLUMNS)
    levels = [line for line in lines if line["type"] == "level"]
    assert {(line["confirmed"], line["possible"]) for line in levels} == {(0, 4)}
