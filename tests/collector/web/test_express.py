"""The short way of small reports: it takes what is in good order, and what is not is refused as on the ordinary way."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.api.context import Context
from collector.api.express import SMALL_BYTES, Express
from collector.metrics.exposition import Metrics
from collector.process.config import Limits
from collector.registry import agents
from tests.collector.web.door import Door, Gateway, Heard, ports
from tests.support.collectors import SCHOOL, desk
from tests.support.reports import Sender, host, state
from wire.codec import compress, decode, encode
from wire.endpoint import Endpoint
from wire.types import Answer, EnrolmentRequest

KIND = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
ORDINARY = "/api/v1/reports?ordinary="


def post(gateway: Gateway, path: str, body: bytes, **headers: str) -> Heard:
    given = {**KIND, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return gateway.door.ask("POST", path, body, token=gateway.credential, headers=given)


def good(gateway: Gateway) -> bytes:
    return compress(encode(gateway.report(ports(22))))


def cut(gateway: Gateway) -> bytes:
    return good(gateway)[:-9]


def stranger(gateway: Gateway) -> bytes:
    return compress(encode(gateway.report(ports(22), agent="another")))


def digest_only(gateway: Gateway) -> bytes:
    return compress(encode(gateway.report(replace(ports(22), name="never", body=None))))


def false_digest(gateway: Gateway) -> bytes:
    return compress(encode(gateway.report(replace(ports(22), digest="0" * 64))))


def later_schema(gateway: Gateway) -> bytes:
    return compress(encode(gateway.report(ports(22))).replace(b"edusec.report/1", b"edusec.report/9"))


def conflicting(gateway: Gateway) -> bytes:
    return compress(encode(gateway.report(ports(22), sequence=1)))


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (good, 200),
        (cut, 400),
        (stranger, 403),
        (digest_only, 409),
        (false_digest, 400),
        (later_schema, 400),
        (conflicting, 409),
        (lambda _: b"", 400),
        (lambda _: b"no gzip", 400),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_both_ways_give_the_same_answers(shared: Door, make: Callable[[Gateway], bytes], status: int) -> None:
    gateway = shared.enrol()
    first = gateway.sent(ports(22))
    assert first.sequence == 1
    ways = [post(gateway, path, make(gateway)) for path in ("/api/v1/reports", ORDINARY)]
    assert [heard.status for heard in ways] == [status, status]
    names = [set(heard.headers) - {"date"} for heard in ways]
    assert names[0] == names[1]
    if status == 200:
        assert [decode(Answer, heard.body).duplicate for heard in ways] == [False, False]
    else:
        said = [heard.refusal() for heard in ways]
        assert said[0] == said[1]


@pytest.mark.parametrize("headers", [{"Content_Type": "text/plain"}, {"Content_Encoding": "br"}])
def test_odd_headers_are_refused_as_ever(shared: Door, headers: dict[str, str]) -> None:
    gateway = shared.enrol()
    assert post(gateway, "/api/v1/reports", good(gateway), **headers).status == 415


def test_a_revoked_agent_is_refused(shared: Door) -> None:
    gateway = shared.enrol()
    gateway.sent(ports(22))
    assert shared.ask("POST", f"/api/v1/agents/{gateway.agent}/revoke", token=shared.admin).status == 204
    assert post(gateway, "/api/v1/reports", good(gateway)).refusal().code == "unauthorised"


def test_which_requests_take_the_short_way(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        context = Context(at.core, Limits(), b"", "", "s", Metrics(at.core), time.time, Endpoint("127.0.0.1", 1))
        passed: list[str] = []

        async def framework(scope: Any, _receive: Any, _send: Any) -> None:
            passed.append(scope["method"])

        secret = agents.create_token(at.core, at.admin, SCHOOL, 60).secret
        made = agents.enrol(at.core, EnrolmentRequest(secret, "gateway", "test"), at.clock.now)
        sender = Sender(made.agent)
        express = Express(framework, context)

        def send(
            method: str = "POST", token: str = made.credential, pieces: int = 1, hosts: int = 0, **more: str
        ) -> list[Any]:
            section = state("ports", *[host("10.0.0.1")] * hosts, at=at.clock.now)
            body = compress(encode(sender.report(section, created=at.clock.now)))
            assert len(body) < SMALL_BYTES
            given = {
                "authorization": f"Bearer {token}",
                "content-type": "application/json",
                "content-encoding": "gzip",
                "content-length": str(len(body)),
                **{name.replace("_", "-"): value for name, value in more.items()},
            }
            scope = {
                "type": "http",
                "method": method,
                "path": "/api/v1/reports",
                "query_string": b"",
                "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            }
            parts = [
                {"type": "http.request", "body": body if pieces == 1 else body[n : n + 1], "more_body": pieces > 1}
                for n in range(pieces)
            ]
            sent: list[Any] = []

            async def receive() -> Any:
                return parts.pop(0)

            async def keep(message: Any) -> None:
                sent.append(message)

            asyncio.run(express(scope, receive, keep))
            return sent

        start, body = send()
        assert (start["status"], passed) == (200, [])
        assert decode(Answer, body["body"]).sequence == 1
        for odd in (
            {"method": "GET"},
            {"token": "x"},
            {"pieces": 2},
            {"content_type": "application/json; charset=utf-8"},
            {"content_encoding": "identity"},
            {"content_length": "9999"},
            {"content_length": "1"},
            {"content_length": "-1"},
        ):
            assert send(**odd) == []
            assert passed.pop()
        # A little gzip that holds much to read would keep everybody waiting: it is for a thread.
        assert send(hosts=2_000) == []
        assert passed.pop()
        assert at.core.stats.reports.total() == 1
        context.close()
