"""Reports over HTTPS: what is taken, what is refused, and that a refusal leaves no trace."""

import gzip
import json
import time
import zlib
from typing import Any

import pytest

from tests.collector.web.door import OTHER_COUNTY_SCHOOL, SCHOOL, Door, Gateway, ports, sample
from wire.codec import compress, decode, encode
from wire.types import MAX_REPORT_BYTES, Answer, Report, SectionKind

KIND = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


def _stock(door: Door) -> Any:
    """Everything that a report could have changed."""
    agents = door.get("/api/v1/agents")["items"]
    return (
        door.get("/api/v1/assets?limit=500"),
        door.get("/api/v1/measurements?limit=10000"),
        [(agent["id"], agent["sequence"], agent["sections"]) for agent in agents],
    )


@pytest.fixture
def gateway(shared: Door) -> Gateway:
    return shared.enrol()


def test_a_report_is_acknowledged_and_shown(shared: Door, gateway: Gateway) -> None:
    answer = gateway.sent(ports(22, 8080, address="192.0.2.77"), sample(1e8))
    assert answer.sequence == 1
    assert not answer.duplicate
    assert answer.policy is not None
    assert answer.policy.unit == SCHOOL
    assert answer.policy.responder is not None
    found = shared.get(f"/api/v1/assets?under={SCHOOL}&q=192.0.2.77")["items"]
    assert [(service["port"], service["state"]) for service in found[0]["services"]] == [(22, "open"), (8080, "open")]
    listed = {agent["id"]: agent for agent in shared.get("/api/v1/agents")["items"]}
    assert listed[gateway.agent]["state"] == "active"
    values = shared.get(f"/api/v1/measurements?unit={SCHOOL}&probe=bandwidth")["items"]
    assert [item["values"]["download_bps"] for item in values if item["agent"] == gateway.agent] == [1e8]
    # The policy is not sent again to an agent that says it has it.
    assert gateway.sent(policy=answer.policy.digest).policy is None


def test_the_same_report_again_is_acknowledged_and_changes_nothing(shared: Door, gateway: Gateway) -> None:
    report = gateway.report(ports(), sample(5e7))
    assert gateway.send(report).status == 200
    before = _stock(shared)
    again = decode(Answer, gateway.send(report).body)
    assert again.duplicate
    assert again.sequence == report.sequence
    assert _stock(shared) == before


def test_another_report_under_the_same_number_is_a_conflict(shared: Door, gateway: Gateway) -> None:
    gateway.sent(sequence=7)
    before = _stock(shared)
    heard = gateway.send(gateway.report(ports(1, 2, 3), sequence=7))
    assert heard.status == 409
    assert heard.refusal().code == "conflict"
    assert _stock(shared) == before


def test_an_unknown_digest_asks_for_the_section(shared: Door, gateway: Gateway) -> None:
    bare = ports()
    bare = type(bare)(**{name: getattr(bare, name) for name in bare.__slots__} | {"body": None})
    before = _stock(shared)
    heard = gateway.send(gateway.report(bare))
    assert heard.status == 409
    assert heard.refusal().code == "unknown_digest"
    assert heard.refusal().sections == ("ports",)
    assert _stock(shared) == before
    gateway.sent(ports())
    assert gateway.sent(bare).sequence == 3


def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b'{"schema":"' + b" " * (64 << 20)) + packer.flush()


def _changed(**changes: Any) -> bytes:
    plain = json.loads(encode(Report("a", "s", 1, "b", time.time(), "t", (ports(),))))
    return compress(json.dumps(plain | changes).encode())


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (b"", 400, "bad_request", "gzip"),
        (b"not gzip", 400, "bad_request", "not gzip"),
        (compress(b"{"), 400, "bad_request", "not JSON"),
        (compress(b"[" * 100_000), 400, "bad_request", "nested"),
        (compress(b'{"schema": "edusec.report/2"}'), 400, "unsupported_schema", "edusec.report/1"),
        (gzip.compress(b"{}")[:-4], 400, "bad_request", "cut short"),
        (compress(b"{}") + b"more", 400, "bad_request", "follow"),
        (_changed(sections=[]), 403, "forbidden", "another agent"),
        (_changed(sequence=0), 400, "bad_request", "sequence"),
        (_changed(sequence="1"), 400, "bad_request", "sequence: expected a whole number"),
        (_changed(created=1e999), 400, "bad_request", "Infinity"),
        (_changed(spool="x" * 65), 400, "bad_request", "spool"),
        (_bomb(), 413, "too_large", "decompressed"),
        (bytes(MAX_REPORT_BYTES + 1), 413, "too_large", f"{MAX_REPORT_BYTES} bytes"),
    ],
    ids=[
        "empty",
        "not gzip",
        "cut json",
        "deep json",
        "schema",
        "cut gzip",
        "trailing",
        "other agent",
        "sequence 0",
        "sequence text",
        "infinite",
        "long spool",
        "bomb",
        "too large",
    ],
)
def test_what_is_no_report_is_refused_and_changes_nothing(
    shared: Door, gateway: Gateway, body: bytes, status: int, code: str, says: str
) -> None:
    gateway.sent()
    before = _stock(shared)
    heard = gateway.send(body)
    assert (heard.status, heard.refusal().code) == (status, code)
    assert says in heard.refusal().message
    assert _stock(shared) == before
    assert gateway.sent().sequence == 2


def test_a_body_without_announced_length_is_bounded_too(shared: Door, gateway: Gateway) -> None:
    line = shared.connection()
    try:
        line.putrequest("POST", "/api/v1/reports")
        for key, value in (KIND | {"Authorization": f"Bearer {gateway.credential}"}).items():
            line.putheader(key, value)
        line.putheader("Transfer-Encoding", "chunked")
        line.endheaders()
        piece = b"10000\r\n" + bytes(65536) + b"\r\n"
        for _ in range(20):
            line.send(piece)
        line.send(b"0\r\n\r\n")
        assert line.getresponse().status == 413
    finally:
        line.close()


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content-Type": "application/json"}, "Content-Encoding: gzip"),
        ({"Content-Type": "application/json", "Content-Encoding": "br"}, "Content-Encoding: gzip"),
        ({"Content-Type": "text/plain", "Content-Encoding": "gzip"}, "application/json"),
        ({"Content-Encoding": "gzip"}, "application/json"),
    ],
)
def test_a_report_says_what_it_is(shared: Door, gateway: Gateway, headers: dict[str, str], says: str) -> None:
    body = compress(encode(gateway.report()))
    heard = shared.ask("POST", "/api/v1/reports", body, token=gateway.credential, headers=headers)
    assert heard.status == 415
    assert says in heard.refusal().message


@pytest.mark.parametrize(
    "credential",
    ["", "wrong", "x" * 5000, "中文".encode().decode("latin-1"), "a b"],
    ids=["none", "wrong", "long", "not ascii", "two words"],
)
def test_a_wrong_credential_is_refused(shared: Door, gateway: Gateway, credential: str) -> None:
    before = _stock(shared)
    headers = KIND | ({"Authorization": f"Bearer {credential}"} if credential else {})
    heard = shared.ask("POST", "/api/v1/reports", compress(encode(gateway.report())), headers=headers)
    assert heard.status in (401, 429)
    assert heard.refusal().code in ("unauthorised", "busy")
    assert _stock(shared) == before


def test_a_person_is_no_agent_and_an_agent_no_person(shared: Door, gateway: Gateway) -> None:
    heard = shared.ask("POST", "/api/v1/reports", compress(b"{}"), token=shared.admin, headers=KIND)
    assert heard.status == 401
    assert heard.headers["www-authenticate"].startswith("Bearer")
    assert shared.ask("GET", "/api/v1/units", token=gateway.credential).status == 401
    assert shared.ask("GET", "/metrics", token=gateway.credential).status == 401
    assert shared.ask("GET", "/metrics", token=shared.admin).status == 401
    assert shared.ask("GET", "/api/v1/units", token=shared.scraper).status == 401


def test_a_revoked_agent_is_refused_and_what_it_reported_stays(shared: Door, gateway: Gateway) -> None:
    gateway.sent(ports(443, address="192.0.2.99"))
    assert shared.ask("POST", f"/api/v1/agents/{gateway.agent}/revoke", token=shared.admin).status == 204
    before = _stock(shared)
    heard = gateway.send(gateway.report())
    assert heard.status == 401
    assert "revoked" in heard.refusal().message
    assert _stock(shared) == before
    assert shared.get("/api/v1/assets?q=192.0.2.99")["items"]
    listed = {agent["id"]: agent["state"] for agent in shared.get("/api/v1/agents")["items"]}
    assert listed[gateway.agent] == "revoked"


@pytest.mark.parametrize("shift", [-30 * 86_400.0, 3 * 86_400.0], ids=["slow", "fast"])
def test_a_wrong_clock_is_corrected_and_shown(shared: Door, gateway: Gateway, shift: float) -> None:
    wrong = time.time() + shift
    gateway.sent(sample(1e6, when=wrong), created=wrong)
    listed = {agent["id"]: agent for agent in shared.get("/api/v1/agents")["items"]}
    assert abs(listed[gateway.agent]["clock_skew_seconds"]) > 86_400
    year = time.strftime("%Y-%m-%d", time.gmtime())
    times = [item["time"] for item in shared.get("/api/v1/measurements")["items"] if item["agent"] == gateway.agent]
    assert len(times) == 1
    assert times[0][:4] == year[:4]


def test_a_digest_that_does_not_fit_its_body_is_refused(shared: Door, gateway: Gateway) -> None:
    section = ports()
    lying = type(section)(**{name: getattr(section, name) for name in section.__slots__} | {"digest": "0" * 64})
    before = _stock(shared)
    heard = gateway.send(gateway.report(lying))
    assert (heard.status, heard.refusal().code) == (400, "bad_request")
    assert _stock(shared) == before


def test_agents_of_other_units_do_not_meet(shared: Door, gateway: Gateway) -> None:
    other = shared.enrol(OTHER_COUNTY_SCHOOL)
    other.sent(ports(21, address="192.0.2.200"))
    assert not shared.get(f"/api/v1/assets?under={SCHOOL}&q=192.0.2.200")["items"]
    heard = other.send(gateway.report())
    assert heard.status == 403


def test_many_sections_of_both_kinds(shared: Door, gateway: Gateway) -> None:
    sections = [ports(port, address=f"192.0.2.{port}", name=f"ports-{port}") for port in range(1, 21)]
    sections += [sample(float(number), name=f"speed-{number}") for number in range(1, 21)]
    assert gateway.sent(*sections).sequence == 1
    listed = {agent["id"]: agent for agent in shared.get("/api/v1/agents")["items"]}
    kinds = {section["kind"] for section in listed[gateway.agent]["sections"]}
    assert kinds == {kind.value for kind in SectionKind}


def test_a_problem_of_one_agent_is_logged_once(shared: Door, gateway: Gateway) -> None:
    for _ in range(5):
        assert gateway.send(b"junk").status == 400
    lines = [line for line in shared.log.splitlines() if gateway.agent in line]
    assert len(lines) == 1
    assert "event=refused_bad_request" in lines[0]
    assert gateway.credential not in shared.log
