"""Reports: once each, in groups, by digest, whatever the agent's clock says."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import Busy, Conflict, Unauthorised, UnknownDigest
from collector.ingest import submit
from collector.measurements import list_measurements
from collector.registry import agents
from collector.settings import Settings
from collector.store.contract import Turn
from tests.support.collectors import DAY, INTERVAL, START, Clock, Desk, desk
from tests.support.reports import Sender, covers, host, measured, service, state, unchanged
from wire.errors import DecodeError
from wire.types import Answer, Report, RunStatus, Section, SectionKind


def ports(at: float = START, *open_ports: int) -> Section:
    return state(
        "ports",
        host("10.0.0.5"),
        *(service("10.0.0.5", port) for port in open_ports or (22,)),
        covers("10.0.0.0/24"),
        at=at,
    )


def test_a_report_is_answered_with_its_batch_and_the_policy(desk: Desk) -> None:
    agent = desk.agent()
    report = desk.senders[agent.id].report(ports(), created=START)
    answer = submit(desk.core, agent, report, START).result()
    assert (answer.batch, answer.sequence, answer.time, answer.duplicate) == (report.batch, 1, START, False)
    assert answer.policy is not None
    assert answer.policy.unit == agent.unit
    again = desk.send(agent, unchanged(ports(), START), policy=answer.policy.digest)
    assert again.policy is None


def test_a_replay_is_acknowledged_and_writes_nothing(desk: Desk) -> None:
    agent = desk.agent()
    report = desk.senders[agent.id].report(
        ports(), measured("line", "bandwidth", {"download_bps": 1e8}, at=START), created=START
    )
    submit(desk.core, agent, report, START).result()
    before = desk.assets()
    replayed = submit(desk.core, agent, report, START + 60).result()
    assert replayed.duplicate
    assert desk.assets() == before
    assert len(list_measurements(desk.core, desk.admin)) == 1
    assert desk.core.stats.sections["duplicate"] == 2


def test_an_older_sequence_is_a_replay_too(desk: Desk) -> None:
    agent = desk.agent()
    first = desk.senders[agent.id].report(ports(), created=START)
    submit(desk.core, agent, first, START).result()
    desk.send(agent, ports(START, 22, 80))
    assert submit(desk.core, agent, first, START).result().duplicate
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22, 80]


def test_the_same_sequence_with_another_batch_is_a_conflict(desk: Desk) -> None:
    agent = desk.agent()
    report = desk.senders[agent.id].report(ports(), created=START)
    submit(desk.core, agent, report, START).result()
    other = replace(report, batch="another", sections=(ports(START, 80),))
    with pytest.raises(Conflict, match="two agents share one identity"):
        submit(desk.core, agent, other, START).result()
    assert [found.port for found in desk.asset("ip:10.0.0.5").services] == [22]


def test_gaps_in_the_sequence_are_taken(desk: Desk) -> None:
    agent = desk.agent()
    sender = desk.senders[agent.id]
    assert not desk.send(agent, ports()).duplicate
    for _ in range(5):
        sender.report(created=START)  # dropped by a full spool
    assert desk.send(agent, ports(START, 80)).sequence == 7


def test_a_new_spool_starts_its_own_sequence(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports())
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
    section = ports()
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
    desk.send(agent, ports())
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
    desk.send(one, ports())
    with pytest.raises(UnknownDigest):
        desk.send(other, unchanged(ports(), START))


def test_a_digest_is_known_only_after_its_commit(desk: Desk) -> None:
    agent = desk.agent()

    def fails(turn: Turn) -> None:
        raise Conflict("no")

    # In one group: the first report is taken, the second refers to it; the failing work between does no harm.
    started, let_go = threading.Event(), threading.Event()
    held = desk.core.store.submit(lambda _turn: (started.set(), let_go.wait()))
    started.wait()
    sender = desk.senders[agent.id]
    first = submit(desk.core, agent, sender.report(ports(), created=START), START)
    broken = desk.core.store.submit(fails)
    second = submit(desk.core, agent, sender.report(unchanged(ports(), START), created=START), START)
    assert desk.core.sections.section(agent.id, "ports") is None
    let_go.set()
    wait([held, first, broken, second])
    assert first.exception() is None
    assert second.exception() is None


def test_a_refused_report_leaves_no_digest_behind(desk: Desk) -> None:
    agent = desk.agent()
    sender = desk.senders[agent.id]
    bad = sender.report(ports(), unchanged(state("other", at=START), START), created=START)
    with pytest.raises(UnknownDigest):
        submit(desk.core, agent, bad, START).result()
    with pytest.raises(UnknownDigest, match="ports"):
        desk.send(agent, unchanged(ports(), START))


def test_digests_are_known_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as first:
        agent = first.agent()
        sender = first.senders[agent.id]
        first.send(agent, ports())
    with desk(tmp_path, clock=clock) as second:
        second.senders[agent.id] = sender
        assert not second.send(agent, unchanged(ports(), START)).duplicate
        assert second.core.stats.sections == {"unchanged": 1}


def test_a_body_that_its_digest_does_not_fit_is_refused(desk: Desk) -> None:
    agent = desk.agent()
    lying = replace(ports(START, 80), digest=ports().digest)
    with pytest.raises(DecodeError, match=r"sections\[0\].digest"):
        desk.send(agent, lying)
    assert desk.assets() == ()


def test_a_report_in_the_name_of_another_agent_is_refused(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    report = desk.senders[other.id].report(ports(), created=START)
    with pytest.raises(DecodeError, match="agent"):
        submit(desk.core, one, report, START).result()


def test_a_revoked_agent_is_refused_even_within_a_connection(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports())
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
    desk.send(agent, ports())
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
    desk.send(agent, ports())
    assert desk.asset("ip:10.0.0.5").presence == "present"
    desk.send(agent, state("ports", at=START, kind=SectionKind.MEASUREMENT, probe="bandwidth"))
    assert desk.asset("ip:10.0.0.5").presence == "present"


@pytest.mark.parametrize("ahead", [INTERVAL * 2, DAY, 50 * 365 * DAY])
def test_a_clock_that_runs_ahead_is_set_right(desk: Desk, ahead: float) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START + ahead - 10), created=START + ahead)
    found = desk.asset("ip:10.0.0.5")
    assert found.first_seen.timestamp() == pytest.approx(START - 10)
    assert agents.list_agents(desk.core, desk.admin)[0].clock_skew_seconds == pytest.approx(ahead)
    desk.core.tick()
    assert [alert.subject.id for alert in desk.alerts("agent-clock-skew")] == [agent.id]
    desk.send(agent, ports(START))
    desk.core.tick()
    assert desk.alerts("agent-clock-skew") == []


def test_a_clock_that_starts_in_1970_counts_as_no_clock(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(100.0), measured("line", "bandwidth", {"download_bps": 1.0}, at=100.0), created=110.0)
    assert desk.asset("ip:10.0.0.5").first_seen.timestamp() == START
    assert list_measurements(desk.core, desk.admin)[0].time.timestamp() == START


def test_a_report_that_waited_in_the_spool_keeps_its_times(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START - 2 * DAY), created=START - 2 * DAY)
    assert desk.asset("ip:10.0.0.5").first_seen.timestamp() == START - 2 * DAY


def skew(desk: Desk) -> float:
    found = agents.list_agents(desk.core, desk.admin)[0].clock_skew_seconds
    assert found is not None
    return found


def test_reports_that_waited_are_no_wrong_clock(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent)
    # The line was down for six hours; then everything that waited comes within seconds.
    made = [desk.clock.now + (turn + 1) * INTERVAL for turn in range(72)]
    desk.clock.forward(6 * 3600)
    for turn, created in enumerate(made):
        desk.clock.forward(1)
        desk.send(agent, ports(created, 22, 100 + turn), created=created)
        assert skew(desk) == 0
    desk.core.tick()
    assert desk.alerts("agent-clock-skew") == []
    found = desk.asset("ip:10.0.0.5")
    assert found.first_seen.timestamp() == made[0]
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == made[-1]


def test_a_clock_that_is_behind_is_known_by_its_second_report(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent)
    for _ in range(2):
        now = desk.clock.forward(INTERVAL)
        desk.send(agent, ports(now - DAY, 22, int(now) % 1000 + 30), created=now - DAY)
    assert skew(desk) == pytest.approx(-DAY)
    desk.core.tick()
    assert [alert.subject.id for alert in desk.alerts("agent-clock-skew")] == [agent.id]
    now = desk.clock.forward(INTERVAL)
    desk.send(agent, ports(now - DAY - 10, 9), created=now - DAY)
    found = desk.asset("ip:10.0.0.5")
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == pytest.approx(now - 10)
    desk.send(agent, created=desk.clock.forward(INTERVAL))
    assert skew(desk) == 0


def test_times_never_lie_in_the_future(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START + 200), created=START)
    found = desk.asset("ip:10.0.0.5")
    assert found.last_confirmed is not None
    assert found.first_seen.timestamp() == found.last_confirmed.timestamp() == START


def test_what_is_confirmed_never_moves_back(desk: Desk) -> None:
    agent = desk.agent()
    section = ports()
    desk.send(agent, section)
    desk.send(agent, unchanged(section, START - DAY))
    found = desk.asset("ip:10.0.0.5")
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == START


def test_what_an_agent_says_of_itself_is_shown(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(), dropped=7, software="edusec 1.2", metrics_url="http://127.0.0.1:9799/metrics")
    (shown,) = agents.list_agents(desk.core, desk.admin)
    assert (shown.dropped, shown.software, shown.sequence, shown.state) == (7, "edusec 1.2", 1, "active")
    (target,) = agents.scrape_targets(desk.core)
    assert (target.metrics_url, target.unit, target.county) == ("http://127.0.0.1:9799/metrics", agent.unit, "640104")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "http://[::1", "javascript:1", "http://h:0/", "/x"])
def test_what_cannot_be_scraped_is_left_out(desk: Desk, url: str) -> None:
    desk.send(desk.agent(), ports(), metrics_url=url)
    assert agents.scrape_targets(desk.core) == []


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
        reports = [small.senders[agent.id].report(ports(), created=START) for _ in range(3)]
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
    assert desk.core.counts().assets["present"] == 2000


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
