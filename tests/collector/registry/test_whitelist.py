"""Whitelists: in, out and in again; who may; what needs a look."""

import io
import string
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from collector.answers.views import ImportResult
from collector.errors import BadFile, BadInput, Forbidden, NotFound
from collector.memory.people import Role
from collector.memory.standing import Whitelists, fragment
from collector.registry.whitelist import export, holding, import_entries, list_entries, review
from collector.registry.whitelist_files import COLUMNS, identify, read_entry, rows_of
from collector.settings import Settings
from collector.sheets.reading import Problems, Record, read_sheet
from collector.sheets.writing import write_sheet
from tests.support.collectors import COUNTY, DAY, FAR_SCHOOL, INTERVAL, OTHER_SCHOOL, SCHOOL, START, Clock, Desk, desk
from tests.support.faults import said_in_english
from tests.support.reports import covers, host, service, site, state
from wire.types import EntryKind, Transport, WhitelistEntry
from wire.whitelist import match_domain, match_host, match_service

HEADER = "类型,对象,协议,端口,责任人,用途,审批人,有效期\n"
TODAY = datetime.fromtimestamp(START, UTC).date()


def load(desk: Desk, text: str, unit: str | None = SCHOOL) -> ImportResult:
    return import_entries(desk.core, desk.admin, (HEADER + text).encode(), "list.csv", unit)


def refused(desk: Desk, text: str) -> tuple[str, ...]:
    with pytest.raises(BadFile) as caught:
        load(desk, text)
    assert list_entries(desk.core, desk.admin) == []
    return said_in_english(caught.value)


def test_a_list_with_chinese_headers(desk: Desk) -> None:
    result = load(
        desk,
        "域名,WWW.Example.edu.cn.,,,张老师,官网,李主任,2027-06-30\n"
        "主机,00-16-3E-00-00-0A,,,张老师,打印机,李主任,长期\n"
        '端口,*,TCP,"443,80",张老师,网站,李主任,2027年1月5日\n',
    )
    assert (result.added, result.changed, result.unchanged) == (3, 0, 0)
    shown = {entry.kind: entry for entry in list_entries(desk.core, desk.admin, SCHOOL)}
    assert shown["domain"].value == "www.example.edu.cn"
    assert shown["domain"].expires == date(2027, 6, 30)
    assert shown["host"].value == "00:16:3e:00:00:0a"
    assert shown["host"].expires is None
    assert (shown["port"].value, shown["port"].ports, shown["port"].transport) == ("*", "80,443", "tcp")
    assert shown["port"].expires == date(2027, 1, 5)
    assert {entry.standing for entry in shown.values()} == {"listed"}


@pytest.mark.parametrize(
    ("row", "where", "what"),
    [
        ("网络,10.0.0.1,,,o,r,a,", "kind", "none of domain, host, port"),
        ("domain,http://x.example.cn/,,,o,r,a,", "value", "is no domain"),
        ("domain,localhost,,,o,r,a,", "value", "is no domain"),
        ("domain,a..example.cn,,,o,r,a,", "value", "is no domain"),
        ("domain,*.*.example.cn,,,o,r,a,", "value", "is no domain"),
        (f"domain,{'a' * 64}.cn,,,o,r,a,", "value", "is no domain"),
        ("domain,,,,o,r,a,", "value", "is no domain"),
        ("host,10.0.0.300,,,o,r,a,", "value", "no IP address"),
        ("host,10.0.0.0/33,,,o,r,a,", "value", "no IP address"),
        ("host,0.0.0.0/0,,,o,r,a,", "value", "too wide"),
        ("host,::/0,,,o,r,a,", "value", "too wide"),
        ("host,*,,,o,r,a,", "value", "no IP address"),
        ("host,10.0.0.1,,80,o,r,a,", "ports", "only entries of kind port"),
        ("port,10.0.0.1,,,o,r,a,", "ports", "must name ports"),
        ("port,10.0.0.1,,80-70,o,r,a,", "ports", "backwards"),
        ("port,10.0.0.1,,70000,o,r,a,", "ports", "outside"),
        ("port,10.0.0.1,icmp,80,o,r,a,", "transport", "neither tcp nor udp"),
        ("port,00:16:3e:00:00:0a,,80,o,r,a,", "value", "no IP address"),
        ("host,10.0.0.1,,,,r,a,", "owner", "must not be empty"),
        ("host,10.0.0.1,,,o,,a,", "reason", "must not be empty"),
        ("host,10.0.0.1,,,o,r,,", "approver", "must not be empty"),
        (f"host,10.0.0.1,,,{'x' * 257},r,a,", "owner", "longer than 256"),
        ("host,10.0.0.1,,,o,r,a,2026-02-30", "expires", "is no date"),
        ("host,10.0.0.1,,,o,r,a,soon", "expires", "is no date"),
        ("host,10.0.0.1,,,o,r,a,31.12.2026", "expires", "is no date"),
    ],
)
def test_faults_of_a_row_are_named_with_line_and_field(desk: Desk, row: str, where: str, what: str) -> None:
    (problem,) = refused(desk, f"{row}\n")
    assert problem.startswith(f"list.csv:2:{where}: ")
    assert what in problem


def test_one_bad_row_keeps_the_good_ones_out(desk: Desk) -> None:
    problems = refused(desk, "host,10.0.0.1,,,o,r,a,\nhost,10.0.0.2,,,,r,,\n")
    assert [problem.split(":")[1:3] for problem in problems] == [["3", "owner"], ["3", "approver"]]


def test_importing_again_changes_nothing_and_a_new_date_is_a_change(desk: Desk) -> None:
    load(desk, "host,10.0.0.1,,,o,r,a,2027-01-01\nhost,10.0.0.2,,,o,r,a,\n")
    again = load(desk, "host,10.0.0.1,,,o,r,a,2027-01-01\nhost,10.0.0.2,,,o,r,a,\n")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    later = load(desk, "host,10.0.0.1,,,o,r,a,2028-01-01\nhost,10.0.0.3,,,o,r,a,\n")
    assert (later.added, later.changed, later.unchanged) == (1, 1, 0)
    assert len(list_entries(desk.core, desk.admin)) == 3
    audits = desk.core.store.write(lambda turn: turn.rows("SELECT 1 FROM audit WHERE action = 'whitelist.import'"))
    assert len(audits) == 2


def test_what_holds_for_a_unit_is_its_own_and_what_those_above_it_approved(desk: Desk) -> None:
    for unit, value in ((COUNTY, "10.0.0.1"), (SCHOOL, "10.0.0.2"), (OTHER_SCHOOL, "10.0.0.3")):
        load(desk, f"host,{value},,,o,r,a,\n", unit)
    held = [(entry.unit, entry.value) for entry in holding(desk.core, desk.admin, SCHOOL)]
    assert held == [(COUNTY, "10.0.0.1"), (SCHOOL, "10.0.0.2")]
    assert [entry.value for entry in holding(desk.core, desk.admin, COUNTY)] == ["10.0.0.1"]
    with pytest.raises(NotFound):
        holding(desk.core, desk.admin, "999999")


def test_two_rows_that_contradict_each_other_are_a_fault(desk: Desk) -> None:
    (problem,) = refused(desk, "host,10.0.0.1,,,o,r,a,\nhost,10.0.0.1,,,other,r,a,\n")
    assert problem.startswith("list.csv:3:value")


def test_two_imports_at_once_lose_nothing(desk: Desk) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: load(desk, f"host,10.0.0.{number},,,o,r,a,\n"), range(1, 30)))
    assert len(list_entries(desk.core, desk.admin)) == 29
    assert len(desk.core.whitelists.own(SCHOOL)) == 29


def test_rows_may_name_their_unit(desk: Desk) -> None:
    text = f"unit,{HEADER}{OTHER_SCHOOL},host,10.0.0.1,,,o,r,a,\n,host,10.0.0.2,,,o,r,a,\n"
    import_entries(desk.core, desk.admin, text.encode(), "list.csv", COUNTY)
    assert {(entry.unit, entry.value) for entry in list_entries(desk.core, desk.admin)} == {
        (OTHER_SCHOOL, "10.0.0.1"),
        (COUNTY, "10.0.0.2"),
    }
    far = f"unit,{HEADER}{FAR_SCHOOL},host,10.0.0.1,,,o,r,a,\n"
    with pytest.raises(BadFile, match="not within reach"):
        import_entries(desk.core, desk.admin, far.encode(), "list.csv", COUNTY)
    with pytest.raises(BadFile, match="must name a unit"):
        import_entries(desk.core, desk.admin, (HEADER + "host,10.0.0.1,,,o,r,a,\n").encode(), "list.csv", None)


def test_people_stay_within_their_subtree(desk: Desk) -> None:
    load(desk, "host,10.0.0.1,,,o,r,a,\n", SCHOOL)
    load(desk, "host,10.0.0.1,,,o,r,a,\n", FAR_SCHOOL)
    county = desk.person(Role.OPERATOR, COUNTY)
    assert {entry.unit for entry in list_entries(desk.core, county)} == {SCHOOL}
    assert export(desk.core, county, None, "csv").decode().count("10.0.0.1") == 1
    for act in (list_entries, review):
        with pytest.raises(NotFound):
            act(desk.core, county, FAR_SCHOOL)
    with pytest.raises(NotFound):
        import_entries(desk.core, county, b"", "x.csv", FAR_SCHOOL)
    with pytest.raises(Forbidden):
        import_entries(desk.core, desk.person(Role.VIEWER, COUNTY), b"", "x.csv", SCHOOL)


def test_a_unit_and_all_above_it_stay_within_the_bound_of_a_policy(tmp_path: "object", clock: Clock) -> None:
    with desk(tmp_path, Settings(whitelist_entries=4), clock) as small:  # type: ignore[arg-type]
        rows = "".join(f"host,10.0.0.{number},,,o,r,a,\n" for number in range(3))
        load(small, rows, SCHOOL)
        with pytest.raises(BadFile, match="2164000101 would have 6 entries, at most 4"):
            load(small, rows, COUNTY)
        assert load(small, "host,10.0.0.9,,,o,r,a,\n", COUNTY).added == 1


def test_an_export_opens_in_a_spreadsheet_without_running_anything(desk: Desk) -> None:
    load(desk, 'host,10.0.0.1,,,"=HYPERLINK(""http://x"")",+1,@a,\n')
    plain = export(desk.core, desk.admin, None, "csv")
    assert plain.startswith(b"\xef\xbb\xbf")
    text = plain.decode("utf-8-sig")
    assert "'=HYPERLINK" in text
    assert ",'+1," in text
    book = load_workbook(io.BytesIO(export(desk.core, desk.admin, None, "xlsx")))
    assert all(cell.data_type in ("s", "n") for row in book.worksheets[0].iter_rows() for cell in row)
    assert any(cell.value == "'+1" for row in book.worksheets[0].iter_rows() for cell in row)
    book.close()


def test_what_went_out_comes_in_the_same(desk: Desk) -> None:
    load(
        desk,
        'domain,*.example.edu.cn,,,=o,"a,b;c""d",\'=a,2027-01-01\n'
        "port,2001:db8::/64,udp,53,-o,'r,''a,\nhost,10.0.0.0/24,,,o,r,a,\n",
    )
    before = list_entries(desk.core, desk.admin)
    for form in ("csv", "xlsx"):
        packed = export(desk.core, desk.admin, None, form)  # type: ignore[arg-type]
        again = import_entries(desk.core, desk.admin, packed, f"out.{form}", None)
        assert (again.added, again.changed, again.unchanged, again.warnings) == (0, 0, 3, ())
    assert list_entries(desk.core, desk.admin) == before


def test_an_unknown_form_is_named(desk: Desk) -> None:
    with pytest.raises(BadInput, match="csv, xlsx"):
        export(desk.core, desk.admin, None, "pdf")  # type: ignore[arg-type]


TEXTS = (
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda text: bool(text) and text.isprintable())
)
ADDRESSES = st.ip_addresses().filter(lambda found: getattr(found, "ipv4_mapped", None) is None).map(str)
PREFIXES = st.sampled_from(["10.0.0.0/8", "192.168.1.0/24", "2001:db8::/32", "10.1.2.0/31"])
MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
DOMAINS = st.builds(
    lambda star, parts: star + ".".join(parts), st.sampled_from(["", "*."]), st.lists(LABELS, min_size=2, max_size=4)
)
PORTS = st.sampled_from(["80", "80,443", "8000-8100", "1-65535", "22,80-90"])
EXPIRES = st.none() | st.dates(date(2020, 1, 1), date(2040, 1, 1))


def entries() -> st.SearchStrategy[WhitelistEntry]:
    def made(
        kind: EntryKind, value: str, who: tuple[str, str, str], until: date | None, ports: str, transport: Transport
    ) -> WhitelistEntry:
        return WhitelistEntry(kind, value, *who, until, ports, transport)

    who = st.tuples(TEXTS, TEXTS, TEXTS)
    of_port = st.builds(
        made,
        st.just(EntryKind.PORT),
        ADDRESSES | PREFIXES | st.just("*"),
        who,
        EXPIRES,
        PORTS,
        st.sampled_from(Transport),
    )
    of_host = st.builds(
        made, st.just(EntryKind.HOST), ADDRESSES | PREFIXES | MACS, who, EXPIRES, st.just(""), st.just(Transport.TCP)
    )
    of_domain = st.builds(made, st.just(EntryKind.DOMAIN), DOMAINS, who, EXPIRES, st.just(""), st.just(Transport.TCP))
    return of_port | of_host | of_domain


@settings(max_examples=40)
@given(st.lists(entries(), max_size=6), st.booleans())
def test_any_list_survives_a_file(found: list[WhitelistEntry], as_workbook: bool) -> None:
    rows = [("2164000101", identify("2164000101", entry)) for entry in found]
    packed = write_sheet(rows_of(rows), "xlsx" if as_workbook else "csv", "whitelist")
    problems = Problems("out")
    records: list[Record] = read_sheet(packed, COLUMNS, problems, filename="out.csv", max_bytes=1 << 20, max_rows=100)
    read = [(record.values["unit"], read_entry(record, problems)) for record in records]
    problems.check()
    assert [(unit, identify(unit, entry)) for unit, entry in read if entry is not None] == rows


@settings(max_examples=300)
@given(
    st.lists(entries(), max_size=8),
    st.lists(ADDRESSES | st.sampled_from(["10.0.0.5", "fe80::1%eth0", "::ffff:10.0.0.5", "x"]), max_size=3),
    MACS | st.just("") | st.just("no mac"),
    st.sampled_from([22, 80, 443, 8080]),
    st.sampled_from(Transport),
    DOMAINS,
    st.dates(date(2019, 1, 1), date(2041, 1, 1)),
    st.data(),
)
def test_the_cut_up_list_judges_as_the_whole_one(
    found: list[WhitelistEntry],
    addresses: list[str],
    mac: str,
    port: int,
    transport: Transport,
    domain: str,
    today: date,
    data: st.DataObject,
) -> None:
    # Values that occur in the list, so that something matches.
    values = [entry.value for entry in found if entry.kind is not EntryKind.PORT] or ["10.0.0.1"]
    addresses = [*addresses, data.draw(st.sampled_from(values)).partition("/")[0]]
    mac = data.draw(st.sampled_from([mac, *values]))
    domain = data.draw(st.sampled_from([domain, *(value.replace("*", "www") for value in values)]))
    split = data.draw(st.integers(0, len(found)))
    lists = Whitelists()
    lists._fragments = {"above": fragment(found[:split]), "below": fragment(found[split:])}
    chain = ("root", "above", "below")
    one = lists.host(chain, addresses, [mac], today)
    whole = match_host(found, addresses, mac, today)
    assert (one.standing, one.entry and one.entry.expires) == (whole.standing, whole.entry and whole.entry.expires)
    for place in addresses:
        one = lists.service(chain, place, transport, port, today)
        whole = match_service(found, place, transport, port, today)
        assert (one.standing, one.entry and one.entry.expires) == (whole.standing, whole.entry and whole.entry.expires)
    one = lists.domain(chain, domain, today)
    whole = match_domain(found, domain, today)
    assert (one.standing, one.entry and one.entry.expires) == (whole.standing, whole.entry and whole.entry.expires)


def test_a_list_above_holds_below(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, state("ports", host("10.0.0.5"), host("10.0.0.6"), covers("10.0.0.0/24"), at=START))
    assert {asset.standing for asset in desk.assets()} == {"no_list"}
    desk.whitelist("host,10.0.0.5,,,o,r,a,\n", "640000")
    assert {asset.addresses[0]: asset.standing for asset in desk.assets()} == {
        "10.0.0.5": "listed",
        "10.0.0.6": "unlisted",
    }
    assert [asset.addresses[0] for asset in desk.assets("standing:unlisted")] == ["10.0.0.6"]


def test_an_approval_ends_with_its_last_day(desk: Desk) -> None:
    agent = desk.agent()
    section = state("ports", host("10.0.0.5"), service("10.0.0.5", 22), covers("10.0.0.0/24"), at=START)
    desk.send(agent, section)
    desk.whitelist(f"host,10.0.0.5,,,o,r,a,{TODAY}\nport,*,tcp,22,o,r,a,{TODAY}\n")
    desk.core.tick()
    assert desk.asset("ip:10.0.0.5").standing == "listed"
    assert not {"whitelist-expired-open", "asset-approval-expired"} & {alert.rule for alert in desk.alerts()}
    desk.clock.forward(DAY)
    desk.send(agent, section)
    desk.core.tick()
    assert desk.asset("ip:10.0.0.5").standing == "expired"
    assert {"whitelist-expired-open", "asset-approval-expired"} <= {alert.rule for alert in desk.alerts()}
    (alert,) = desk.alerts("whitelist-expired-open")
    desk.whitelist(f"port,*,tcp,22,o,r,a,{TODAY + timedelta(days=365)}\n")
    assert desk.alerts("whitelist-expired-open") == []
    assert alert.evidence["standing"] == "expired"


def test_midnight_is_caught_up_after_a_standstill(tmp_path: "object", clock: Clock) -> None:
    section = state("ports", host("10.0.0.5"), covers("10.0.0.0/24"), at=START)
    with desk(tmp_path, clock=clock) as first:  # type: ignore[arg-type]
        agent = first.agent()
        sender = first.senders[agent.id]
        first.send(agent, section)
        first.whitelist(f"host,10.0.0.5,,,o,r,a,{TODAY}\n")
    clock.forward(3 * DAY)
    with desk(tmp_path, clock=clock) as second:  # type: ignore[arg-type]
        second.senders[agent.id] = sender
        second.core.tick()
        assert second.asset("ip:10.0.0.5").standing == "expired"


def test_the_review_shows_what_needs_a_look(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(
        agent,
        state(
            "ports",
            host("10.0.0.5"),
            service("10.0.0.5", 22),
            service("10.0.0.5", 8888),
            host("10.0.0.7"),
            covers("10.0.0.0/24", ports="1-10000"),
            at=START,
        ),
        state("sites", site("https://old.example.edu.cn/", ipv4="pass"), at=START, probe="ipv6_reachability"),
    )
    gone, soon = TODAY - timedelta(days=1), TODAY + timedelta(days=10)
    desk.whitelist(
        f"host,10.0.0.5,,,o,r,a,{soon}\n"  # seen, ends soon
        "host,10.0.0.99,,,o,r,a,\n"  # covered, never seen
        "host,10.0.99.1,,,o,r,a,\n"  # not covered: nothing can be said
        "host,00:16:3e:00:00:0a,,,o,r,a,\n"  # a MAC is covered by no prefix
        f"port,*,tcp,22,o,r,a,{gone}\n"  # open and expired
        "port,10.0.0.5,tcp,443,o,r,a,\n"  # covered, never open
        'port,10.0.0.5,tcp,"1,10000",o,r,a,\n'  # covered to the edge, never open
        "port,10.0.0.5,tcp,10000-10001,o,r,a,\n"  # not covered
        f"domain,old.example.edu.cn,,,o,r,a,{gone}\n"
    )
    found = review(desk.core, desk.admin, SCHOOL, 30)
    assert {(item.kind, item.label) for item in found.expired_open} == {
        ("service", "10.0.0.5:22/tcp"),
        ("site", "https://old.example.edu.cn/"),
    }
    assert found.expired_open[0].entry is not None
    assert [entry.value for entry in found.expiring] == ["10.0.0.5"]
    assert {(entry.value, entry.ports) for entry in found.unused} == {
        ("10.0.0.99", ""),
        ("10.0.0.5", "443"),
        ("10.0.0.5", "1,10000"),
    }
    assert {(item.kind, item.label) for item in found.unlisted} == {
        ("service", "10.0.0.5:8888/tcp"),
        ("asset", "10.0.0.7"),
    }
    assert review(desk.core, desk.admin, SCHOOL, 5).expiring == ()
    assert review(desk.core, desk.admin, OTHER_SCHOOL, 30).unlisted == ()


def test_the_gateway_itself_is_reviewed_by_its_loopback_addresses(desk: Desk) -> None:
    found = state("ports", host("127.0.0.1"), service("127.0.0.1", 22), covers("127.0.0.1/32", ports="22"), at=START)
    desk.send(desk.agent(), found)
    desk.whitelist("host,10.9.9.9,,,o,r,a,\nport,127.0.0.1,tcp,22,o,r,a,\n")
    assert [(item.kind, item.label) for item in review(desk.core, desk.admin, SCHOOL).unlisted] == [
        ("asset", "127.0.0.1")
    ]
    desk.whitelist("host,127.0.0.1,,,o,r,a,\n")
    assert review(desk.core, desk.admin, SCHOOL).unlisted == ()


def test_what_is_gone_is_neither_expired_open_nor_unlisted(desk: Desk) -> None:
    agent = desk.agent()
    for turn in range(4):
        at = desk.clock.forward(INTERVAL)
        known = [host("10.0.0.7")] if turn == 0 else []
        desk.send(agent, state("ports", host("10.0.0.5", turn=turn), *known, covers("10.0.0.0/24"), at=at))
    desk.whitelist("host,10.0.0.5,,,o,r,a,\n")
    assert review(desk.core, desk.admin).unlisted == ()


@pytest.mark.parametrize("days", [-1, 10**6])
def test_the_days_of_a_review_have_bounds(desk: Desk, days: int) -> None:
    with pytest.raises(BadInput, match="days"):
        review(desk.core, desk.admin, None, days)
