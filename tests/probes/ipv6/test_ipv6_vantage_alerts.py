"""From what the probe of the vantage point sees of a real fault to the alert of the collector, and its end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.probes.ipv6.ipv6_lab import GATES, RESOLVER4, RESOLVER6
from tests.probes.ipv6.vantage_faults import count, faults, made
from tests.probes.ipv6.vantage_lab import OTHER6, VantageLab
from tests.support.collectors import Clock, Desk
from tests.support.collectors import desk as make_desk
from tests.support.netns import Namespaces
from tests.support.processes import Processes
from tests.support.reports import state
from wire.codec import from_plain
from wire.types import Observation

pytestmark = pytest.mark.timeout(240)
RULES = {"strips": "aaaa-stripped", "blackhole": "pmtu-black-hole", "rules": "firewall-weaker-on-v6"}
COMMON = {
    "dual-targets": ["http://dual.test/"], "large-targets": ["http://dual.test/large"], "timeout": ["2"],
    "independent-resolvers": [OTHER6], "edns-name": ["big.test"], "edns-type": ["TXT"], "tries": ["3"],
    "self-targets": [f"[{gate}]:80" for gate in GATES], "resolvers": [RESOLVER6, RESOLVER4],
}  # fmt: skip


def observed(lab: VantageLab, changed: dict[str, list[str]]) -> list[Observation]:
    given = {**COMMON, "nft-file": [str(lab.folder / "nft.json")], **changed}
    words = [word for name, values in given.items() for value in values for word in (f"--{name}", value)]
    return [from_plain(Observation, line) for line in lab.probe("vantage_ipv6", *words).values()]


def told(desk: Desk) -> dict[str, str]:
    return {
        alert.rule: json.dumps(alert.evidence)
        for alert in desk.alerts()
        if alert.rule in RULES.values() and alert.state == "firing"
    }


def test_each_fault_raises_its_own_alert_and_its_end_resolves_it(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    lab = VantageLab(netns, process, needs, tmp_path / "lab")
    count(lab)
    lab.dump()
    clock = Clock()
    known = {fault.name: fault for fault in faults()}
    with make_desk(tmp_path, clock=clock) as desk:
        agent = desk.agent()
        for name, rule in RULES.items():
            with made(known[name], lab):
                seen = observed(lab, known[name].options)
            desk.send(agent, state("self", *seen, at=clock.forward(60), probe="vantage_ipv6"))
            desk.core.tick()
            assert set(told(desk)) == {rule}, seen
            assert "_seen" in told(desk)[rule]
        desk.send(agent, state("self", *observed(lab, {}), at=clock.forward(60), probe="vantage_ipv6"))
        desk.core.tick()
        assert told(desk) == {}
