"""What holds for every probe; a new one fails here until it has an expectation, documentation and a test of its own."""

import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from probes.kit.contract import CannotRun, Probe
from probes.kit.options import build, describe
from probes.kit.registry import load, names
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Gate, Net
from tests.probes.rig import NO_POLICY, Run, run
from wire.codec import decode, encode
from wire.digest import section_digest
from wire.types import Body, RunStatus, SectionKind

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "probes.md"

EXPECTED = {
    "asset_whitelist": SectionKind.STATE,
    "bandwidth": SectionKind.MEASUREMENT,
    "discovery": SectionKind.STATE,
    "host_vitals": SectionKind.MEASUREMENT,
    "ipv6_reachability": SectionKind.STATE,
    "lan_ipv6": SectionKind.STATE,
    "open_ports": SectionKind.STATE,
    "site_ipv6": SectionKind.STATE,
    "traffic_ipv6": SectionKind.MEASUREMENT,
    "snmp_tables": SectionKind.STATE,
    "udp_ports": SectionKind.STATE,
    "vantage_ipv6": SectionKind.STATE,
    "zone_ipv6": SectionKind.STATE,
}


class Watched(Net):
    """A Net for this machine only that keeps every gate it opened."""

    def __init__(self) -> None:
        super().__init__(Scope())
        self.gates: list[Gate] = []

    def gate(self, address: str | IPv4Address | IPv6Address, port: int | None = None) -> Gate:
        found = super().gate(address, port)
        self.gates.append(found)
        return found


def chinese(text: str) -> bool:
    return any("\u4e00" <= char <= "\u9fff" for char in text)


def probe_of(name: str) -> Probe[object]:
    return load(name)


@pytest.mark.parametrize("name", names())
def test_every_probe_has_an_expectation(name: str) -> None:
    assert name in EXPECTED, f"add {name} to EXPECTED"
    assert probe_of(name).kind is EXPECTED[name]


@pytest.mark.parametrize("name", names())
def test_it_is_explained_in_both_languages(name: str) -> None:
    probe = probe_of(name)
    assert chinese(probe.summary.zh)
    assert probe.summary.en
    assert not chinese(probe.summary.en)
    assert sys.modules[probe.run.__module__].__doc__
    for item in describe(probe):
        assert chinese(item.help.zh), item.name
        assert item.help.en, item.name
        assert not chinese(item.help.en), item.name
        assert chinese(item.allowed.zh) or item.allowed.zh.startswith("true"), item.name


@pytest.mark.parametrize("name", names())
def test_it_is_in_the_docs(name: str) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert f"\n### {name}\n" in text, "run scripts/docs"
    section = text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    for item in describe(probe_of(name)):
        assert f"| `{item.name}` |" in section, f"{item.name}: run scripts/docs"


@pytest.mark.parametrize("name", names())
def test_it_has_a_test_of_its_own(name: str) -> None:
    others = [file.read_text(encoding="utf-8") for file in HERE.rglob("*.py") if file.name != Path(__file__).name]
    assert any(f'"{name}"' in text or f"probes.{name}" in text for text in others), f"write a test of {name}"


@pytest.mark.parametrize("name", names())
def test_its_defaults_are_options_that_it_accepts(name: str) -> None:
    probe = probe_of(name)
    given = {item.name: item.default for item in describe(probe)}
    assert build(probe, given) == probe.options()  # type: ignore[call-arg]


SHORTER = {"lan_ipv6": {"listen": 1.0}, "discovery": {"listen": 0.5}}
"""What is not the default, where that is to listen for long."""


@pytest.mark.parametrize("name", names())
def test_on_this_machine_only_it_says_something_or_why_not(name: str) -> None:
    """With the default scope it ends by itself, reaches nobody else, and its section can travel."""
    net = Watched()
    why = ""
    found = Run()
    try:
        found = run(name, SHORTER.get(name, {}), net, policy=NO_POLICY, seconds=20)
    except CannotRun as reason:
        why = str(reason)
    assert found.observations or found.skipped or why
    assert [gate.address for gate in net.gates if gate.paced] == []
    body = Body(tuple(found.observations), tuple(found.coverage), tuple(found.skipped))
    assert decode(Body, encode(body)) == body
    assert len(section_digest(name, RunStatus.DONE, "", body)) == 64


@pytest.mark.parametrize("name", names())
def test_without_time_it_ends_and_covers_nothing(name: str) -> None:
    try:
        found = run(name, {}, Watched(), seconds=-1)
    except CannotRun:
        return
    assert found.coverage == []
