"""The register: what a unit says it has, in files as people make them, and what agents are told to look at."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collector.errors import BadFile, BadInput, Forbidden, NotFound
from collector.ingest import policy
from collector.memory import registered
from collector.memory.people import Person, Role
from collector.memory.registered import key_of
from collector.registry import register
from collector.settings import Settings
from tests.support.collectors import COUNTY, FAR_SCHOOL, OTHER_SCHOOL, SCHOOL, Clock, Desk, old_schema
from tests.support.faults import said_in_english

SHEET = """单位,类别,域名,名称,所属系统,等保级别,责任人
2164000101,网站,https://WWW.School.example.edu.cn/,门户,,,张三
2164000101,系统,oa.school.example.edu.cn,办公系统,,二级,李四
2164000101,网站,www.school.example.edu.cn/oa,,办公系统,,李四
2164000101,网段,10.1.0.0/16,教学楼,,,王五
3164000102,,二中.example.edu.cn,门户,,3,赵六
"""


def take(desk: Desk, text: str, unit: str | None = None) -> object:
    return register.import_entries(desk.core, desk.admin, text.encode(), "sites.csv", unit)


def listed(desk: Desk, under: str | None = None, **chosen: object) -> list[str]:
    page = register.list_entries(desk.core, desk.admin, under, **chosen)  # type: ignore[arg-type]
    return [f"{item.kind} {item.address}" for item in page.items]


def test_a_sheet_in_chinese(desk: Desk) -> None:
    result = take(desk, SHEET)
    assert (result.added, result.changed, result.unchanged) == (5, 0, 0)  # type: ignore[attr-defined]
    again = take(desk, SHEET)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 5)  # type: ignore[attr-defined]
    (office,) = (item for item in register.list_entries(desk.core, desk.admin).items if item.kind == "system")
    assert (office.name, office.system, office.mlps_level, office.owner) == ("办公系统", "办公系统", 2, "李四")
    assert listed(desk, SCHOOL, kind="network") == ["network 10.1.0.0/16"]
    assert listed(desk, OTHER_SCHOOL) == ["website 二中.example.edu.cn"]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("2164000101,网站,http://,x,,,y", "address"),
        ("2164000101,网站,ftp://www.example.edu.cn,x,,,y", "address"),
        ("2164000101,网站,https://user@www.example.edu.cn/,x,,,y", "address"),
        ("2164000101,网站,https://www.example.edu.cn/#top,x,,,y", "address"),
        ("2164000101,网段,10.1.0.0,x,,,y", "address"),
        ("2164000101,网段,10.1.0.1/16,x,,,y", "address"),
        ("2164000101,打印机,www.example.edu.cn,x,,,y", "kind"),
        ("2164000101,系统,www.example.edu.cn,,,,y", "name"),
        ("2164000101,网站,www.example.edu.cn,x,,9,y", "mlps_level"),
        ("2164000101,网站,www.example.edu.cn,x,,,", "owner"),
        ("9999999999,网站,www.example.edu.cn,x,,,y", "unit"),
    ],
)
def test_a_fault_names_its_line_and_field_and_changes_nothing(desk: Desk, row: str, field: str) -> None:
    with pytest.raises(BadFile) as caught:
        take(desk, f"{SHEET}{row}\n")
    (problem,) = said_in_english(caught.value)
    assert problem.startswith(f"sites.csv:7:{field}: ")
    assert listed(desk) == []


def test_two_rows_about_one_website_must_agree(desk: Desk) -> None:
    with pytest.raises(BadFile, match="differs"):
        take(desk, "address,owner\nwww.example.edu.cn,a\nhttps://www.example.edu.cn/,b\n", SCHOOL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("www.example.edu.cn", "https://WWW.example.edu.cn/"),
        ("http://www.example.edu.cn:80/", "https://www.example.edu.cn"),
        ("二中.example.edu.cn", "xn--fiqvi.example.edu.cn"),
        ("[2001:db8::1]", "https://[2001:DB8:0::1]/"),
    ],
)
def test_spellings_of_one_website(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


def test_pages_and_ports_are_websites_of_their_own() -> None:
    assert len({key_of(f"https://www.example.edu.cn{rest}") for rest in ("", "/oa", "/oa?x=1", ":8443")}) == 4


def test_nobody_registers_for_others(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        register.import_entries(desk.core, desk.person(Role.VIEWER, SCHOOL), SHEET.encode(), "sites.csv")
    with pytest.raises(BadFile, match="not within reach"):
        register.import_entries(desk.core, desk.person(Role.OPERATOR, SCHOOL), SHEET.encode(), "sites.csv")
    take(desk, SHEET)
    stranger = desk.person(Role.OPERATOR, FAR_SCHOOL)
    ident = register.list_entries(desk.core, desk.admin).items[0].id
    with pytest.raises(NotFound):
        register.remove(desk.core, stranger, ident)
    assert register.list_entries(desk.core, stranger).items == ()
    with pytest.raises(NotFound):
        register.list_entries(desk.core, stranger, SCHOOL)


def test_pages_hold_everything_once(desk: Desk) -> None:
    take(desk, SHEET)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = register.list_entries(desk.core, desk.admin, limit=2, cursor=cursor)
        found += [item.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 5
    with pytest.raises(BadInput):
        register.list_entries(desk.core, desk.admin, cursor="e30")


def test_what_is_registered_outlives_a_restart_and_can_be_taken_out(desk: Desk, tmp_path: Path, clock: Clock) -> None:
    take(desk, SHEET)
    gone = register.list_entries(desk.core, desk.admin, kind="network").items[0].id
    register.remove(desk.core, desk.admin, gone)
    before = listed(desk)
    assert len(before) == 4
    desk.core.close()
    with closing(Desk(tmp_path / "collector.db", Settings(), clock).core) as core:
        assert [f"{item.kind} {item.address}" for item in register.list_entries(core, desk.admin).items] == before


def test_the_whitelist_may_seed_it_and_says_which(desk: Desk) -> None:
    take(desk, "address,owner\nwww.example.edu.cn,a\n", SCHOOL)
    desk.whitelist(
        "domain,www.example.edu.cn,,,a,b,c,\ndomain,mail.example.edu.cn,,,a,b,c,\ndomain,*.example.edu.cn,,,a,b,c,\n"
    )
    result = register.seed(desk.core, desk.admin)
    assert result.added == 1
    (told,) = result.warnings
    assert "mail.example.edu.cn" in told.zh
    assert SCHOOL in told.en
    sources = {item.address: item.source for item in register.list_entries(desk.core, desk.admin).items}
    assert sources == {"www.example.edu.cn": "import", "mail.example.edu.cn": "whitelist"}
    assert register.seed(desk.core, desk.admin).added == 0


def test_the_policy_carries_what_is_registered(desk: Desk) -> None:
    agent = desk.agent()
    before = policy.policy_digest(desk.core, agent)
    take(desk, SHEET)
    assert policy.policy_digest(desk.core, agent) != before
    desk.whitelist("domain,www.school.example.edu.cn,,,a,b,c,\n")
    assert policy.policy_for(desk.core, agent).targets == (
        "oa.school.example.edu.cn",
        "https://WWW.School.example.edu.cn/",
        "https://www.school.example.edu.cn/oa",
    )


def test_few_agents_look_at_what_a_unit_without_one_registered(desk: Desk) -> None:
    below = [desk.agent(unit) for unit in (SCHOOL, OTHER_SCHOOL) for _ in range(3)]
    far = desk.agent(FAR_SCHOOL)
    take(desk, "address,owner\nedu.county.example.cn,a\n", COUNTY)
    looking = [agent for agent in [*below, far] if policy.policy_for(desk.core, agent).targets]
    assert len(looking) == registered.VANTAGES
    assert far not in looking
    own = desk.agent(COUNTY)
    assert [agent for agent in [*below, far, own] if policy.policy_for(desk.core, agent).targets] == [own]


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "collector.db"
    old_schema(file, "0001")
    with closing(sqlite3.connect(file)) as old:
        assert not old.execute("SELECT 1 FROM sqlite_master WHERE name = 'registered'").fetchall()
        old.execute("INSERT INTO unit VALUES ('640000', 'x', 'province', NULL, '640000/', '640000', '640000', 0)")
        old.commit()
    with closing(Desk(file, Settings(), clock).core) as core:
        assert list(core.directory.units) == ["640000"]
        assert register.list_entries(core, _admin()).items == ()


def _admin() -> Person:
    return Person("root", "root", Role.ADMIN, None)
