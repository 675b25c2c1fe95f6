"""IPv6 in the traffic that agents count: summed by day on the schedule, also over units, and told when it drops."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from collector.ipv6.days import Counted, Reading, sums_by_day, worst
from collector.ipv6.reports import report, views
from collector.process.config import ConfigFault, parse
from collector.settings import Settings
from tests.support.collectors import COUNTY, DAY, FAR_SCHOOL, OTHER_SCHOOL, SCHOOL, Clock, Desk
from tests.support.collectors import desk as make_desk
from tests.support.reports import state
from wire.types import Observation, Outcome, Section, SectionKind, Target, TargetKind, Value

HOUR = 3600.0
DROP = "ipv6-traffic-drop"


def counted(desk: Desk, four: int, six: int, share: float = 0.1, confidence: str = "high") -> Section:
    values: dict[str, Value] = {
        "v4_received_bytes": four, "v4_sent_bytes": 0, "v6_received_bytes": six, "v6_sent_bytes": 0, "epoch": "boot",
        "counter_bits": 64, "confidence": confidence, "share": share, "target": 0.27, "v4_only": ("old.test 900",),
    }  # fmt: skip
    said = Observation("traffic_ipv6", "TRF-SHARE", Target(TargetKind.AGENT, "self"), Outcome.MEASURED, 0.0, values)
    other = replace(said, method="TRF-USERS", values={"share": 0.9, "users": 10})
    return state("flows", said, other, at=desk.clock.now, probe="traffic_ipv6", kind=SectionKind.MEASUREMENT)


def days(desk: Desk, gains: Mapping[str, list[tuple[int, int]]], confidence: str = "high") -> None:
    """Let an agent of each unit count (IPv4, IPv6) bytes for one day after the other, judged each day."""
    agents = {unit: desk.agent(unit) for unit in gains}
    totals = dict.fromkeys(gains, (0, 0))
    for number in range(max(len(found) for found in gains.values()) + 1):
        for unit, found in gains.items():
            if number <= len(found):
                desk.send(agents[unit], counted(desk, *totals[unit], confidence=confidence))
            if number < len(found):
                (four, six), (more, others) = totals[unit], found[number]
                totals[unit] = four + more, six + others
        desk.core.tick()
        desk.clock.forward(DAY)
    desk.core.tick()


def flows(desk: Desk, unit: str) -> views.Ipv6Traffic:
    found = report.report(desk.core, desk.admin, unit).traffic
    assert found is not None
    return found


def told(desk: Desk) -> list[str]:
    return [alert.subject.id for alert in desk.alerts(DROP) if alert.state == "firing"]


def test_a_share_that_drops_against_the_same_weekday_raises_an_alert_and_a_return_ends_it(desk: Desk) -> None:
    days(desk, {SCHOOL: [(60, 40)] * 14 + [(90, 10)]})
    found = flows(desk, SCHOOL)
    assert found.share == pytest.approx(0.1)
    assert (found.dropped, found.confidence, found.units, found.v4_only) == ("yes", "high", 1, ("old.test 900",))
    assert list(found.days.values())[:3] == pytest.approx([0.4, 0.4, 0.4])
    assert found.slope is not None
    assert report.report(desk.core, desk.admin, OTHER_SCHOOL).traffic is None
    assert told(desk) == [SCHOOL]
    (alert,) = desk.alerts(DROP)
    assert alert.evidence["v6_traffic_share"] == pytest.approx(0.1)
    assert alert.evidence["v6_traffic_share_before"] == pytest.approx(0.4)
    assert [alert.rule for alert in desk.alerts("ipv6-traffic-below-target")] == ["ipv6-traffic-below-target"]
    # Nobody counts any more: that ends nothing.
    desk.clock.forward(DAY)
    desk.core.tick()
    assert told(desk) == [SCHOOL]


def test_the_next_day_that_is_as_it_was_ends_the_alert(desk: Desk) -> None:
    gains = [(60, 40)] * 14 + [(90, 10)]
    days(desk, {SCHOOL: gains})
    assert told(desk) == [SCHOOL]
    agent = next(record.identity for record in desk.core.directory.agents.values())
    four, six = sum(gain[0] for gain in gains), sum(gain[1] for gain in gains)
    desk.send(agent, counted(desk, four, six))
    desk.clock.forward(HOUR)
    desk.send(agent, counted(desk, four + 60, six + 40))
    desk.clock.forward(DAY)
    desk.core.tick()
    assert told(desk) == []


@pytest.mark.parametrize(("limit", "expected"), [(0.3, []), (0.1, [SCHOOL])])
def test_how_far_it_may_fall_is_configured(tmp_path: Path, clock: Clock, limit: float, expected: list[str]) -> None:
    with make_desk(tmp_path, Settings(ipv6_traffic_fall=limit), clock) as desk:
        days(desk, {SCHOOL: [(60, 40)] * 8 + [(70, 30)]})
        assert told(desk) == expected
        assert flows(desk, SCHOOL).dropped == ("yes" if expected else "no")
    config = parse({"judging": {"ipv6_traffic_fall": limit}}, tmp_path / "collector.toml")
    assert config.settings.ipv6_traffic_fall == limit
    with pytest.raises(ConfigFault, match="ipv6_traffic_fall"):
        parse({"judging": {"ipv6_traffic_fall": 0}}, tmp_path / "collector.toml")


def test_counters_that_cannot_be_trusted_raise_nothing(desk: Desk) -> None:
    days(desk, {SCHOOL: [(60, 40)] * 8 + [(90, 10)]}, "low")
    assert told(desk) == []
    assert (flows(desk, SCHOOL).dropped, flows(desk, SCHOOL).confidence) == ("yes", "low")


def test_a_county_sums_bytes_and_averages_no_share(desk: Desk) -> None:
    big, small = [(600, 400)] * 9, [(8, 2)] * 9
    days(desk, {SCHOOL: big, OTHER_SCHOOL: small, FAR_SCHOOL: [(0, 1000)] * 9})
    found = flows(desk, COUNTY)
    assert found.share == pytest.approx(402 / 1010)
    assert (found.dropped, found.units, found.v4_only) == ("no", 2, ())
    assert list(found.days.values()) == pytest.approx([402 / 1010] * 9)


def test_a_school_that_stops_counting_is_no_drop_of_its_county(desk: Desk) -> None:
    days(desk, {SCHOOL: [(0, 1000)] * 8, OTHER_SCHOOL: [(900, 100)] * 9})
    found = flows(desk, COUNTY)
    assert found.share == pytest.approx(0.1)
    assert (found.dropped, found.units) == ("no", 1)
    assert told(desk) == []


def test_what_arrives_late_is_counted_on_its_own_day(desk: Desk) -> None:
    agent = desk.agent()
    first = counted(desk, 0, 0)
    desk.clock.forward(HOUR)
    late = counted(desk, 30, 10)
    desk.send(agent, first)
    desk.core.tick()
    desk.clock.forward(2 * DAY)
    desk.core.tick()
    desk.send(agent, late)
    desk.clock.forward(2 * HOUR)
    desk.core.tick()
    assert list(flows(desk, SCHOOL).days.values()) == [0.25]


def test_days_that_were_counted_before_sums_were_kept_are_summed_at_the_start(desk: Desk) -> None:
    days(desk, {SCHOOL: [(60, 40)] * 9})
    expected = flows(desk, SCHOOL)
    desk.core.store.write(lambda turn: turn.run("DELETE FROM ipv6_day"))
    assert flows(desk, SCHOOL).days == {}
    desk.clock.forward(2 * HOUR)
    desk.core.schedule.traffic.start()
    desk.core.tick()
    assert flows(desk, SCHOOL) == expected


def test_sums_are_kept_as_long_as_changes(tmp_path: Path, clock: Clock) -> None:
    with make_desk(tmp_path, Settings(change_days=3), clock) as desk:
        days(desk, {SCHOOL: [(60, 40)] * 9})
        with desk.core.store.reader() as connection:
            (rows,) = connection.execute(text("SELECT count(*) FROM ipv6_day")).scalars()
        assert rows <= 4


def reading(at: float, four: int, six: int, epoch: str) -> Reading:
    names = ("v4_received_bytes", "v4_sent_bytes", "v6_received_bytes", "v6_sent_bytes")
    told = {**dict(zip(names, (four, 0, six, 0), strict=True)), "epoch": epoch, "confidence": "medium"}
    return at, told


def test_counters_that_began_anew_or_stood_still_too_long_add_nothing_wrong() -> None:
    restarted = [reading(0, 1000, 1000, "a"), reading(HOUR, 30, 10, "b"), reading(2 * HOUR, 60, 20, "b")]
    assert list(sums_by_day([restarted]).values()) == [Counted(60, 20, "medium")]
    assert sums_by_day([[reading(0, 0, 0, "a"), reading(3 * DAY, 10, 10, "a")]]) == {}


def test_the_least_confidence_counts() -> None:
    assert worst(["high", "low", "medium"]) == "low"
    assert worst(["high", ""]) == "high"
    assert worst(["high", "odd"]) == "odd"
    assert worst([]) == "unknown"
