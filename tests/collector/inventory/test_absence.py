"""Absence: declared by covering runs only, N of them in a row; what nobody covers is unknown."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector.inventory.lists.assets import show_asset
from collector.sightings.compare import Known, compare, settle
from collector.sightings.coverage import area
from collector.sightings.picture import draw
from tests.support.collectors import INTERVAL, Desk
from tests.support.reports import covers, host, service, state, unchanged
from wire.types import Coverage, Observation, Outcome, RunStatus, Section, Transport

N = 3
FULL = (covers("10.0.0.0/24"),)


def run(desk: Desk, agent: object, *said: Observation | Coverage, status: RunStatus = RunStatus.DONE) -> Section:
    at = desk.clock.forward(INTERVAL)
    section = state("ports", *said, at=at, status=status)
    desk.send(agent, section)  # type: ignore[arg-type]
    return section


def test_an_asset_is_absent_after_three_covering_runs(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), host("10.0.0.6"), *FULL)
    last_seen = desk.clock.now
    found = []
    for extra in (7, 8, 9):
        run(desk, agent, host("10.0.0.6"), host(f"10.0.0.{extra}"), *FULL)
        found.append(desk.asset("ip:10.0.0.5").presence)
    assert found == ["present", "present", "absent"]
    gone = desk.asset("ip:10.0.0.5")
    assert gone.last_confirmed is not None
    assert gone.last_confirmed.timestamp() == last_seen
    assert desk.asset("ip:10.0.0.6").presence == "present"


def test_runs_that_arrive_as_a_digest_count(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), host("10.0.0.6"), *FULL)
    section = run(desk, agent, host("10.0.0.6"), *FULL)
    found = []
    for _ in range(2):
        desk.send(agent, unchanged(section, desk.clock.forward(INTERVAL)))
        asset = desk.asset("ip:10.0.0.5")
        found.append((asset.presence, asset.services[0].state))
    assert found == [("present", "open"), ("absent", "filtered")]


def test_what_is_not_covered_any_more_is_unknown(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    for number in range(5):
        run(desk, agent, host(f"10.0.1.{number}"), covers("10.0.1.0/24"))
    asset = desk.asset("ip:10.0.0.5")
    assert (asset.presence, asset.services[0].state) == ("unknown", "unknown")


def test_a_run_that_leaves_it_out_starts_the_count_anew(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), *FULL)
    for number in range(2):
        run(desk, agent, host(f"10.0.0.{10 + number}"), *FULL)
    run(desk, agent, host("10.0.1.1"), covers("10.0.1.0/24"))
    found = []
    for number in range(3):
        run(desk, agent, host(f"10.0.0.{20 + number}"), *FULL)
        found.append(desk.asset("ip:10.0.0.5").presence)
    assert found == ["unknown", "unknown", "absent"]


def test_a_failed_run_is_no_miss(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), *FULL)
    run(desk, agent, *FULL)
    for number in range(5):
        at = desk.clock.forward(INTERVAL)
        desk.send(agent, state("ports", at=at, status=RunStatus.TIMED_OUT, reason=str(number)))
    assert desk.asset("ip:10.0.0.5").presence == "present"
    run(desk, agent, host("10.0.0.7"), *FULL)
    assert desk.asset("ip:10.0.0.5").presence == "present"
    run(desk, agent, host("10.0.0.8"), *FULL)
    assert desk.asset("ip:10.0.0.5").presence == "absent"


def test_a_port_that_is_refused_is_closed_at_once(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), service("10.0.0.5", 80), *FULL)
    run(desk, agent, host("10.0.0.5", closed=[22, 23]), service("10.0.0.5", 80), *FULL)
    asset = desk.asset("ip:10.0.0.5")
    assert [found.state for found in asset.services] == ["closed", "open"]
    assert asset.services[0].changed.timestamp() == desk.clock.now
    assert asset.presence == "present"
    (change,) = show_asset(desk.core, desk.admin, asset.id).changes
    assert (change.what, change.before, change.after) == ("10.0.0.5 tcp/22 state", "open", "closed")


def test_a_port_observed_as_closed_is_closed_at_once(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    run(desk, agent, service("10.0.0.5", 22, Outcome.CLOSED), service("10.0.0.5", 25, Outcome.CLOSED), *FULL)
    asset = desk.asset("ip:10.0.0.5")
    assert [(found.port, found.state) for found in asset.services] == [(22, "closed")]
    assert asset.presence == "present"


def test_a_port_that_stays_silent_is_filtered_after_three_runs(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    found = []
    for number in range(3):
        run(desk, agent, host("10.0.0.5", filtered="22", turn=number), *FULL)
        found.append(desk.asset("ip:10.0.0.5").services[0].state)
    assert found == ["open", "open", "filtered"]


def test_a_port_outside_the_covered_ports_is_unknown(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), covers("10.0.0.0/24", ports="1-1024"))
    run(desk, agent, host("10.0.0.5"), covers("10.0.0.0/24", ports="80"))
    assert desk.asset("ip:10.0.0.5").services[0].state == "unknown"


def test_what_returns_is_the_same_as_before(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    before = desk.asset("ip:10.0.0.5")
    for number in range(3):
        run(desk, agent, host(f"10.0.0.{7 + number}"), *FULL)
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    after = desk.asset("ip:10.0.0.5")
    assert (after.id, after.first_seen, after.presence) == (before.id, before.first_seen, "present")
    assert after.services[0].state == "open"
    said = [
        (change.what, change.before, change.after) for change in show_asset(desk.core, desk.admin, after.id).changes
    ]
    assert ("presence", "present", "absent") in said
    assert ("presence", "absent", "present") in said


def test_nothing_vouches_for_long(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    assert desk.asset("ip:10.0.0.5").presence == "present"
    desk.clock.forward(desk.core.settings.unknown_after + 1)
    asset = desk.asset("ip:10.0.0.5")
    assert (asset.presence, asset.services[0].state) == ("unknown", "unknown")
    assert desk.assets("presence:present") == ()
    assert desk.assets("port:22") == ()
    assert desk.counts().assets == {"present": 0, "absent": 0, "unknown": 1}


def test_a_slow_task_vouches_for_three_of_its_own_periods(desk: Desk) -> None:
    agent = desk.agent()
    day = 86_400.0
    section = state("ports", host("10.0.0.5"), *FULL, at=desk.clock.now)
    desk.send(agent, section)
    desk.send(agent, unchanged(section, desk.clock.forward(7 * day)))
    desk.clock.forward(20 * day)
    assert desk.asset("ip:10.0.0.5").presence == "present"
    desk.clock.forward(2 * day)
    assert desk.asset("ip:10.0.0.5").presence == "unknown"


def test_one_section_that_sees_it_is_enough(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    run(desk, one, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    run(desk, other, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    for number in range(4):
        run(desk, one, host("10.0.0.5", closed=[22], turn=number), *FULL)
    assert desk.asset("ip:10.0.0.5").services[0].state == "open"
    run(desk, other, host("10.0.0.5", closed=[22]), *FULL)
    assert desk.asset("ip:10.0.0.5").services[0].state == "closed"


def test_when_one_word_grows_stale_another_section_speaks(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    run(desk, one, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    section = run(desk, other, host("10.0.0.5", closed=[22]), *FULL)
    for _ in range(3):
        section = run(desk, other, host("10.0.0.5"), service("10.0.0.5", 22), *FULL)
    closed = run(desk, other, host("10.0.0.5", closed=[22]), *FULL)
    assert desk.asset("ip:10.0.0.5").services[0].state == "open"
    assert section.digest != closed.digest
    desk.clock.forward(desk.core.settings.unknown_after - 10)
    desk.send(other, unchanged(closed, desk.clock.now))
    desk.clock.forward(60)
    desk.core.tick()
    assert desk.asset("ip:10.0.0.5").services[0].state == "closed"


ADDRESSES = [f"10.0.0.{number}" for number in range(1, 5)]
PORTS = [22, 80]


@given(
    st.lists(
        st.tuples(st.sampled_from(["seen", "missed", "uncovered", "refused", "again"]), st.booleans()), max_size=20
    )
)
def test_no_count_is_ever_short(steps: list[tuple[str, bool]]) -> None:
    """Pure: whatever comes, a service turns filtered only after N covering runs in a row that missed it."""
    known = Known("s|10.0.0.1|tcp|22", "open", "", 0)
    misses, runs = 0, 1
    for what, _ in steps:
        runs += 1
        covered = what != "uncovered"
        body = [host("10.0.0.1", closed=[22] if what == "refused" else ())]
        if what == "seen":
            body.append(service("10.0.0.1", 22))
        if what == "again" and known.missed_from:
            difference = settle([known], runs, N)
            misses += 1
        else:
            coverage = [Coverage(("10.0.0.0/24",), 4, "22", Transport.TCP)] if covered else []
            difference = compare([known], draw(body), area(tuple(coverage)), runs, N)
            misses = misses + 1 if what in ("missed", "again") else 0
        for old, now, missed_from in difference.lost:
            if now == "filtered" and old.state != "filtered":
                assert misses >= N
            known = known._replace(state=now, missed_from=missed_from)
        for _, (now, detail) in difference.altered:
            known = known._replace(state=now, detail=detail, missed_from=0)
        if what == "refused":
            assert known.state == "closed"
        if what == "seen":
            assert (known.state, known.missed_from) == ("open", 0)
        if what == "uncovered":
            assert known.state == "unknown"
        if misses >= N:
            assert known.state == "filtered"


@dataclass
class Truth:
    """What the model expects of one address: how often covering runs missed it in a row, and whether it was covered."""

    misses: int = 0
    state: str = "never"
    runs: list[str] = field(default_factory=list)


class Absence(RuleBasedStateMachine):
    """A network that comes and goes under scans of changing coverage, against a model of three lines."""

    desks: "list[Desk]" = []  # noqa: RUF012 (given by the test below)

    @initialize()
    def start(self) -> None:
        self.desk = self.desks[0]
        self.agent = self.desk.agent(name=f"agent {self.desk.clock.now}")
        self.truth = {name: Truth() for name in ADDRESSES}
        # Each example has its own addresses, so that one store serves all of them.
        self.net = f"10.{len(self.desk.senders) // 250}.{len(self.desk.senders) % 250}"
        self.last: Section | None = None

    def address(self, name: str) -> str:
        return f"{self.net}.{name.rsplit('.', 1)[1]}"

    @rule(seen=st.sets(st.sampled_from(ADDRESSES)), covered=st.sets(st.sampled_from(ADDRESSES)))
    def scan(self, seen: set[str], covered: set[str]) -> None:
        self.last = run(
            self.desk,
            self.agent,
            *(host(self.address(name)) for name in sorted(seen)),
            *(covers(f"{self.address(name)}/32") for name in sorted(covered)),
        )
        self.happened(seen, covered)
        self.pair = (seen, covered)

    @rule()
    def the_same_again(self) -> None:
        if self.last is None:
            return
        self.desk.send(self.agent, unchanged(self.last, self.desk.clock.forward(INTERVAL)))
        self.happened(*self.pair)

    def happened(self, seen: set[str], covered: set[str]) -> None:
        for name, truth in self.truth.items():
            if name in seen:
                truth.misses, truth.state = 0, "present"
            elif truth.state == "never":
                continue
            elif name not in covered:
                truth.misses, truth.state = 0, "unknown"
            else:
                truth.misses += 1
                if truth.misses >= N:
                    truth.state = "absent"

    @invariant()
    def every_asset_is_as_it_should_be(self) -> None:
        if not hasattr(self, "truth"):
            return
        found = {asset.addresses[0]: asset.presence for asset in self.desk.assets(f"ip:{self.net}.")}
        expected = {self.address(name): truth.state for name, truth in self.truth.items() if truth.state != "never"}
        assert found == expected


@pytest.mark.timeout(300)
def test_assets_follow_the_model(desk: Desk) -> None:
    from hypothesis import settings
    from hypothesis.stateful import run_state_machine_as_test

    Absence.desks = [desk]
    run_state_machine_as_test(Absence, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))
