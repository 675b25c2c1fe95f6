"""Information systems of the register as subjects of rules: their protection level, their level of IPv6."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.registry import register, units
from collector.settings import Settings
from tests.support.collectors import Clock, Desk
from tests.support.collectors import desk as make_desk
from tests.support.ipv6 import GOOD, sites
from wire.types import Outcome

COUNTY, SCHOOL = "320102", "2132000101"
TREE = f"""code,name,kind,parent,division_code
320000,江苏省,province,,320000
{COUNTY},玄武区,county,320000,320102
{SCHOOL},第一小学,school,{COUNTY},320102
"""
POOR = {**GOOD, "WEB-OK": Outcome.FAIL}
BELOW = "system-ipv6-below-target"


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    with make_desk(tmp_path, Settings(ipv6_equal_results=1), clock) as made:
        units.import_units(made.core, made.admin, TREE.encode(), "tree.csv")
        yield made


def registered(desk: Desk, *rows: str, unit: str = SCHOOL) -> None:
    sheet = "kind,address,name,system,mlps_level,owner\n" + "".join(f"{row}\n" for row in rows)
    register.import_entries(desk.core, desk.admin, sheet.encode(), "r.csv", unit)
    desk.core.tick()


def raised(desk: Desk, rule: str) -> list[tuple[str, str, str]]:
    return [(alert.subject.label, alert.unit, alert.colour) for alert in desk.alerts(rule) if alert.state == "firing"]


def test_a_system_below_its_target_is_told_until_it_is_mended(desk: Desk) -> None:
    agent = desk.agent(SCHOOL)
    registered(
        desk, "system,oa.example.cn,OA,,3,a", "website,www.example.cn,,OA,,a", "system,card.example.cn,Card,,2,a"
    )
    assert raised(desk, BELOW) == []  # nobody looked yet
    found = {"oa.example.cn": GOOD, "www.example.cn": POOR, "card.example.cn": GOOD}
    desk.send(agent, sites(found, at=desk.clock.now))
    desk.core.tick()
    assert raised(desk, BELOW) == [("OA", SCHOOL, "yellow")]
    (alert,) = desk.alerts(BELOW)
    assert alert.evidence["addresses"] == ["oa.example.cn", "www.example.cn"]
    assert (alert.evidence["ipv6_level"], alert.evidence["ipv6_level_gap"]) == (2, 1)
    desk.send(agent, sites({**found, "www.example.cn": GOOD}, at=desk.clock.forward(60)))
    desk.core.tick()
    assert raised(desk, BELOW) == []


def test_a_system_of_the_county_is_judged_by_what_its_school_sees(desk: Desk) -> None:
    registered(desk, "system,oa.example.cn,OA,,2,a", unit=COUNTY)
    desk.send(desk.agent(SCHOOL), sites({"oa.example.cn": POOR}, at=desk.clock.now))
    desk.core.tick()
    assert raised(desk, BELOW) == [("OA", COUNTY, "blue")]


def test_a_system_without_a_protection_level_is_told_until_it_has_one_or_is_gone(desk: Desk) -> None:
    registered(desk, "system,oa.example.cn,OA,,,a", "system,card.example.cn,Card,,,a", "website,w.example.cn,,Card,,a")
    assert {label for label, _, _ in raised(desk, "system-ungraded")} == {"OA", "Card"}
    registered(desk, "system,oa.example.cn,OA,,二级,a")
    assert {label for label, _, _ in raised(desk, "system-ungraded")} == {"Card"}
    for entry in register.list_entries(desk.core, desk.admin).items:
        if entry.system == "Card":
            register.remove(desk.core, desk.admin, entry.id)
    desk.core.tick()
    assert raised(desk, "system-ungraded") == []
