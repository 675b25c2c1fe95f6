"""The uplink against a small collector over real TLS: whatever that answers, nothing is lost and nothing is doubled."""

import dataclasses
import gzip
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import load
from agent.errors import SpoolError
from agent.metrics.stats import exposition
from agent.spool.packing import pack
from agent.status import gather
from agent.uplink.delivery import Delivery
from agent.uplink.identity import Identity
from agent.uplink.postman import Postman
from agent.uplink.reports import (
    DRAIN_SECONDS,
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    UNAUTHORISED_SECONDS,
)
from probes.kit.phrases.lookup import in_chinese
from tests.agent.uplink.uplinks import INTERVAL, Agent, made
from tests.support.fake_collector import FakeCollector, Reply, refuse
from tests.support.languages import CHINESE, ENGLISH
from tests.support.processes import wait_until
from tests.support.sections import section
from wire.text import Text
from wire.types import Report, SectionKind


def test_a_report_arrives_and_is_forgotten(agent: Agent, collector: FakeCollector) -> None:
    agent.add("a", "b")
    assert agent.uplink.step() == INTERVAL
    assert collector.store.names() == ["a", "b"]
    assert agent.spool.waiting() == 0
    assert agent.uplink.step() == INTERVAL
    assert [len(report.sections) for report in collector.store.reports] == [2, 0]
    assert agent.attempts() == {"accepted": 2}


def test_a_backlog_is_drained_without_waiting_for_the_interval(agent: Agent, collector: FakeCollector) -> None:
    agent.add(*(f"t{number}" for number in range(300)))
    assert agent.uplink.step() == DRAIN_SECONDS / 2
    assert agent.uplink.step() == INTERVAL
    assert len(collector.store.sections) == 300


def test_an_answer_that_got_lost_makes_no_second_copy(agent: Agent, collector: FakeCollector) -> None:
    def take_and_hang_up(report: Report) -> Reply | None:
        from tests.support.fake_collector import Handler

        class Taken(Handler):
            store = collector.store

            def __init__(self) -> None:
                pass

        Taken()._take(report)
        raise ConnectionAbortedError

    agent.add("a")
    collector.store.script.append(take_and_hang_up)
    assert agent.uplink.step() < INTERVAL
    assert collector.store.names() == ["a"]
    assert agent.spool.waiting() == 1
    assert agent.uplink.step() == INTERVAL
    assert collector.store.names() == ["a"]
    assert collector.store.duplicates == 1


def test_it_backs_off_with_jitter_and_recovers(folder: Path, enrolled: Identity, collector: FakeCollector) -> None:
    with made(folder, enrolled, lambda: 0.999) as agent:
        agent.add("a")
        collector.stop()
        pauses = [agent.uplink.step() for _ in range(8)]
        assert pauses[:3] == pytest.approx([FIRST_BACK_OFF * 0.999 * 2**n for n in range(3)])
        assert pauses[-1] <= min(LONGEST_BACK_OFF, INTERVAL)
        assert agent.uplink.failing
        collector.start()
        agent.uplink.step()
        assert not agent.uplink.failing
        assert collector.store.names() == ["a"]
        assert {report.sequence for report in collector.store.reports} == {1}
    with made(folder, enrolled, lambda: 0.0) as agent:
        collector.stop()
        assert [agent.uplink.step() for _ in range(3)] == [0, 0, 0]


def test_an_outage_is_logged_once(agent: Agent, collector: FakeCollector, capfd: pytest.CaptureFixture[str]) -> None:
    collector.stop()
    for _ in range(4):
        agent.uplink.step()
    collector.start()
    agent.uplink.step()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "Connection refused" in lines[0]
    assert "level=info" in lines[1]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: refuse(401, "unauthorised"),
        lambda _: refuse(408, "too_slow"),
        lambda _: refuse(409, "conflict"),
        lambda _: refuse(503, "busy"),
        lambda _: refuse(500, "internal"),
        lambda _: (200, {}, b"<html>"),
        None,
    ],
)
def test_what_goes_wrong_is_shown_in_chinese_too(
    agent: Agent, collector: FakeCollector, answer: Callable[[Report], Reply] | None
) -> None:
    agent.add("a")
    if answer is None:
        collector.stop()
    else:
        collector.store.script.append(answer)
    agent.uplink.step()
    problem = agent.spool.within(
        lambda db: db.execute("SELECT value FROM fact WHERE key = 'note.last_error'").fetchone()[0]
    )
    said = in_chinese(problem)
    assert CHINESE.search(said), problem
    assert not ENGLISH.search(said.partition("edusec agent")[0]), said


@pytest.mark.usefixtures("enrolled")
def test_a_spool_that_cannot_be_read_says_why_in_chinese_too(folder: Path) -> None:
    config = replace(load(None), state=folder)
    (folder / "spool.db").write_bytes(b"no database " * 400)
    with pytest.raises(SpoolError) as fault:
        gather(config)
    assert "不是数据库" in fault.value.text.zh
    assert "file is not a database" in fault.value.text.en


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_collector_says_when(agent: Agent, collector: FakeCollector, status: int) -> None:
    agent.add("a")
    collector.store.script.append(lambda _: refuse(status, "busy", Retry_After="30"))
    assert 30 <= agent.uplink.step() <= 30 + FIRST_BACK_OFF
    collector.store.script.append(lambda _: refuse(status, "busy", Retry_After="99999999"))
    assert agent.uplink.step() <= 3600 + INTERVAL
    collector.store.script.append(lambda _: refuse(status, "busy", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert agent.uplink.step() <= INTERVAL
    collector.store.script.append(lambda _: refuse(status, "busy", Retry_After="soon"))
    assert agent.uplink.step() <= INTERVAL
    assert agent.attempts() == {"busy": 4}
    agent.uplink.step()
    assert collector.store.names() == ["a"]


def test_a_revoked_agent_asks_seldom_and_says_so_once(
    agent: Agent, collector: FakeCollector, capfd: pytest.CaptureFixture[str]
) -> None:
    agent.add("a")
    for _ in range(3):
        collector.store.script.append(lambda _: refuse(401, "unauthorised", "revoked"))
        assert agent.uplink.step() == UNAUTHORISED_SECONDS
    assert capfd.readouterr().err.count("edusec agent enroll") == 1
    agent.uplink.step()
    assert collector.store.names() == ["a"]


def test_unknown_digests_are_sent_in_full(agent: Agent, collector: FakeCollector) -> None:
    agent.add("a", "b")
    agent.uplink.step()
    del collector.store.digests["agent-1", "a"]
    agent.add("a", "b")
    assert agent.uplink.step() <= DRAIN_SECONDS
    assert agent.uplink.step() == INTERVAL
    assert [section.body is None for section in collector.store.sections] == [False, False, False, True]
    assert collector.store.duplicates == 0


def test_a_collector_that_never_knows_a_digest_is_given_rest(agent: Agent, collector: FakeCollector) -> None:
    agent.add("a")
    for _ in range(5):
        collector.store.script.append(lambda _: refuse(409, "unknown_digest", "again", ("a",)))
        agent.uplink.step()
    assert agent.uplink.failing
    agent.uplink.step()
    assert collector.store.names() == ["a"]


def test_a_copied_spool_takes_another_name(agent: Agent, collector: FakeCollector) -> None:
    agent.add("a")
    before = agent.spool.id
    collector.store.batches["agent-1", before, 1] = "the batch of a twin"
    agent.uplink.step()
    assert agent.spool.id != before
    agent.uplink.step()
    assert collector.store.names() == ["a"]
    assert agent.attempts() == {"conflict": 1, "accepted": 1}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_poisonous_section_does_not_block_the_others(agent: Agent, collector: FakeCollector, status: int) -> None:
    def picky(report: Report) -> Reply | None:
        collector.store.script.append(picky)
        bad = any(section.name == "poison" for section in report.sections)
        return refuse(status, "too_large" if status == 413 else "bad_request") if bad else None

    collector.store.script.append(picky)
    agent.add(*(f"t{number}" for number in range(5)), "poison", *(f"u{number}" for number in range(5)))
    steps = 0
    while agent.spool.waiting():
        agent.uplink.step()
        steps += 1
        assert steps < 30
    assert collector.store.names() == [*(f"t{number}" for number in range(5)), *(f"u{number}" for number in range(5))]
    counts = agent.spool.counts()
    assert (counts.aside, counts.dropped) == (1, 0)
    agent.add(*(f"v{number}" for number in range(20)))
    while agent.spool.waiting():
        agent.uplink.step()
    assert len(collector.store.reports[-1].sections) > 4  # batches grow again


def test_a_slow_line_gets_smaller_batches(agent: Agent, collector: FakeCollector) -> None:
    def slow(report: Report) -> Reply | None:
        collector.store.script.append(slow)
        return refuse(408, "bad_request", "too slow") if len(report.sections) > 2 else None

    collector.store.script.append(slow)
    agent.add(*(f"t{number}" for number in range(10)))
    while agent.spool.waiting():
        agent.uplink.step()
    assert collector.store.names() == [f"t{number}" for number in range(10)]
    assert agent.spool.counts().aside == 0
    assert agent.attempts()["too_slow"] >= 2


def test_a_collector_that_refuses_everything_makes_nothing_be_set_aside(agent: Agent, collector: FakeCollector) -> None:
    agent.add("a", "b", "c")
    for _ in range(20):
        collector.store.script.append(lambda _: refuse(400, "bad_request", "a fault of the collector"))
        agent.uplink.step()
    assert (agent.spool.counts().aside, agent.spool.waiting()) == (0, 3)
    assert agent.uplink.failing
    while agent.spool.waiting():
        agent.uplink.step()
    assert collector.store.names() == ["a", "b", "c"]


def test_a_collector_of_another_release_is_waited_for(agent: Agent, collector: FakeCollector) -> None:
    agent.add("a")
    for _ in range(3):
        collector.store.script.append(lambda _: refuse(400, "unsupported_schema", "edusec.report/2 wanted"))
        agent.uplink.step()
    assert (agent.spool.counts().aside, agent.spool.waiting()) == (0, 1)


@pytest.mark.parametrize(
    "reply",
    [
        (200, {}, b""),
        (200, {}, b"{}"),
        (200, {}, b"not json"),
        (200, {}, b'{"batch":"other","sequence":1,"time":1,"schema":"edusec.answer/1"}'),
        (200, {}, b'{"batch":"x","sequence":1,"time":1,"schema":"edusec.answer/9"}'),
        (200, {}, b"x" * (17 << 20)),
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b"{}")),
        (204, {}, b""),
        (302, {"Location": "http://192.0.2.1/"}, b""),
        (404, {}, b"<html>a captive portal</html>"),
        (500, {}, b"oops"),
        (502, {}, b""),
    ],
)
def test_no_odd_answer_is_taken_for_an_acknowledgement(agent: Agent, collector: FakeCollector, reply: Reply) -> None:
    agent.add("a")
    collector.store.script.append(lambda _: reply)
    agent.uplink.step()
    assert agent.spool.waiting() == 1
    assert agent.uplink.failing
    agent.uplink.step()
    assert collector.store.names() == ["a"]


def test_a_line_that_hangs_is_given_up(folder: Path, enrolled: Identity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        elsewhere = dataclasses.replace(enrolled, port=deaf.getsockname()[1])
        with made(folder, elsewhere) as agent:
            agent.uplink.step(seconds=0.5)
            assert agent.problems.current()["uplink"] == "no answer in time"
            thread = threading.Thread(target=agent.uplink.step, args=(60.0,))
            thread.start()
            wait_until(lambda: agent.courier._process is not None, "the courier is on its way")
            agent.courier.abort()
            thread.join(60)
            assert not thread.is_alive()


def test_an_answer_that_does_not_come_is_given_up(agent: Agent, collector: FakeCollector) -> None:
    release = threading.Event()

    def slow(_: Report) -> Reply | None:
        release.wait(20)
        return None

    collector.store.script.append(slow)
    agent.add("a")
    agent.uplink.step(seconds=1)
    release.set()
    assert agent.problems.current()["uplink"] == "no answer in time"
    agent.uplink.step()
    assert collector.store.names() == ["a"]


def test_a_clock_that_is_far_off_is_said_and_measured(agent: Agent, collector: FakeCollector) -> None:
    collector.store.clock = 86_400
    agent.uplink.step()
    assert "behind" in agent.problems.current()["clock"]
    skew = agent.stats.samples(None)["edusec_agent_clock_skew_seconds"][0][1]
    assert skew == pytest.approx(86_400, abs=30)
    collector.store.clock = 0
    agent.uplink.step()
    assert "clock" not in agent.problems.current()


def test_a_spool_that_fails_is_no_end(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SpoolError(Path("spool.db"), Text("磁盘空间不足", "database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(agent.spool, "seal", full)
        assert agent.uplink.step() <= INTERVAL
    assert "full" in agent.problems.current()["spool"]
    agent.uplink.step()
    assert agent.problems.current() == {}


def test_the_postman_delivers_stops_and_flushes(agent: Agent, collector: FakeCollector) -> None:
    stepped = threading.Event()
    postman = Postman(agent.uplink, agent.courier, 0.0, stepped.set)
    postman.start()
    assert stepped.wait(60)
    agent.add("a")
    postman.hurry()
    wait_until(lambda: collector.store.names() == ["a"], "the section arrives")
    agent.add("b")
    postman.stop(60)
    assert not postman.alive
    assert collector.store.names() == ["a", "b"]


def test_a_stop_never_waits_for_a_dead_line(folder: Path, enrolled: Identity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        elsewhere = dataclasses.replace(enrolled, port=deaf.getsockname()[1])
        with made(folder, elsewhere) as agent:
            agent.add("a")
            postman = Postman(agent.uplink, agent.courier, 0.0, lambda: None)
            postman.start()
            wait_until(lambda: agent.courier._process is not None, "the courier is on its way")
            postman.stop(0.5)
            assert not postman.alive
            assert agent.spool.waiting() == 1


def test_a_delivery_the_courier_could_not_write_is_a_failure(folder: Path, enrolled: Identity) -> None:
    too_long = dataclasses.replace(enrolled, credential="x" * 2000)
    with made(folder, too_long) as agent:
        delivery = agent.courier(b"payload", 5)
    assert delivery == Delivery(0, error=delivery.error)
    assert delivery.error.startswith("the courier failed")


def test_counters_of_attempts_are_exposed(agent: Agent) -> None:
    agent.spool.add(pack(section("v", kind=SectionKind.MEASUREMENT)))
    agent.uplink.step()
    assert 'edusec_agent_uplink_attempts_total{result="accepted"} 1' in exposition(agent.stats.samples(None))
