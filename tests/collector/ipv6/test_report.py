"""The report over a county of many schools: counts summed, targets met by the worst case, failures as link lists."""

import csv
import io
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.answers.cursors import write_cursor
from collector.errors import BadInput, NotFound
from collector.ipv6 import weeks
from collector.ipv6.reports import failures, report, sites, views
from collector.memory.people import Role
from collector.metrics.exposition import Metrics
from collector.registry import register, units
from collector.settings import Settings
from tests.support.collectors import DAY, Clock, Desk
from tests.support.collectors import desk as make_desk
from tests.support.ipv6 import GOOD, check, network
from tests.support.ipv6 import sites as sites_section
from tests.support.reports import state
from wire.types import Outcome, Section

HOUR = 3600.0
COUNTY, CITY, PROVINCE, NEIGHBOUR = "320102", "320100", "320000", "320104"
SCHOOLS = [f"21320001{number:02}" for number in range(1, 13)]
NEXT_DOOR = "2132000999"
TREE = "code,name,kind,parent,division_code\n" + "".join(
    f"{line}\n"
    for line in (
        "320000,江苏省,province,,320000",
        "320100,南京市,city,320000,320100",
        "320102,玄武区,county,320100,320102",
        "320104,秦淮区,county,320100,320104",
        *(f"{code},第{number}小学,school,320102,320102" for number, code in enumerate(SCHOOLS, start=1)),
        f"{NEXT_DOOR},邻区小学,school,320104,320104",
    )
)
LAN = {**dict.fromkeys(("NET-ADDR", "NET-SELF", "NET-ROUTE", "LAN-COVER"), Outcome.PASS)}
NO_AAAA = {**dict.fromkeys(GOOD, Outcome.UNKNOWN), "WEB-AAAA": Outcome.FAIL}


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    with make_desk(tmp_path, Settings(ipv6_equal_results=1), clock) as made:
        units.import_units(made.core, made.admin, TREE.encode(), "tree.csv")
        yield made


def school(
    desk: Desk, code: str, number: int, web: Mapping[str, Outcome] | None, lan: Mapping[str, Outcome] | None = LAN
) -> None:
    """A school with a website, a system and a network, and what its agent found of them."""
    sheet = (
        f"kind,address,name,mlps_level,owner\nwebsite,www{number}.example.edu.cn,,,a\n"
        f"system,oa{number}.example.edu.cn,OA,2,a\nnetwork,10.{number}.0.0/16,,,a\n"
    )
    register.import_entries(desk.core, desk.admin, sheet.encode(), "r.csv", code)
    if web is None:
        return
    agent = desk.agent(code)
    found = {f"www{number}.example.edu.cn": web, f"oa{number}.example.edu.cn": GOOD}
    sections = [sites_section(found, at=desk.clock.now)]
    if lan is not None:
        sections.append(network(f"10.{number}.0.0/16", lan, at=desk.clock.now))
    desk.send(agent, *sections)


def shown(share: views.Ipv6Share) -> tuple[int, int, int, str, str]:
    return share.passed, share.total, share.unknown, share.range, share.met


def test_a_county_of_twelve_schools(desk: Desk) -> None:
    for number, code in enumerate(SCHOOLS, start=1):
        web = None if number == 12 else NO_AAAA if number == 11 else GOOD
        school(desk, code, number, web)
    desk.core.tick()
    found = report.report(desk.core, desk.admin, COUNTY)
    total = found.total
    assert shown(total.websites) == (10, 12, 1, "83-91%", "unknown")
    assert shown(total.systems) == (11, 12, 1, "91-100%", "yes")
    assert shown(total.networks) == (11, 12, 1, "91-100%", "yes")
    assert shown(total.schools) == (10, 12, 1, "83-91%", "no")
    assert (total.compliant, total.target) == ("unknown", 0.9)
    assert (total.confirmed, total.possible) == (0, 0)
    assert found.target is not None
    assert (found.target.item, found.target.due.isoformat()) == ("JS-IPV6-BASE", "2025-12-31")
    assert shown(found.coverage.reporting) == (11, 12, 0, "91%", "no")
    assert shown(found.coverage.networks) == (11, 12, 1, "91-100%", "unknown")
    assert found.coverage.full == "no"
    assert [child.unit for child in found.children] == SCHOOLS
    answers = [child.compliant for child in found.children]
    assert answers == ["yes"] * 10 + ["no", "unknown"]
    assert [(item.websites.passed, item.websites.unknown) for item in found.forecast_estimate] == [(10, 1)] + [
        (10, 2)
    ] * 6
    # One more failure, and even the best case misses the target.
    desk.send(desk.agent(SCHOOLS[11]), sites_section({"www12.example.edu.cn": NO_AAAA}, at=desk.clock.now))
    desk.core.tick()
    total = report.report(desk.core, desk.admin, COUNTY).total
    assert shown(total.websites) == (10, 12, 0, "83%", "no")
    assert total.compliant == "no"


def test_city_and_province_sum_what_is_below_and_average_nothing(desk: Desk) -> None:
    for number, code in enumerate(SCHOOLS[:9], start=1):
        school(desk, code, number, GOOD)
    school(desk, NEXT_DOOR, 99, NO_AAAA)
    for code in (CITY, PROVINCE):
        total = report.report(desk.core, desk.admin, code).total
        assert shown(total.websites) == (9, 10, 0, "90%", "yes")  # the mean of both counties would be 50 %
        assert shown(total.schools) == (9, 13, 3, "69-92%", "no")
    everything = report.report(desk.core, desk.admin)
    assert shown(everything.total.websites)[:3] == (9, 10, 0)
    assert {child.unit for child in everything.children} == {PROVINCE, "640000"}


def test_a_province_without_a_target_says_unknown(desk: Desk) -> None:
    code = "2164000101"
    school(desk, code, 1, GOOD)
    found = report.report(desk.core, desk.admin, code)
    assert (found.target, found.total.target, found.total.compliant) == (None, None, "unknown")
    assert found.total.websites.met == "unknown"


def test_a_target_that_is_not_due_is_only_announced(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = 1_760_000_000.0  # October 2025
    with make_desk(tmp_path, Settings(), clock) as desk:
        units.import_units(desk.core, desk.admin, TREE.encode(), "tree.csv")
        found = report.report(desk.core, desk.admin, COUNTY)
        assert found.target is None
        assert found.next_target is not None
        assert found.next_target.due.isoformat() == "2025-12-31"


def test_names_that_nobody_registered_lift_nothing(desk: Desk) -> None:
    school(desk, SCHOOLS[0], 1, NO_AAAA)
    agent = desk.agent(SCHOOLS[0])
    hidden = {f"hidden{number}.example.edu.cn": GOOD for number in range(50)}
    desk.send(agent, sites_section(hidden, at=desk.clock.now, name="crawl"))
    found = report.report(desk.core, desk.admin, SCHOOLS[0])
    assert shown(found.total.websites)[:3] == (0, 1, 0)
    assert found.unregistered == 50
    page = sites.list_unregistered(desk.core, desk.admin, COUNTY, 30)
    rest = sites.list_unregistered(desk.core, desk.admin, COUNTY, 30, page.cursor)
    names = [item.address for item in (*page.items, *rest.items)]
    assert sorted(names) == sorted(hidden)
    assert rest.cursor is None
    assert {item.confirmed for item in page.items} == {4}


def test_pages_of_sites_hold_all_once_with_their_levels(desk: Desk) -> None:
    for number, code in enumerate(SCHOOLS, start=1):
        school(desk, code, number, NO_AAAA if number % 2 else GOOD)
    found: list[views.Ipv6Site] = []
    cursor: str | None = None
    while True:
        page = sites.list_sites(desk.core, desk.admin, COUNTY, limit=7, cursor=cursor)
        assert len(page.items) <= 7
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == len({(item.unit, item.kind, item.address) for item in found}) == 36
    weak = sites.list_sites(desk.core, desk.admin, COUNTY, "website", 500, below=3).items
    assert [(item.address, item.confirmed, item.failed[0]) for item in weak] == [
        (f"www{number}.example.edu.cn", 0, "WEB-AAAA") for number in range(1, 13, 2)
    ]
    with pytest.raises(BadInput):
        sites.list_sites(desk.core, desk.admin, COUNTY, "printer")
    with pytest.raises(BadInput):
        sites.list_sites(desk.core, desk.admin, COUNTY, cursor="AAAA")


def test_nobody_sees_beside_or_above_their_own_units(desk: Desk) -> None:
    school(desk, SCHOOLS[0], 1, NO_AAAA)
    own = desk.person(Role.VIEWER, NEIGHBOUR)
    assert report.report(desk.core, own).total.unit == NEIGHBOUR
    assert failures.list_failures(desk.core, own).items == ()
    assert sites.list_sites(desk.core, own).items == ()
    for code in (COUNTY, CITY, SCHOOLS[0]):
        with pytest.raises(NotFound):
            report.report(desk.core, own, code)
        with pytest.raises(NotFound):
            failures.export(desk.core, own, code, "csv")
        with pytest.raises(NotFound):
            sites.history(desk.core, own, code, "unit")


def test_the_light_is_that_of_alerts_and_unknown_where_nobody_looks(desk: Desk) -> None:
    school(desk, SCHOOLS[0], 1, NO_AAAA)
    desk.core.tick()
    first, second = report.report(desk.core, desk.admin, COUNTY).children[:2]
    assert (first.light, second.light) == ("blue", "unknown")


def links_section(desk: Desk, *evidence: str) -> Section:
    page = "www1.example.edu.cn"
    said = [check(page, name, outcome) for name, outcome in GOOD.items() if name != "WEB-L2"]
    said.append(check(page, "WEB-L2", Outcome.FAIL, *evidence, code="links_low"))
    return state("sites", *said, at=desk.clock.now, probe="site_ipv6")


def test_failures_have_a_line_for_each_link_with_evidence_and_mend(desk: Desk) -> None:
    school(desk, SCHOOLS[0], 1, None)
    agent = desk.agent(SCHOOLS[0])
    told = ("https://old.example.edu.cn/a: AAAA: no data", "http://x.example.edu.cn:81/: timeout")
    desk.send(agent, links_section(desk, "1 of 3: 33%; 2 hosts", *told))
    found = failures.list_failures(desk.core, desk.admin, COUNTY).items
    assert [(item.page, item.url, item.level, item.check, item.evidence) for item in found] == [
        ("www1.example.edu.cn", "https://old.example.edu.cn/a", 2, "WEB-L2", "AAAA: no data"),
        ("www1.example.edu.cn", "http://x.example.edu.cn:81/", 2, "WEB-L2", "timeout"),
    ]
    assert {item.unit for item in found} == {SCHOOLS[0]}
    assert "IPv6" in found[0].mend.en
    assert found[0].registered


HOSTILE = '=cmd|"/c calc"!A1'


def test_the_files_hold_the_same_lines_and_no_formula(desk: Desk) -> None:
    from openpyxl import load_workbook

    school(desk, SCHOOLS[0], 1, None)
    agent = desk.agent(SCHOOLS[0])
    told = (f"{HOSTILE}: @SUM(1)", "https://b.example.edu.cn/: \x1b[2J\u202eevil")
    desk.send(agent, links_section(desk, "1 of 2", *told))
    raw = failures.export(desk.core, desk.admin, COUNTY, "csv", "zh")
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    assert rows[0][:5] == ["单位编码", "单位名称", "来源页面", "链接地址", "链接级别"]
    assert rows[1][3] == f"'{HOSTILE}"
    assert rows[1][8] == "'@SUM(1)"
    assert rows[2][8] == "?[2J?evil"
    book = load_workbook(io.BytesIO(failures.export(desk.core, desk.admin, COUNTY, "xlsx", "zh")))
    sheet = book.worksheets[0]
    assert [[cell.value or "" for cell in row] for row in sheet.iter_rows()] == rows
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s"}
    english = failures.export(desk.core, desk.admin, COUNTY, "csv", "en").decode("utf-8-sig")
    assert english.startswith("unit,unit name,source page,link URL,link level")
    with pytest.raises(BadInput):
        failures.export(desk.core, desk.admin, COUNTY, "pdf")  # type: ignore[arg-type]


def test_a_failure_seen_by_many_is_one_and_is_that_of_who_registered_it(desk: Desk) -> None:
    register.import_entries(desk.core, desk.admin, b"address,owner\nedu.example.cn,a\n", "r.csv", COUNTY)
    for code in SCHOOLS[:3]:
        desk.send(desk.agent(code), sites_section({"edu.example.cn": NO_AAAA}, at=desk.clock.now))
    (only,) = failures.list_failures(desk.core, desk.admin, CITY).items
    assert (only.unit, only.page, only.check, only.aaaa) == (COUNTY, "edu.example.cn", "WEB-AAAA", "no")


def test_one_bad_result_is_not_listed_yet(tmp_path: Path, clock: Clock) -> None:
    with make_desk(tmp_path, Settings(), clock) as desk:
        units.import_units(desk.core, desk.admin, TREE.encode(), "tree.csv")
        school(desk, SCHOOLS[0], 1, None)
        agent = desk.agent(SCHOOLS[0])
        for expected in ((), (), ("WEB-AAAA",)):
            desk.send(agent, sites_section({"www1.example.edu.cn": NO_AAAA}, at=desk.clock.forward(HOUR)))
            found = failures.list_failures(desk.core, desk.admin, COUNTY).items
            assert tuple(item.check for item in found) == expected


def test_pages_of_failures_hold_all_once(desk: Desk) -> None:
    for number, code in enumerate(SCHOOLS, start=1):
        school(desk, code, number, {**GOOD, "WEB-OK": Outcome.FAIL, "WEB-EXT": Outcome.FAIL})
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = failures.list_failures(desk.core, desk.admin, COUNTY, 5, cursor)
        found += [f"{item.page} {item.check}" for item in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 24


def test_a_file_of_failures_has_a_bound(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    school(desk, SCHOOLS[0], 1, {**GOOD, "WEB-OK": Outcome.FAIL, "WEB-EXT": Outcome.FAIL})
    monkeypatch.setattr(failures, "MAX_ROWS", 2)
    assert failures.export(desk.core, desk.admin, COUNTY, "csv").count(b"WEB-") == 2
    monkeypatch.setattr(failures, "MAX_ROWS", 1)
    with pytest.raises(BadInput, match="smaller unit"):
        failures.export(desk.core, desk.admin, COUNTY, "csv")


def test_a_failure_that_several_agents_see_is_on_one_page(desk: Desk) -> None:
    bad = {**GOOD, "WEB-OK": Outcome.FAIL, "WEB-EXT": Outcome.FAIL}
    for _ in range(2):
        desk.send(desk.agent(SCHOOLS[0]), sites_section({"www1.example.edu.cn": bad}, at=desk.clock.now))
    first = failures.list_failures(desk.core, desk.admin, COUNTY, 1)
    second = failures.list_failures(desk.core, desk.admin, COUNTY, 1, first.cursor)
    assert {item.check for page in (first, second) for item in page.items} == {"WEB-OK", "WEB-EXT"}
    with pytest.raises(BadInput, match="cursor"):
        failures.list_failures(desk.core, desk.admin, COUNTY, 1, write_cursor("/", "\ud800"))


def test_a_failure_registered_above_is_on_one_page_whoever_sees_it(desk: Desk) -> None:
    register.import_entries(desk.core, desk.admin, b"address,owner\nedu.example.cn,a\n", "r.csv", COUNTY)
    school(desk, SCHOOLS[1], 2, None)
    bad = {**GOOD, "WEB-OK": Outcome.FAIL, "WEB-EXT": Outcome.FAIL}
    for code in SCHOOLS[:3]:
        seen = {"edu.example.cn": bad, **({"www2.example.edu.cn": NO_AAAA} if code == SCHOOLS[1] else {})}
        desk.send(desk.agent(code), sites_section(seen, at=desk.clock.now))
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    for _ in range(3):
        page = failures.list_failures(desk.core, desk.admin, COUNTY, 1, cursor)
        found += [(item.unit, item.check) for item in page.items]
        cursor = page.cursor
    assert cursor is None
    assert found == [(COUNTY, "WEB-EXT"), (COUNTY, "WEB-OK"), (SCHOOLS[1], "WEB-AAAA")]


def test_the_weeks_keep_how_it_stood(desk: Desk) -> None:
    school(desk, SCHOOLS[0], 1, NO_AAAA)
    desk.core.tick()
    agent = desk.core.directory.agents[next(iter(desk.senders))].identity
    desk.clock.forward(7 * DAY)
    desk.send(agent, sites_section({"www1.example.edu.cn": GOOD}, at=desk.clock.now))
    desk.core.tick()
    found = report.report(desk.core, desk.admin, PROVINCE, trend=True).weeks
    assert [(week.websites.passed, week.websites.total) for week in found] == [(0, 1), (1, 1)]
    assert (found[1].week - found[0].week).days == 7
    assert report.report(desk.core, desk.admin, PROVINCE).weeks == ()
    steps = sites.history(desk.core, desk.admin, SCHOOLS[0], "website", "https://www1.example.edu.cn/").items
    assert [(step.confirmed, step.possible) for step in steps] == [(4, 4), (0, 0)]


def test_a_new_week_begins_with_everybody(desk: Desk) -> None:
    for number, code in enumerate(SCHOOLS, start=1):
        school(desk, code, number, GOOD)
    desk.core.tick()
    desk.clock.forward(week_after(desk.clock.now) - desk.clock.now - 30)
    desk.core.tick()  # everybody was counted just now
    desk.clock.forward(60)
    desk.core.due.levels.append(SCHOOLS[0])  # as after the first report of the week
    desk.core.tick()
    (*_, week) = report.report(desk.core, desk.admin, PROVINCE, trend=True).weeks
    assert week.websites.total == len(SCHOOLS), "the sum of some is no ratio of all"


def week_after(now: float) -> float:
    monday = weeks.week_of(now) + timedelta(days=7)
    return datetime.combine(monday, datetime.min.time(), UTC).timestamp()


def test_rules_read_levels_and_ratios(desk: Desk) -> None:
    school(desk, SCHOOLS[0], 1, {**GOOD, "WEB-OK": Outcome.FAIL})
    desk.core.tick()

    def standing() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for alert in desk.alerts():
            if "ipv6" in alert.rule:
                found.setdefault(alert.rule, []).append(alert.subject.label)
        return found

    assert "site-ipv6-below-target" in standing()  # what is there on the first day is told together
    assert "site-ipv6-regression" not in standing()
    missing = standing()["unit-ipv6-websites-below-target"]
    assert {"第1小学", "玄武区", "南京市", "江苏省"} == set(missing)
    agent = desk.core.directory.agents[next(iter(desk.senders))].identity
    both = {"www1.example.edu.cn": GOOD, "oa1.example.edu.cn": GOOD}
    desk.send(agent, sites_section(both, at=desk.clock.forward(HOUR)))
    desk.core.tick()
    assert not {"site-ipv6-below-target", "unit-ipv6-websites-below-target"} & standing().keys()
    worse = {**both, "www1.example.edu.cn": {**GOOD, "WEB-V6ONLY": Outcome.FAIL}}
    desk.send(agent, sites_section(worse, at=desk.clock.forward(HOUR)))
    desk.core.tick()
    assert standing()["site-ipv6-regression"] == ["www1.example.edu.cn"]
    desk.send(agent, sites_section(both, at=desk.clock.forward(HOUR)))
    desk.core.tick()
    assert "site-ipv6-regression" not in standing()


def test_metrics_count_the_tree_without_naming_a_site(desk: Desk) -> None:
    for number, code in enumerate(SCHOOLS[:4], start=1):
        school(desk, code, number, None if number == 4 else NO_AAAA if number == 3 else GOOD)
    exposition, _ = Metrics(desk.core).exposition("text/plain")
    lines = [line for line in exposition.decode().splitlines() if line.startswith("edusec_collector_ipv6_")]
    assert 'edusec_collector_ipv6_registered{kind="websites",state="passed"} 2.0' in lines
    assert 'edusec_collector_ipv6_registered{kind="websites",state="failed"} 1.0' in lines
    assert 'edusec_collector_ipv6_registered{kind="websites",state="unknown"} 1.0' in lines
    assert 'edusec_collector_ipv6_schools{state="passed"} 2.0' in lines
    assert len(lines) == 12


def test_promtool_finds_no_fault(desk: Desk, needs: Callable[..., str]) -> None:
    school(desk, SCHOOLS[0], 1, GOOD)
    promtool = needs("promtool", package="prometheus")
    exposition, _ = Metrics(desk.core).exposition("text/plain")
    done = subprocess.run(
        [promtool, "check", "metrics"], check=False, input=exposition, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
