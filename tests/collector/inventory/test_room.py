"""What one agent and one unit may hold in all, and what stays free of the disk: refused in words, never dropped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import Busy, Full
from collector.ingest.reports import submit
from collector.inventory import room
from collector.registry import agents
from collector.settings import Room, Settings
from collector.store.sqlite import SqliteStore
from tests.support.collectors import FAR_SCHOOL, OTHER_SCHOOL, START, Clock, Desk, desk
from tests.support.reports import host, measured, state
from wire.digest import section_digest
from wire.types import ScopeEntry, Section, Skipped


def hosts(net: int, count: int, name: str = "discovery") -> Section:
    section = state("discovery", *(host(f"10.0.{net}.{number}") for number in range(count)), at=START)
    return replace(section, name=name)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(room, "ANYBODY", 10)
    monkeypatch.setattr(room, "FOR_ADDRESS", 1)
    with desk(tmp_path, Settings(room=Room(per_agent=30, per_unit=40))) as made:
        yield made


def test_what_an_agent_may_hold_follows_from_its_scope_and_ends_at_the_bound(small: Desk) -> None:
    agent = small.agent()
    (shown,) = agents.list_agents(small.core, small.admin)
    assert (shown.held, shown.room) == (0, 10)
    with pytest.raises(Full, match="would hold 11 hosts, services and sites; by its scope it may hold 10"):
        small.send(agent, hosts(1, 11))
    scope = (ScopeEntry("10.0.0.0/28", "somebody", "a reason", None, ""),)
    small.send(agent, hosts(1, 11), scope=scope)
    (shown,) = agents.list_agents(small.core, small.admin)
    assert (shown.held, shown.room) == (11, 26)
    # However much it claims as its scope.
    wide = (replace(scope[0], value="0.0.0.0/0"), replace(scope[0], value="::/0"), replace(scope[0], value="a.example"))
    with pytest.raises(Full, match=r"would hold 31 .* may hold 30"):
        small.send(agent, hosts(2, 20, "more"), scope=wide)
    small.send(agent, hosts(2, 19, "more"), scope=wide)
    # What is known costs nothing: the agent goes on, and its samples too.
    small.send(
        agent, hosts(1, 11), hosts(2, 19, "more"), measured("line", "bandwidth", {"a": 1.0}, at=START), scope=wide
    )
    assert len(small.assets()) == 30


def test_two_sections_of_one_report_count_together_and_a_refused_report_leaves_nothing(small: Desk) -> None:
    agent = small.agent()
    with pytest.raises(Full):
        small.send(agent, hosts(1, 6), hosts(2, 6, "more"))
    assert small.assets() == ()
    small.send(agent, hosts(1, 6))
    small.send(agent, hosts(2, 4, "more"))
    assert len(small.assets()) == 10


def test_what_is_told_of_hosts_and_what_was_skipped_counts_by_its_size(small: Desk) -> None:
    agent = small.agent()
    wordy = state("wordy", host("10.0.1.1", model="m" * 1000, vendor="v" * 1000, name="n" * 1000), at=START)
    skipped = tuple(Skipped(f"{number} {'x' * 900}", "out_of_scope") for number in range(5))
    small.send(agent, wordy)
    small.send(agent, replace_skipped(hosts(1, 1), skipped))
    (shown,) = agents.list_agents(small.core, small.admin)
    assert shown.held == 3 + 5
    with pytest.raises(Full):
        small.send(agent, replace_skipped(hosts(2, 1, "more"), skipped))
    small.send(agent, hosts(1, 1), state("wordy", host("10.0.1.1"), at=START))
    (shown,) = agents.list_agents(small.core, small.admin)
    assert shown.held == 2


def replace_skipped(section: Section, skipped: tuple[Skipped, ...]) -> Section:
    assert section.body is not None
    body = replace(section.body, skipped=skipped)
    digest = section_digest(section.probe, section.status, section.reason, body)
    return replace(section, body=body, digest=digest)


def test_the_agents_of_a_unit_share_a_bound(small: Desk) -> None:
    scope = (ScopeEntry("10.0.0.0/16", "somebody", "a reason", None, ""),)
    one, two, far = small.agent(), small.agent(name="two"), small.agent(FAR_SCHOOL)
    small.send(one, hosts(1, 30), scope=scope)
    with pytest.raises(Full, match=r"the agents of unit 2164000101 would hold 41 .* all together may hold 40"):
        small.send(two, hosts(2, 11), scope=scope)
    small.send(two, hosts(2, 10), scope=scope)
    small.send(far, hosts(3, 30), scope=scope)


def test_people_are_told_before_the_bound_and_at_it(small: Desk) -> None:
    agent = small.agent()
    small.send(agent, hosts(1, 7))
    small.core.tick()
    assert small.alerts("agent-room") == []
    assert small.counts().fullest == 0.7
    with pytest.raises(Full):
        small.send(agent, hosts(1, 7), hosts(2, 10, "more"))
    small.core.tick()
    (alert,) = small.alerts("agent-room")
    assert (alert.state, alert.colour) == ("firing", "orange")


def test_what_is_held_is_known_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    with desk(tmp_path, clock=clock) as made:
        agent = made.agent()
        made.send(agent, hosts(1, 5), hosts(2, 3, "more"))
        made.send(agent, hosts(1, 4))
    with desk(tmp_path, clock=clock) as again:
        assert again.core.sections.stored(agent.id) == 8


def test_changes_and_samples_have_a_slower_rate_of_their_own(tmp_path: Path) -> None:
    with desk(tmp_path, Settings(kept_at_once=20, kept_per_second=1.0)) as made:
        agent = made.agent(OTHER_SCHOOL)
        made.send(agent, hosts(1, 15))
        for name in ("a", "b"):
            section = state("discovery", *(host(f"10.0.1.{number}", name=name) for number in range(15)), at=START)
            if name == "b":
                with pytest.raises(Busy, match="15 changes and samples at once"):
                    made.send(agent, section)
                made.clock.forward(10)
            made.send(agent, section)


def test_a_disk_that_is_nearly_full_refuses_reports_and_lets_people_work(tmp_path: Path, clock: Clock) -> None:
    whole = Settings(room=Room(free_bytes=1 << 50))  # more than any disk of a test has
    with desk(tmp_path, whole, clock) as made:
        agent = made.agent()  # written for a person
        report = made.senders[agent.id].report(hosts(1, 1), created=START)
        with pytest.raises(Busy, match="disk of the database is nearly full; try again in 60 s"):
            submit(made.core, agent, report, START).result()
        assert made.counts().reserve_bytes > made.counts().free_bytes > 0
        assert made.core.healthy()
        assert made.core.store.scarce()
    with desk(tmp_path, clock=clock) as later:
        assert not submit(later.core, agent, report, START).result().duplicate


def test_the_disk_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "store.db", reserve=1000)
    try:
        for free, taken in ((999, False), (1000, True), (0, False)):
            monkeypatch.setattr(store, "free", lambda free=free: free)
            monkeypatch.setattr(store, "_looked", float("-inf"))
            future = store.submit(lambda _turn: None)
            assert (future.exception() is None) is taken
    finally:
        store.close()
