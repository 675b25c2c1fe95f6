"""Reports: once each, in groups, by digest, whatever the agent's clock says."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import Busy, Conflict, Unauthorised, UnknownDigest
from collector.ingest.reports import submit
from collector.inventory.lists.measurements import list_measurements
from collector.registry import agents
from collector.settings import Settings
from collector.store.contract import Turn
from tests.support.collectors import INTERVAL, START, Clock, Desk, desk
from tests.support.reports import Sender, covers, host, measured, ports, state, unchanged
from wire.errors import DecodeError
from wire.types import Answer, Report, RunStatus, Section, SectionKind


def test_a_report_is_answered_with_its_batch_and_the_policy(desk: Desk) -> None:
    agent = desk.agent()
    report = desk.senders[agent.id].report(ports(START), created=START)
    answer = submit(desk.core, agent, report, START).result()
    assert (answer.batch, answer.sequence, answer.time, answer.duplicate) == (report.batch, 1, START, False)
    assert answer.policy is not None
    assert answer.policy.unit == agent.unit
    again = desk.send(agent, unchanged(ports(START), START), policy=answer.policy.digest)
    assert again.policy is None


def test_a_replay_is_acknowledged_and_writes_nothing(desk: Desk) -> None:
    agent = desk.agent()
    report = desk.senders[agent.id].report(
        ports(START), measured("line", "bandwidth", {"download_bps": 1e8}, at=START), created=START
    )
    submit(desk.core, agent, report, START).result()
    before = desk.assets()
    replayed = submit(desk.core, agent, report, START + 60).result()
    assert replayed.duplicate
    assert desk.assets() == before
    assert len(list_measurements(desk.core, desk.admin)) == 1
    assert desk.core.stats.sections["duplicate"] == 2


def test_an_agent_that_invents_ever_new_hosts_neither_fills_the_store_nor_holds_up_the_others(tmp_path: Path) -> None:
    def hosts(net: int, count: int) -> Section:
        return state("discovery", *(host(f"10.0.{net}.{number}") for number in range(count)), at=START)

    with desk(tmp_path, Settings(new_at_once=10, new_per_second=0.5)) as small:
        agent, other = small.agent(), small.agent(name="other")
        small.send(agent, hosts(1, 6))
        for _ in range(2):  # what was refused took nothing of what is left
            with pytest.raises(Busy, match="new things at once"):
                small.send(agent, hosts(2, 3), replace(hosts(3, 3), name="more"))
        small.send(agent, hosts(1, 6))
        small.send(other, hosts(4, 6))
        assert len(small.assets()) == 12
        small.clock.forward(4)
        small.send(agent, hosts(2, 6))
        # More than ever fit is taken by whoever has brought nothing for long, and has to last.
        small.clock.forward(100)
        small.send(agent, hosts(5, 30))
        small.clock.forward(20)
        with pytest.raises(Busy):
            small.send(agent, hosts(6, 1))
        assert len(small.assets()) == 48


def test_changes_and_samples_count_by_their_weight(tmp_path: Path) -> None:
    def named(name: str, count: int = 8) -> Section:
        return state("discovery", *(host(f"10.0.1.{number}", name=name) for number in range(count)), at=START)

    def left(made: Desk) -> float:
        return made.core.allowance.fresh.left(agent.id, small.clock.now)

    with desk(tmp_path, Settings(new_at_once=100, new_per_second=0.5)) as small:
        agent = small.agent()
        small.send(agent, named("a"))
        assert left(small) == 92
        small.send(agent, named("b"))
        assert left(small) == 91
        small.send(agent, measured("line", "bandwidth", {"a": "x" * 1000, "b": "y" * 900, "c": "z" * 1000}, at=START))
        assert left(small) == 88
        small.send(
            agent, state("wordy", host("10.0.2.1", name="x" * 1000, model="y" * 1000, vendor="z" * 1000), at=START)
        )
        assert left(small) == 85


def test_an_agent_that_invents_ever_new_names_of_sections_does_not_fill_the_memory(tmp_path: Path) -> None:
    with desk(tmp_path, Settings(sections_per_agent=3)) as small:
        agent, other = small.agent(), small.agent(name="other")
        named = [replace(ports(START), name=f"n{number}") for number in range(5)]
        small.send(agent, *named[:2])
        with pytest.raises(DecodeError, match="sections: 'n2' is one too many: 3 names"):
            small.send(agent, *named[2:4])
        assert small.core.sections.count(agent.id) == 2
        small.send(agent, *named[:3])
        with pytest.raises(DecodeError):
            small.send(agent, named[3])
        small.send(other, *named[2:])
        small.send(agent, *named[:3])
    with desk(tmp_path, Settings(sections_per_agent=3)) as again:
        assert (again.core.sections.count(agent.id), again.core.sections.count(other.id)) == (3, 3)


def test_an_older_sequence_is_a_replay_too(desk: Desk) -> None:
    agent = desk.agent()
    first = desk.senders[agent.id].report(ports(START), created=START)
    submit(desk.core, agent, first, START).result()
    desk.send(agent, ports(START, 22, 80))
    assert submit(desk.core, agent, first, START).result().duplicate
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22, 80]


def test_the_same_sequence_with_another_batch_is_a_conflict(desk: Desk) -> None:
    agent = desk.agent()
    report = desk.senders[agent.id].report(ports(START), created=START)
    submit(desk.core, agent, report, START).result()
    other = replace(report, batch="another", sections=(ports(START, 80),))
    with pytest.raises(Conflict, match="two agents share one identity"):
        submit(desk.core, agent, other, START).result()
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22]


def test_gaps_in_the_sequence_are_taken(desk: Desk) -> None:
    agent = desk.agent()
    sender = desk.senders[agent.id]
    assert not desk.send(agent, ports(START)).duplicate
    for _ in range(5):
        sender.report(created=START)  # dropped by a full spool
    assert desk.send(agent, ports(START, 80)).sequence == 7


def test_a_new_spool_starts_its_own_sequence(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START))
    desk.senders[agent.id] = Sender(agent.id)
    assert not desk.send(agent, ports(START, 80)).duplicate


def test_only_the_last_spools_of_an_agent_are_remembered(tmp_path: Path) -> None:
    with desk(tmp_path, Settings(spools=3)) as small:
        agent = small.agent()
        first = small.senders[agent.id]
        for _ in range(6):
            small.clock.forward(1)
            small.send(agent)
            small.senders[agent.id] = Sender(agent.id)
        rows = small.core.store.write(lambda turn: turn.rows("SELECT id FROM spool"))
        assert len(rows) == 4
        assert (first.spool,) not in rows
        assert small.core.sections.spool(agent.id, first.spool) is None


def test_an_unchanged_section_needs_no_body(desk: Desk) -> None:
    agent = desk.agent()
    section = ports(START)
    desk.send(agent, section)
    later = desk.clock.forward(INTERVAL)
    desk.send(agent, unchanged(section, later))
    found = desk.asset("ip:10.0.0.5")
    assert found.first_seen.timestamp() == START
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == later
    assert desk.core.stats.sections == {"stored": 1, "unchanged": 1}


def test_an_unknown_digest_is_named_and_nothing_of_the_report_is_kept(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START))
    report = desk.senders[agent.id].report(
        ports(START, 80), unchanged(state("neighbours", at=START), START), created=START
    )
    with pytest.raises(UnknownDigest) as caught:
        submit(desk.core, agent, report, START).result()
    assert caught.value.sections == ("neighbours",)
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22]
    whole = replace(report, sections=(ports(START, 80), state("neighbours", at=START)))
    assert not submit(desk.core, agent, whole, START).result().duplicate


def test_the_digest_of_another_agent_is_not_known(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    desk.send(one, ports(START))
    with pytest.raises(UnknownDigest):
        desk.send(other, unchanged(ports(START), START))


def test_a_digest_is_known_only_after_its_commit(desk: Desk) -> None:
    agent = desk.agent()

    def fails(turn: Turn) -> None:
        raise Conflict("no")

    # In one group: the first report is taken, the second refers to it; the failing work between does no harm.
    started, let_go = threading.Event(), threading.Event()
    held = desk.core.store.submit(lambda _turn: (started.set(), let_go.wait()))
    started.wait()
    sender = desk.senders[agent.id]
    first = submit(desk.core, agent, sender.report(ports(START), created=START), START)
    broken = desk.core.store.submit(fails)
    second = submit(desk.core, agent, sender.report(unchanged(ports(START), START), created=START), START)
    assert desk.core.sections.section(agent.id, "ports") is None
    let_go.set()
    wait([held, first, broken, second])
    assert first.exception() is None
    assert second.exception() is None


def test_a_refused_report_leaves_no_digest_behind(desk: Desk) -> None:
    agent = desk.agent()
    sender = desk.senders[agent.id]
    bad = sender.report(ports(START), unchanged(state("other", at=START), START), created=START)
    with pytest.raises(UnknownDigest):
        submit(desk.core, agent, bad, START).result()
    with pytest.raises(UnknownDigest, match="ports"):
        desk.send(agent, unchanged(ports(START), START))


def test_digests_are_known_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as first:
        agent = first.agent()
        sender = first.senders[agent.id]
        first.send(agent, ports(START))
    with desk(tmp_path, clock=clock) as second:
        second.senders[agent.id] = sender
        assert not second.send(agent, unchanged(ports(START), START)).duplicate
        assert second.core.stats.sections == {"unchanged": 1}


def test_a_body_that_its_digest_does_not_fit_is_refused(desk: Desk) -> None:
    agent = desk.agent()
    lying = replace(ports(START, 80), digest=ports(START).digest)
    with pytest.raises(DecodeError, match=r"sections\[0\].digest"):
        desk.send(agent, lying)
    assert desk.assets() == ()


def test_a_report_in_the_name_of_another_agent_is_refused(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    report = desk.senders[other.id].report(ports(START), created=START)
    with pytest.raises(DecodeError, match="agent"):
        submit(desk.core, one, report, START).result()


def test_a_revoked_agent_is_refused_even_within_a_connection(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START))
    agents.revoke(desk.core, desk.admin, agent.id)
    with pytest.raises(Unauthorised):
        desk.send(agent, ports(START, 80))


def test_a_measurement_always_travels_whole(desk: Desk) -> None:
    agent = desk.agent()
    section = measured("line", "bandwidth", {"download_bps": 1e8}, at=START)
    desk.send(agent, section)
    with pytest.raises(UnknownDigest):
        desk.send(agent, unchanged(section, START + 1))
    desk.send(agent, section)
    assert len(list_measurements(desk.core, desk.admin)) == 2


def test_a_failed_run_confirms_nothing_and_takes_nothing_away(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START))
    for _ in range(5):
        at = desk.clock.forward(INTERVAL)
        desk.send(agent, state("ports", at=at, status=RunStatus.CRASHED, reason="out of memory"))
    found = desk.asset("ip:10.0.0.5")
    assert found.presence == "present"
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == START
    shown = agents.list_agents(desk.core, desk.admin)[0].sections[0]
    assert (shown.status, shown.reason) == ("crashed", "out of memory")
    assert shown.confirmed is not None
    assert shown.confirmed.timestamp() == START


def test_a_section_may_turn_from_measurement_to_state(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, measured("ports", "bandwidth", {"download_bps": 1e8}, at=START))
    desk.send(agent, ports(START))
    assert desk.asset("ip:10.0.0.5").presence == "present"
    desk.send(agent, state("ports", at=START, kind=SectionKind.MEASUREMENT, probe="bandwidth"))
    assert desk.asset("ip:10.0.0.5").presence == "present"


def test_what_an_agent_says_of_itself_is_shown(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START), dropped=7, software="edusec 1.2", metrics_url="http://127.0.0.1:9799/metrics")
    (shown,) = agents.list_agents(desk.core, desk.admin)
    assert (shown.dropped, shown.software, shown.sequence, shown.state) == (7, "edusec 1.2", 1, "active")


def test_reports_of_many_agents_at_once_are_all_there_once(desk: Desk) -> None:
    known = [desk.agent(name=f"gateway {number}") for number in range(8)]

    def run(index: int) -> list[Answer]:
        agent = known[index]
        found = []
        for turn in range(20):
            report = desk.senders[agent.id].report(
                ports(START + turn, *range(20, 22 + turn)),
                measured("line", "bandwidth", {"download_bps": float(turn)}, at=START + turn),
                created=START + turn,
            )
            found.append(submit(desk.core, agent, report, START + turn).result())
        return found

    with ThreadPoolExecutor(len(known)) as pool:
        answers = [answer for part in pool.map(run, range(len(known))) for answer in part]
    assert len(answers) == 160
    assert not any(answer.duplicate for answer in answers)
    assert len(list_measurements(desk.core, desk.admin)) == 160
    assert len(desk.asset("ip:10.0.0.5").services) == 21
    assert desk.core.stats.reports["accepted"] == 160


def test_a_full_queue_is_busy_and_the_report_can_be_sent_again(tmp_path: Path) -> None:
    with desk(tmp_path, Settings(queue_size=2, retry_after=3)) as small:
        agent = small.agent()
        started, let_go = threading.Event(), threading.Event()
        held = small.core.store.submit(lambda _turn: (started.set(), let_go.wait()))
        started.wait()
        reports = [small.senders[agent.id].report(ports(START), created=START) for _ in range(3)]
        futures = [submit(small.core, agent, report, START) for report in reports]
        refused = futures[2].exception()
        assert isinstance(refused, Busy)
        assert refused.retry_after == 3
        let_go.set()
        wait([held, *futures[:2]])
        assert not submit(small.core, agent, reports[2], START).result().duplicate


def test_a_full_disk_is_busy_and_nothing_is_remembered(desk: Desk) -> None:
    agent = desk.agent()
    pages = desk.core.store.write(lambda turn: turn.rows("PRAGMA page_count"))[0][0]
    desk.core.store.write(lambda turn: turn.rows(f"PRAGMA max_page_count = {pages + 4}"))
    many = state(
        "ports",
        *(host(f"10.0.{low}.{high}") for low in range(8) for high in range(250)),
        covers("10.0.0.0/16"),
        at=START,
    )
    report: Report = desk.senders[agent.id].report(many, created=START)
    with pytest.raises(Busy):
        submit(desk.core, agent, report, START).result()
    assert desk.assets() == ()
    assert desk.core.sections.section(agent.id, "ports") is None
    desk.core.store.write(lambda turn: turn.rows("PRAGMA max_page_count = 1000000"))
    assert not submit(desk.core, agent, report, START).result().duplicate
    assert desk.counts().assets["present"] == 2000


@pytest.mark.parametrize("room", [0, 3, 100])
def test_sightings_at_hand_are_bounded_and_change_nothing(tmp_path: Path, room: int) -> None:
    with desk(tmp_path, Settings(sightings_in_memory=room)) as small:
        known = [small.agent(name=f"gateway {number}") for number in range(4)]
        for turn in range(4):
            for agent in known:
                small.send(agent, ports(START + turn, 22, 80 + turn))
                held = small.core.sections._pictures
                assert sum(map(len, held.values())) <= room
        assert {found.port: found.state for found in small.asset("ip:10.0.0.5").services} == {
            22: "open",
            80: "filtered",
            81: "open",
            82: "open",
            83: "open",
        }


def test_a_report_that_fails_late_leaves_no_sightings_at_hand(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START, 22))
    judged = desk.core.rules.of
    desk.core.rules.of = {}  # judging comes last, after everything was written
    with pytest.raises(KeyError):
        desk.send(agent, ports(START, 22, 80))
    desk.core.rules.of = judged
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22]
    desk.send(agent, ports(START, 22, 80))
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22, 80]
