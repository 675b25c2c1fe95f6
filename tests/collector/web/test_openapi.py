"""The OpenAPI document: valid, complete, and true of a running collector."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from collector.api.document import document
from collector.api.routes.table import ROUTES
from tests.collector.web.door import Door, ports, sample
from wire.codec import encode
from wire.types import Answer, Refusal

OPERATIONS = {
    ("get", "/api/v1/ca", ""),
    ("post", "/api/v1/enrol", ""),
    ("post", "/api/v1/reports", "agent"),
    ("post", "/api/v1/enrolment-tokens", "person"),
    ("post", "/api/v1/assets/import", "person"),
    ("get", "/api/v1/agents", "person"),
    ("post", "/api/v1/agents/{agent_id}/revoke", "person"),
    ("post", "/api/v1/agents/{agent_id}/metrics", "person"),
    ("post", "/api/v1/agents/{agent_id}/vantage", "person"),
    ("post", "/api/v1/units/import", "person"),
    ("get", "/api/v1/units", "person"),
    ("post", "/api/v1/whitelist/import", "person"),
    ("get", "/api/v1/whitelist", "person"),
    ("get", "/api/v1/whitelist/holding", "person"),
    ("get", "/api/v1/whitelist/export", "person"),
    ("get", "/api/v1/whitelist/review", "person"),
    ("post", "/api/v1/register/import", "person"),
    ("get", "/api/v1/ipv6/report", "person"),
    ("get", "/api/v1/ipv6/sites", "person"),
    ("get", "/api/v1/ipv6/unregistered", "person"),
    ("get", "/api/v1/ipv6/history", "person"),
    ("get", "/api/v1/ipv6/failures", "person"),
    ("get", "/api/v1/ipv6/failures/export", "person"),
    ("post", "/api/v1/register/seed", "person"),
    ("get", "/api/v1/register", "person"),
    ("post", "/api/v1/register/{entry_id}/remove", "person"),
    ("get", "/api/v1/assets", "person"),
    ("get", "/api/v1/assets/{asset_id}", "person"),
    ("post", "/api/v1/assets/{asset_id}/merge", "person"),
    ("post", "/api/v1/assets/{asset_id}/split", "person"),
    ("get", "/api/v1/drift", "person"),
    ("get", "/api/v1/sites", "person"),
    ("get", "/api/v1/measurements", "person"),
    ("get", "/api/v1/alerts", "person"),
    ("get", "/api/v1/alerts/{alert_id}", "person"),
    ("post", "/api/v1/alerts/{alert_id}/ack", "person"),
    ("post", "/api/v1/alerts/{alert_id}/resolve", "person"),
    ("get", "/api/v1/rules", "person"),
    ("post", "/api/v1/scans", "person"),
    ("get", "/api/v1/scans", "person"),
    ("get", "/api/v1/scans/{scan_id}", "person"),
    ("get", "/api/v1/scans/{scan_id}/progress", "person"),
    ("post", "/api/v1/scans/{scan_id}/cancel", "person"),
    ("get", "/api/v1/scans/{scan_id}/results/{order_id}", "person"),
    ("get", "/api/v1/orders", "agent"),
    ("post", "/api/v1/orders/{order_id}/progress", "agent"),
    ("get", "/api/v1/sd", "scraper"),
    ("get", "/metrics", "scraper"),
    ("get", "/healthz", ""),
}


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return document()


def _operations(plain: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, item) for path, methods in plain["paths"].items() for method, item in methods.items()]


def _resolved(plain: dict[str, Any], name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": plain["components"]}


def test_the_interface_is_the_documented_one(plain: dict[str, Any]) -> None:
    assert plain["openapi"].startswith("3.1.")
    found = {
        (method, path, next(iter(item["security"][0])) if "security" in item else "")
        for method, path, item in _operations(plain)
    }
    assert found == OPERATIONS
    text = (Path(__file__).parents[3] / "docs" / "interfaces.md").read_text(encoding="utf-8")
    for _, path, _ in OPERATIONS:
        short = re.sub(
            r"\{(agent|alert|asset|scan|entry)_id\}|(?<=orders/)\{order_id\}", "{id}", path.removeprefix("/api/v1")
        )
        short = short.replace("{order_id}", "{order}")
        assert short.removesuffix("/ack").removesuffix("/resolve").removesuffix("/cancel") in text, path


def test_every_operation_says_all_that_can_come_back(plain: dict[str, Any]) -> None:
    for method, path, item in _operations(plain):
        assert item["summary"], path
        assert item["operationId"]
        statuses = set(item["responses"])
        assert {"500", "503"} <= statuses
        if "security" in item:
            assert {"401", "429"} <= statuses, path
        if "requestBody" in item:
            assert {"400", "413", "415"} <= statuses, path
        for status, answer in item["responses"].items():
            if status >= "400":
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Refusal"}
            if status in ("429", "503"):
                assert "Retry-After" in answer["headers"]
        assert method in ("get", "post")


def test_every_reference_leads_somewhere_and_nothing_is_left_over(plain: dict[str, Any]) -> None:
    text = json.dumps(plain)
    names = set(plain["components"]["schemas"])
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= names
    assert names - used == set()
    for name in names:
        jsonschema_rs.validator_for(_resolved(plain, name))


def test_wire_messages_fit_their_schemas(plain: dict[str, Any], shared: Door) -> None:
    gateway = shared.enrol()
    report = gateway.report(ports(22, 80), sample(1e6))
    for name, message in (("Report", report), ("Answer", gateway.sent()), ("Refusal", Refusal("busy", "later"))):
        jsonschema_rs.validator_for(_resolved(plain, name)).validate(json.loads(encode(message)))
    strict = jsonschema_rs.validator_for(_resolved(plain, "Report"))
    good = json.loads(encode(report))
    for change in ({"sequence": 0}, {"spool": "x" * 65}, {"schema": "edusec.report/2"}, {"sections": [{}]}):
        assert not strict.is_valid(good | change)
    assert isinstance(gateway.sent(), Answer)


def test_the_document_is_served_to_everyone(shared: Door, plain: dict[str, Any]) -> None:
    heard = shared.ask("GET", "/schema/openapi.json")
    assert heard.status == 200
    assert heard.headers["content-type"] == "application/json"
    assert heard.json() == json.loads(json.dumps(plain))


def test_no_route_is_without_a_guard_by_accident() -> None:
    open_to_all = {route.operation_id for route in ROUTES if not route.guards and route.include_in_schema is not False}
    assert open_to_all == {"getCa", "enrol", "health"}


def test_the_collector_keeps_what_the_document_promises(make_door: Callable[..., Door], tmp_path: Path) -> None:
    shared = make_door("[limits]\nfailures_per_minute = 10000")
    gateway = shared.enrol()
    gateway.sent(ports(22, 23, 80), sample(1e6))
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        f"""
        [auth.openapi.person]
        bearer = "{shared.admin}"
        [auth.openapi.agent]
        bearer = "{gateway.credential}"
        [auth.openapi.scraper]
        bearer = "{shared.scraper}"
        [checks.negative_data_rejection]
        expected-statuses = [400, 401, 403, 404, 408, 409, 413, 415, 422, 429]
        [generation]
        database = "none"
        """,
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    options = {
        "--url": f"https://127.0.0.1:{shared.port}",
        "--tls-verify": str(shared.ca),
        "--phases": "examples,coverage,fuzzing",
        "--max-examples": "5",
        "--seed": "1",
        "--suppress-health-check": "all",
        "--request-timeout": "30",
        # A positive example is only well-formed: its unit need not exist, its body is not compressed.
        "--exclude-checks": "positive_data_acceptance,object_level_authorization",
    }
    done = subprocess.run(
        [*command, *(word for pair in options.items() for word in pair), f"{shared.url}/schema/openapi.json"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=tmp_path,
    )
    said = "\n".join(line[:200] for line in (done.stdout + done.stderr).splitlines())
    assert done.returncode == 0, said
    assert "event=internal_error" not in shared.log
