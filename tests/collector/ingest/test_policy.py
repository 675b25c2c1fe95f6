"""What agents are handed down, and only when it is news."""

import time
from pathlib import Path

from collector.ingest.policy import policy_digest, policy_for
from collector.registry.units import import_units
from collector.settings import Settings
from tests.support.collectors import COUNTY, OTHER_SCHOOL, SCHOOL, START, Clock, Desk, desk
from tests.support.reports import state
from wire.codec import decode, encode
from wire.types import EntryKind, Policy, Responder, Task

TASK = Task("ports", "open_ports", 600.0, {"ports": "1-1024"})


def test_a_policy_carries_the_lists_of_the_unit_and_of_all_above(desk: Desk) -> None:
    agent = desk.agent()
    desk.whitelist("host,10.0.0.1,,,o,r,a,\ndomain,www.example.edu.cn,,,o,r,a,\n", "640000")
    desk.whitelist("port,*,tcp,80,o,r,a,\ndomain,*.example.edu.cn,,,o,r,a,\n", COUNTY)
    desk.whitelist("host,10.0.0.2,,,o,r,a,\n", OTHER_SCHOOL)
    policy = policy_for(desk.core, agent)
    assert {entry.value for entry in policy.whitelist} == {"10.0.0.1", "www.example.edu.cn", "*", "*.example.edu.cn"}
    assert {entry.kind for entry in policy.whitelist} == set(EntryKind)
    assert policy.targets == ("www.example.edu.cn",)
    assert (policy.unit, policy.unit_name, policy.report_interval) == (SCHOOL, "第一小学", 300.0)
    assert decode(Policy, encode(policy)) == policy


def test_the_settings_are_part_of_it(tmp_path: Path) -> None:
    settings = Settings(report_interval=60.0, targets=("www.gov.cn",), tasks=(TASK,))
    responders = {"host": "192.0.2.1"}
    with desk(
        tmp_path, settings, responder=lambda agent: Responder(responders["host"], 5201, f"ticket of {agent}")
    ) as made:
        agent = made.agent()
        policy = policy_for(made.core, agent)
        assert (policy.report_interval, policy.targets, policy.tasks) == (60.0, ("www.gov.cn",), (TASK,))
        assert policy.responder == Responder("192.0.2.1", 5201, f"ticket of {agent.id}")
        before = policy.digest
        responders["host"] = "192.0.2.2"
        assert policy_for(made.core, agent).digest != before


def test_the_digest_changes_with_the_content_and_with_nothing_else(desk: Desk) -> None:
    agent, other = desk.agent(), desk.agent(OTHER_SCHOOL)
    seen = {policy_digest(desk.core, agent), policy_digest(desk.core, other)}
    assert len(seen) == 2
    desk.whitelist("host,10.0.0.1,,,o,r,a,\n", SCHOOL)
    changed = policy_digest(desk.core, agent)
    assert changed not in seen
    assert policy_digest(desk.core, other) in seen
    desk.whitelist("host,10.0.0.1,,,o,r,a,\n", SCHOOL)
    assert policy_digest(desk.core, agent) == changed == policy_for(desk.core, agent).digest
    import_units(desk.core, desk.admin, f"code,name,division_code\n{SCHOOL},新名,640104\n".encode(), "u.csv")
    assert policy_digest(desk.core, agent) != changed


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as first:
        agent = first.agent()
        first.whitelist("host,10.0.0.2,,,o,r,a,2027-01-01\nhost,10.0.0.1,,,o,r,a,\nport,*,udp,53,o,r,a,\n")
        before = policy_for(first.core, agent)
    with desk(tmp_path, clock=clock) as second:
        assert policy_for(second.core, agent) == before


def test_an_answer_brings_a_policy_only_when_it_is_news(desk: Desk) -> None:
    agent = desk.agent()
    first = desk.send(agent).policy
    assert first is not None
    assert desk.send(agent, policy=first.digest).policy is None
    desk.whitelist("host,10.0.0.1,,,o,r,a,\n")
    second = desk.send(agent, policy=first.digest).policy
    assert second is not None
    assert [entry.value for entry in second.whitelist] == ["10.0.0.1"]
    assert desk.send(agent, state("ports", at=START), policy=second.digest).policy is None


def test_a_list_of_the_largest_size_costs_no_time_at_each_report(desk: Desk) -> None:
    rows = "".join(f"host,10.{n // 65536}.{n // 256 % 256}.{n % 256},,,o,r,a,\n" for n in range(20_000))
    desk.whitelist(rows, "640000")
    agent = desk.agent()
    assert len(policy_for(desk.core, agent).whitelist) == 20_000
    started = time.thread_time()
    digest = policy_digest(desk.core, agent)
    assert digest == policy_digest(desk.core, agent)
    # No measurement, only a bound on CPU time of two orders of magnitude: building the policy itself takes longer.
    assert time.thread_time() - started < 1
