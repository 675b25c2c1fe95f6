"""People over HTTPS: imports, lists, alerts, roles and the subtree of each."""

import csv
import io
from collections.abc import Iterator

import pytest

from tests.collector.web.door import (
    OTHER_COUNTY_SCHOOL,
    SCHOOL,
    SECOND_SCHOOL,
    Door,
    Gateway,
    init_collector,
    ports,
    sample,
    start_collector,
)
from tests.support.processes import Processes, wait_until

WHITELIST = """unit,kind,value,transport,ports,owner,reason,approver,expires
{school},host,192.0.2.10,,,张老师,教务系统,信息科,2099-12-31
{school},port,192.0.2.10,tcp,"22,80",张老师,教务系统,信息科,2099-12-31
"""


class Office:
    """A collector with two schools that reported, and people of every kind."""

    def __init__(self, door: Door) -> None:
        """Add people and let two schools of different counties report."""
        self.door = door
        county, city = "640104", "640100"
        self.county_viewer, self.county_operator, self.county_admin, self.city_viewer = door.add_people(
            ("viewer", county), ("operator", county), ("admin", county), ("viewer", city)
        )
        self.here: Gateway = door.enrol(SCHOOL)
        self.there: Gateway = door.enrol(OTHER_COUNTY_SCHOOL)
        heard = door.send_file("/api/v1/whitelist/import?filename=list.csv", WHITELIST.format(school=SCHOOL))
        assert heard.status == 200, heard
        for gateway, address in ((self.here, "192.0.2.10"), (self.there, "192.0.2.20")):
            gateway.sent(ports(22, 80, address=address), sample(1e6))
            # The first scan is the baseline; what is new after it raises alerts.
            gateway.sent(ports(22, 23, 80, 3389, address=address))
        wait_until(lambda: len(self.alerts(door.admin)) > 1, "alerts of both schools")

    def alerts(self, token: str) -> list[dict[str, object]]:
        """The alerts that stand."""
        items: list[dict[str, object]] = self.door.get("/api/v1/alerts", token)["items"]
        return items


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    processes = Processes(tmp_path_factory.mktemp("processes"))
    data = tmp_path_factory.mktemp("office") / "data"
    try:
        init_collector(data)
        door = Door(data, start_collector(processes, data), processes)
        door.plant()
        yield Office(door)
    finally:
        processes.close()


def test_each_sees_the_own_subtree_and_nothing_else(office: Office) -> None:
    door = office.door
    for token in (office.county_viewer, office.county_operator, office.county_admin):
        units = [unit["code"] for unit in door.get("/api/v1/units", token)["items"]]
        assert units == ["640104", SCHOOL, SECOND_SCHOOL]
        for path in ("assets", "sites", "measurements", "alerts", "agents", "whitelist"):
            items = door.get(f"/api/v1/{path}", token)["items"]
            assert {item["unit"] for item in items} <= {"640104", SCHOOL, SECOND_SCHOOL}, path
            if path != "sites":
                assert items, path
    everything = {unit["code"] for unit in door.get("/api/v1/units", office.city_viewer)["items"]}
    assert {"640100", "640106", OTHER_COUNTY_SCHOOL} <= everything
    assert "640000" not in everything


@pytest.mark.parametrize("outside", [OTHER_COUNTY_SCHOOL, "640106", "640100", "640000", "999999"])
@pytest.mark.parametrize(
    "path",
    [
        "units?under=",
        "assets?under=",
        "sites?under=",
        "alerts?under=",
        "measurements?unit=",
        "whitelist?unit=",
        "whitelist/holding?unit=",
        "whitelist/export?unit=",
        "whitelist/review?unit=",
    ],
)
def test_what_lies_outside_is_not_there(office: Office, path: str, outside: str) -> None:
    heard = office.door.ask("GET", f"/api/v1/{path}{outside}", token=office.county_viewer)
    assert (heard.status, heard.refusal().code) == (404, "not_found")


def test_ids_of_others_are_not_there(office: Office) -> None:
    door = office.door
    asset = door.get(f"/api/v1/assets?under={OTHER_COUNTY_SCHOOL}")["items"][0]["id"]
    alert = door.get(f"/api/v1/alerts?under={OTHER_COUNTY_SCHOOL}")["items"][0]["id"]
    assert door.get(f"/api/v1/assets/{asset}")["id"] == asset
    assert door.get(f"/api/v1/alerts/{alert}")["id"] == alert
    admin = office.county_admin
    for method, path, body in (
        ("GET", f"assets/{asset}", None),
        ("GET", f"alerts/{alert}", None),
        ("POST", f"alerts/{alert}/ack", {"note": "x"}),
        ("POST", f"alerts/{alert}/resolve", {"note": "x"}),
        ("POST", f"agents/{office.there.agent}/revoke", None),
        ("POST", "enrolment-tokens", {"unit": OTHER_COUNTY_SCHOOL}),
    ):
        heard = door.ask(method, f"/api/v1/{path}", body, token=admin)
        assert (heard.status, heard.refusal().code) == (404, "not_found"), path
    content = WHITELIST.format(school=OTHER_COUNTY_SCHOOL)
    heard = door.send_file("/api/v1/whitelist/import?filename=w.csv", content, admin)
    assert heard.status in (404, 422)
    assert office.there.sent().sequence > 0  # not revoked


@pytest.mark.parametrize(
    ("who", "method", "path", "body"),
    [
        ("county_viewer", "POST", "enrolment-tokens", {"unit": SCHOOL}),
        ("county_viewer", "POST", "whitelist/import?filename=x.csv", b"x"),
        ("county_viewer", "POST", "units/import?filename=x.csv", b"x"),
        ("county_viewer", "POST", "alerts/any/ack", {"note": "x"}),
        ("county_viewer", "POST", "alerts/any/resolve", {"note": "x"}),
        ("county_operator", "POST", "units/import?filename=x.csv", b"x"),
        ("county_operator", "POST", "agents/any/revoke", None),
    ],
)
def test_a_role_ends_where_it_ends(office: Office, who: str, method: str, path: str, body: object) -> None:
    kind = {"Content-Type": "application/octet-stream"} if isinstance(body, bytes) else None
    heard = office.door.ask(method, f"/api/v1/{path}", body, token=getattr(office, who), headers=kind)
    assert (heard.status, heard.refusal().code) == (403, "forbidden")
    assert "needs the role" in heard.refusal().message


@pytest.mark.parametrize(
    ("filename", "content", "says"),
    [
        ("units.csv", "code,name\n64010,错\n", "units.csv:2:code:"),
        ("units.csv", "code,name,parent\n640199,某县,999999\n", "units.csv:2:parent:"),
        ("units.csv", "name\n某县\n", "units.csv:1:"),
        ("units.csv", b"code,name\n640199,\xff\xfe\n", "units.csv"),
        ("units.csv", "", "units.csv"),
        ("units.xlsx", b"PK\x03\x04 no workbook", "units.xlsx"),
    ],
)
def test_a_bad_file_changes_nothing_and_names_the_place(
    office: Office, filename: str, content: str | bytes, says: str
) -> None:
    before = office.door.get("/api/v1/units")
    heard = office.door.send_file(f"/api/v1/units/import?filename={filename}", content)
    assert (heard.status, heard.refusal().code) == (422, "bad_file")
    assert any(problem.startswith(says) for problem in heard.refusal().problems), heard.refusal()
    assert office.door.get("/api/v1/units") == before


@pytest.mark.parametrize(
    ("asked", "says"), [("zh", "没有单位"), ("zh-CN,en;q=0.5", "没有单位"), ("en", "no unit"), ("", "no unit")]
)
def test_a_refusal_is_in_the_language_that_was_asked_for(office: Office, asked: str, says: str) -> None:
    headers = {"Accept-Language": asked} if asked else {}
    heard = office.door.ask("GET", "/api/v1/units?under=999", token=office.door.admin, headers=headers)
    assert says in heard.refusal().message


def test_one_bad_row_keeps_the_good_ones_out(office: Office) -> None:
    before = office.door.get("/api/v1/whitelist")
    content = WHITELIST.format(school=SCHOOL) + f"{SCHOOL},port,192.0.2.11,tcp,99999,x,y,z,2099-01-01\n"
    content += f"{SCHOOL},host,nonsense!,,,x,y,z,2099-01-01\n"
    heard = office.door.send_file("/api/v1/whitelist/import?filename=w.csv", content)
    assert heard.status == 422
    places = [problem.split(": ")[0] for problem in heard.refusal().problems]
    assert any(place.startswith("w.csv:4:ports") for place in places)
    assert any(place.startswith("w.csv:5:value") for place in places)
    assert office.door.get("/api/v1/whitelist") == before


def test_a_file_that_is_too_large_is_not_read(office: Office) -> None:
    heard = office.door.send_file("/api/v1/units/import?filename=u.csv", bytes((8 << 20) + 1))
    assert (heard.status, heard.refusal().code) == (413, "too_large")


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json"])
def test_a_form_is_no_file(office: Office, kind: str) -> None:
    heard = office.door.ask(
        "POST", "/api/v1/units/import?filename=u.csv", b"x", token=office.door.admin, headers={"Content-Type": kind}
    )
    assert heard.status == 415
    assert "bytes of the file" in heard.refusal().message


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_exported_imports_the_same(office: Office, form: str) -> None:
    path = f"/api/v1/whitelist/export?unit={SCHOOL}&format={form}"
    heard = office.door.ask("GET", path, token=office.county_viewer)
    assert heard.status == 200
    assert heard.headers["content-disposition"] == f'attachment; filename="whitelist.{form}"'
    again = office.door.send_file(f"/api/v1/whitelist/import?filename=w.{form}", heard.body)
    assert again.status == 200, again
    result = again.json()
    assert (result["added"], result["changed"]) == (0, 0)
    assert result["unchanged"] == 2
    if form == "csv":
        assert heard.headers["content-type"] == "text/csv; charset=utf-8"
        assert len(list(csv.reader(io.StringIO(heard.body.decode("utf-8-sig"))))) == 3


def test_an_alert_is_acknowledged_then_resolved(office: Office) -> None:
    door = office.door
    alert = door.get(f"/api/v1/alerts?under={SCHOOL}", office.county_operator)["items"][0]
    assert alert["title"]["zh"]
    assert alert["title"]["en"]
    path = f"/api/v1/alerts/{alert['id']}"
    heard = door.ask("POST", f"{path}/ack", {"note": "looking"}, token=office.county_operator)
    assert heard.status == 200
    assert (heard.json()["state"], heard.json()["note"]) == ("acknowledged", "looking")
    assert heard.json()["acknowledged_by"] == "operator 640104"
    assert heard.json()["first_seen"] == alert["first_seen"]
    heard = door.ask("POST", f"{path}/resolve", {"note": "switched off"}, token=office.county_operator)
    assert heard.json()["state"] == "resolved"
    assert door.get(path)["state"] == "resolved"
    heard = door.ask("POST", f"{path}/ack", {"note": "again"}, token=office.county_operator)
    assert (heard.status, heard.refusal().code) == (409, "conflict")


@pytest.mark.parametrize("body", [{"note": 3}, {"note": "x" * 2000}, {"nte": "x"}, [], b"{"])
def test_a_bad_note_changes_nothing(office: Office, body: object) -> None:
    alert = office.alerts(office.door.admin)[0]
    for action in ("ack", "resolve"):
        path = f"/api/v1/alerts/{alert['id']}/{action}"
        heard = office.door.ask(
            "POST", path, body, token=office.door.admin, headers={"Content-Type": "application/json"}
        )
        assert (heard.status, heard.refusal().code) == (400, "bad_request")
    assert office.door.get(f"/api/v1/alerts/{alert['id']}")["state"] == alert["state"]


def test_rules_assets_and_review_are_readable(office: Office) -> None:
    door = office.door
    rules = door.get("/api/v1/rules", office.county_viewer)["items"]
    assert len(rules) >= 10
    asset = door.get("/api/v1/assets?q=192.0.2.10", office.county_viewer)["items"][0]
    detail = door.get(f"/api/v1/assets/{asset['id']}", office.county_viewer)
    assert detail["addresses"] == ["192.0.2.10"]
    assert detail["evidence"]
    review = door.get("/api/v1/whitelist/review?days=60", office.county_viewer)
    assert set(review) == {"expired_open", "expiring", "unused", "unlisted"}


def test_pages_follow_each_other(office: Office) -> None:
    door = office.door
    found, cursor = [], None
    while True:
        page = door.get("/api/v1/assets?limit=1" + (f"&cursor={cursor}" if cursor else ""))
        found += [asset["id"] for asset in page["items"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == [asset["id"] for asset in door.get("/api/v1/assets")["items"]]
    assert len(found) == len(set(found)) >= 2


@pytest.mark.parametrize(
    "query",
    [
        "assets?limit=0",
        "assets?limit=501",
        "assets?limit=x",
        "assets?cursor=nonsense",
        "assets?under=",
        "measurements?since=yesterday",
        "measurements?since=2026-01-01T00:00:00",
        "measurements?limit=1e9",
        "alerts?state=unheard",
        "whitelist/review?days=-1",
        "whitelist/export?format=pdf",
    ],
)
def test_bad_parameters_are_named(office: Office, query: str) -> None:
    heard = office.door.ask("GET", f"/api/v1/{query}", token=office.door.admin)
    assert (heard.status, heard.refusal().code) == (400, "bad_request")
    name = query.partition("?")[2].partition("=")[0]
    assert name in heard.refusal().message
