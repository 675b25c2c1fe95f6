"""Local IPv6 targets: where the province's plan has none in force, with their source, and only from their day on."""

import tomllib
from datetime import date
from pathlib import Path

import pytest

from collector.clock import day
from collector.ipv6.reports import report
from collector.ipv6.targets import next_target_of, target_of
from collector.memory.directory import Node
from collector.process.config import ConfigFault, parse
from collector.settings import LocalTarget, Settings
from tests.collector.ipv6.test_levels import WWW, register_for, run
from tests.support.collectors import COUNTY, DAY, SCHOOL, Clock, desk
from tests.support.ipv6 import GOOD
from wire.types import Outcome

NINGXIA = Node(COUNTY, "兴庆区", "county", "640100", f"640000/640100/{COUNTY}/", COUNTY, COUNTY)
JIANGSU = Node("320102", "玄武区", "county", "320100", "320000/320100/320102/", "320102", "320102")
TODAY = date(2026, 6, 1)
BELOW = "unit-ipv6-websites-below-target"


def test_the_nearest_local_target_in_force_counts_and_a_plan_goes_before_it() -> None:
    wide = LocalTarget(0.5, date(2026, 1, 1), "wide")
    near = LocalTarget(0.6, date(2025, 1, 1), "near", "640100")
    later = LocalTarget(0.7, date(2027, 1, 1), "later", COUNTY)
    other = LocalTarget(0.8, date(2025, 1, 1), "other", "640105")
    settings = Settings(ipv6_targets=(wide, later, near, other))
    found = target_of(settings, NINGXIA, TODAY)
    assert found is not None
    assert (found.value, found.item.id, found.item.cite().strip()) == (0.6, "local", "near")
    coming = next_target_of(settings, NINGXIA, TODAY)
    assert coming is not None
    assert (coming.value, coming.due) == (0.7, date(2027, 1, 1))
    planned = target_of(settings, JIANGSU, TODAY)
    assert planned is not None
    assert (planned.value, planned.item.id) == (0.9, "JS-IPV6-BASE")
    assert target_of(Settings(), NINGXIA, TODAY) is None
    assert target_of(Settings(ipv6_targets=(later, other)), NINGXIA, TODAY) is None


def test_a_local_target_decides_from_its_day_on(tmp_path: Path, clock: Clock) -> None:
    due = day(clock.now + 3 * DAY)
    local = LocalTarget(0.9, due, "区教育局 2026 年第 1 号文", COUNTY)
    with desk(tmp_path, Settings(ipv6_equal_results=1, ipv6_targets=(local,)), clock) as made:
        register_for(made)
        agent = made.agent()
        run(made, agent, {WWW: {**GOOD, "WEB-AAAA": Outcome.FAIL}})
        made.core.tick()
        early = report.report(made.core, made.admin, SCHOOL)
        assert (early.target, early.total.compliant) == (None, "unknown")
        assert early.next_target is not None
        assert early.next_target.local
        assert made.alerts(BELOW) == []
        clock.forward(4 * DAY)
        run(made, agent, {WWW: {**GOOD, "WEB-AAAA": Outcome.FAIL}})
        made.core.tick()
        found = report.report(made.core, made.admin, SCHOOL)
        assert found.target is not None
        assert (found.target.local, found.target.value, found.target.document) == (True, 0.9, local.source)
        assert found.total.compliant == "no"
        alerts = {alert.unit: alert for alert in made.alerts(BELOW)}
        assert {SCHOOL, COUNTY} == set(alerts)
        assert alerts[SCHOOL].evidence["ipv6_target_source"] == local.source


def test_a_target_that_is_set_later_has_everything_judged_anew(tmp_path: Path, clock: Clock) -> None:
    with desk(tmp_path, Settings(ipv6_equal_results=1), clock) as made:
        register_for(made)
        run(made, made.agent(), {WWW: {**GOOD, "WEB-AAAA": Outcome.FAIL}})
        made.core.tick()
        assert made.alerts(BELOW) == []
    local = LocalTarget(0.9, date(2025, 1, 1), "a paper")
    with desk(tmp_path, Settings(ipv6_equal_results=1, ipv6_targets=(local,)), clock) as again:
        again.core.tick()
        assert SCHOOL in {alert.unit for alert in again.alerts(BELOW)}


def test_the_configuration_names_what_is_wrong_with_a_target(tmp_path: Path) -> None:
    good = '[[ipv6_targets]]\nvalue = 0.9\ndue = 2026-12-31\nsource = "a paper"\nunit = "640104"\n'
    config = parse(tomllib.loads(good), tmp_path / "collector.toml")
    assert config.settings.ipv6_targets == (LocalTarget(0.9, date(2026, 12, 31), "a paper", "640104"),)
    for old, new, named in (
        ("0.9", "90", "value"), ("2026-12-31", '"soon"', "due"), ("source", "sauce", "source"),
        ("2026-12-31", "2026-12-31T00:00:00", "due"),
    ):  # fmt: skip
        with pytest.raises(ConfigFault, match=rf"ipv6_targets\[0\].{named}"):
            parse(tomllib.loads(good.replace(old, new)), tmp_path / "collector.toml")
