"""Faults of the collector itself, which no stranger can cause on purpose: made here with a core that breaks."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from collector.api.app import make_app
from collector.api.context import Context, Pool
from collector.errors import Busy, StoreError
from collector.metrics.exposition import Metrics
from collector.process.config import Limits
from collector.registry import agents
from collector.running import Running, open_core
from collector.settings import Settings
from tests.collector.web.door import Heard
from tests.support.collectors import SCHOOL, desk
from tests.support.reports import Sender, state
from wire.codec import compress, encode
from wire.endpoint import Endpoint
from wire.types import EnrolmentRequest


class Breaking:
    """A core with one fault."""

    def __init__(self, problem: Exception) -> None:
        """Break with this."""
        self._problem = problem

    def healthy(self) -> bool:
        """Break."""
        raise self._problem


def _context(core: Any, **changed: Any) -> Context:
    parts = {
        "core": core,
        "limits": Limits(),
        "ca_pem": b"",
        "ca_digest": "",
        "scrape_token": "x" * 40,
        "metrics": Metrics(core),
        "clock": lambda: 0.0,
        "own_target": Endpoint("127.0.0.1", 1),
    }
    return Context(**(parts | changed))


def _ask(context: Context, path: str = "/healthz", body: bytes = b"", **headers: str) -> Heard:
    """Exchange one request with the application itself; with a body it is a POST."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST" if body else "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()],
        "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 1),
    }

    async def exchange() -> None:
        await make_app(context)(scope, receive, send)

    try:
        asyncio.run(exchange())
    finally:
        context.close()
    heard = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
    return Heard(sent[0]["status"], heard, b"".join(message.get("body", b"") for message in sent[1:]))


def test_a_fault_of_our_own_tells_the_client_nothing_and_the_log_all(caplog: pytest.LogCaptureFixture) -> None:
    heard = _ask(_context(Breaking(ZeroDivisionError("secret detail"))))
    assert (heard.status, heard.refusal().code) == (500, "internal")
    assert b"secret" not in heard.body
    assert b"Zero" not in heard.body
    (record,) = [record.getMessage() for record in caplog.records if "internal_error" in record.getMessage()]
    assert "ZeroDivisionError: secret detail" in record
    assert "test_faults.py" in record
    assert "path=/healthz" in record


def test_a_fault_in_the_taking_of_a_small_report_is_told_and_logged_alike(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> float:
        raise ZeroDivisionError("secret detail")

    with desk(tmp_path) as at:
        secret = agents.create_token(at.core, at.admin, SCHOOL, 60).secret
        made = agents.enrol(at.core, EnrolmentRequest(secret, "gateway", "test"), at.clock.now)
        body = compress(encode(Sender(made.agent).report(state("ports", at=at.clock.now), created=at.clock.now)))
        heard = _ask(
            _context(at.core, clock=broken),
            "/api/v1/reports",
            body,
            authorization=f"Bearer {made.credential}",
            content_type="application/json",
            content_encoding="gzip",
            content_length=str(len(body)),
        )
    assert (heard.status, heard.refusal().code) == (500, "internal")
    assert heard.headers["content-type"] == "application/json"
    (record,) = [record.getMessage() for record in caplog.records if "internal_error" in record.getMessage()]
    assert "ZeroDivisionError: secret detail" in record
    assert "express.py" in record


def test_a_busy_or_broken_store_asks_to_come_back() -> None:
    heard = _ask(_context(Breaking(Busy("the queue is full", 7))))
    assert (heard.status, heard.refusal().code, heard.headers["retry-after"]) == (503, "busy", "7")
    heard = _ask(_context(Breaking(StoreError("the disk is full"))))
    assert (heard.status, heard.refusal().code) == (503, "busy")
    assert int(heard.headers["retry-after"]) > 0


def test_a_full_waiting_room_refuses_at_once() -> None:
    heard = _ask(_context(Breaking(ValueError()), agents=Pool("agents", 1, 0)))
    assert (heard.status, heard.refusal().code) == (503, "busy")
    assert "waiting" in heard.refusal().message


def test_discovery_is_an_empty_list_when_there_is_nothing(tmp_path: Path) -> None:
    core: Running = open_core(tmp_path / "db", Settings())
    try:
        heard = _ask(_context(core), "/api/v1/sd", authorization=f"Bearer {'x' * 40}")
        assert heard.json() == [
            {
                "targets": ["127.0.0.1:1"],
                "labels": {"__scheme__": "https", "__metrics_path__": "/metrics", "role": "collector"},
            }
        ]
        assert heard.headers["content-type"] == "application/json"
        metrics = _ask(_context(core), "/metrics", authorization=f"Bearer {'x' * 40}", accept="text/plain")
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        openmetrics = _ask(
            _context(core),
            "/metrics",
            authorization=f"Bearer {'x' * 40}",
            accept="application/openmetrics-text;version=1.0.0",
        )
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert openmetrics.body.endswith(b"# EOF\n")
    finally:
        core.close()
