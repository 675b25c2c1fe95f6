"""Unchanged reports a second through the collector's application, acknowledged after a durable commit, both ways.

The application is asked as its server asks it, without sockets and TLS: what is compared is the short way of small
reports with the ordinary way through the framework, in turns, in one process. Run it as `python bench/ingest_door.py`.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.ingest import ROOT, enrol, pictures_of
from collector.api.app import make_app
from collector.api.context import Context
from collector.ingest.policy import policy_digest
from collector.metrics.exposition import Metrics
from collector.process.config import Limits
from collector.registry import agents
from collector.running import Running, open_core
from collector.settings import Settings
from tests.support.reports import Sender, unchanged
from wire.codec import compress, encode
from wire.endpoint import Endpoint
from wire.types import EnrolmentRequest

CLIENTS = 64
"""Agents that report at the same time, each one report after the other."""
WAYS = {"short way": b"", "ordinary way": b"ordinary="}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--reports", type=int, default=4000, help="reports of each run")
    options.add_argument("--rounds", type=int, default=3, help="runs of each way")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        core = open_core(Path(folder) / "bench.db", Settings(queue_size=2048), scheduled=False)
        try:
            enrol(core, 1)
            found = asyncio.run(_measure(core, -(-chosen.reports // CLIENTS), chosen.rounds))
        finally:
            core.close()
    for way, runs in found.items():
        rate, cpu = (median(run[index] for run in runs) for index in (0, 1))
        print(f"{way}: {rate:,.0f} reports/s, {cpu * 1e6:.0f} us CPU each")
    print(f"ratio {median(r[0] for r in found['short way']) / median(r[0] for r in found['ordinary way']):.2f}")


async def _measure(core: Running, each: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    limits, here = Limits(), Endpoint("127.0.0.1", 1)
    app = make_app(Context(core, limits, b"", "", "scrape", Metrics(core), time.time, here))
    now = time.time()
    clients: list[tuple[str, Sender]] = []
    for number in range(CLIENTS):
        token = agents.create_token(core, ROOT, "2164000000", 600)
        made = agents.enrol(core, EnrolmentRequest(token.secret, f"gateway {number}", "bench"), now)
        clients.append((made.credential, Sender(made.agent)))
    policy = policy_digest(core, core.directory.agents[clients[0][1].agent].identity)
    pictures = pictures_of(now)
    for credential, sender in clients:
        first = sender.report(*pictures, created=now, policy=policy)
        await _send(app, credential, b"", compress(encode(first)))
    sections = [unchanged(part, now) for part in pictures]

    def batch(sender: Sender) -> list[bytes]:
        return [compress(encode(sender.report(*sections, created=now, policy=policy))) for _ in range(each)]

    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, query in WAYS.items():
            bodies = [(credential, batch(sender)) for credential, sender in clients]
            found[way].append(await _run(app, query, bodies))
    if dict(core.stats.reports) != {"accepted": CLIENTS * (1 + each * rounds * len(WAYS))}:
        raise SystemExit(f"not every report was taken: {dict(core.stats.reports)}")
    return found


async def _run(app: Any, query: bytes, bodies: list[tuple[str, list[bytes]]]) -> tuple[float, float]:
    async def client(credential: str, own: list[bytes]) -> None:
        for body in own:
            await _send(app, credential, query, body)

    reports = sum(len(own) for _, own in bodies)
    gc.collect()
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(*part) for part in bodies))
    return reports / (time.perf_counter() - started), (time.process_time() - cpu) / reports


async def _send(app: Any, credential: str, query: bytes, body: bytes) -> None:
    headers = {
        b"host": b"collector",
        b"authorization": f"Bearer {credential}".encode(),
        b"content-type": b"application/json",
        b"content-encoding": b"gzip",
        b"content-length": str(len(body)).encode(),
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/v1/reports",
        "raw_path": b"/api/v1/reports",
        "query_string": query,
        "root_path": "",
        "scheme": "https",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        "headers": list(headers.items()),
        "state": {},
        "extensions": {},
    }
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    if statuses != [200]:
        raise SystemExit(f"a report was refused: {statuses}")


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    main()
