"""Reports a second through the collector's door, each acknowledged after a durable commit.

Two loads with the report of a school (100 observations, 20 samples): every section unchanged, so that its digest alone
travels; and every section sent in full and compared with what is stored. Each run ends with a check that what was
acknowledged is in the store, once. Run it as `python bench/ingest.py`; options below.
"""

import argparse
import gc
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import func, select

from collector.errors import Busy
from collector.ingest.policy import policy_digest
from collector.ingest.reports import submit
from collector.memory.directory import AgentIdentity
from collector.memory.people import Person, Role
from collector.registry import agents, units
from collector.running import Running, open_core
from collector.settings import Settings
from collector.store import tables
from tests.support.reports import Sender, covers, host, measured, sample, service, state, unchanged
from wire.types import Answer, EnrolmentRequest, Outcome, Report, Section

ROOT = Person("bench", "bench", Role.ADMIN, None)
HOSTS, OPEN = 20, (22, 80, 443, 8080)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--schools", type=int, default=200)
    options.add_argument("--rounds", type=int, default=10, help="reports of each school in each run")
    options.add_argument("--folder", type=Path, help="where the database lies (default: a temporary folder)")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        core = open_core(Path(folder) / "bench.db", Settings(queue_size=2048), scheduled=False)
        try:
            _measure(core, chosen.schools, chosen.rounds)
        finally:
            core.close()


def _measure(core: Running, schools: int, rounds: int) -> None:
    senders = enrol(core, schools)
    now = time.time()
    pictures = {agent.id: pictures_of(now) for agent, _ in senders}
    whole = [
        (agent, sender.report(*pictures[agent.id], created=now, policy=policy_digest(core, agent)))
        for agent, sender in senders
    ]
    _run(core, "first scan, all rows new", whole, check=schools)
    same = [
        (agent, sender.report(*(unchanged(part, now) for part in pictures[agent.id]), created=now))
        for _ in range(rounds)
        for agent, sender in senders
    ]
    _run(core, "unchanged, by digest", _with_policy(core, same), check=schools * (1 + rounds))
    # Alternating by one port of one host, so that no digest is known and every row is compared.
    other = {agent.id: pictures_of(now, extra=9999) for agent, _ in senders}
    full = [
        (
            agent,
            sender.report(
                *(other if turn % 2 == 0 else pictures)[agent.id],
                measured("vitals", "host_vitals", {f"value_{i}": i * 0.5 for i in range(20)}, at=now),
                created=now,
            ),
        )
        for turn in range(rounds)
        for agent, sender in senders
    ]
    _run(
        core,
        "in full, every row compared, one changed, 20 samples",
        _with_policy(core, full),
        check=schools * (1 + 2 * rounds),
    )
    with core.store.reader() as connection:
        assets = connection.execute(select(func.count()).select_from(tables.asset)).scalar_one()
        runs = connection.execute(select(func.count()).select_from(tables.measurement)).scalar_one()
    print(f"assets {assets} (expected {schools * HOSTS}), runs of samples {runs} (expected {schools * rounds})")
    if (assets, runs) != (schools * HOSTS, schools * rounds):
        raise SystemExit("the store does not hold what was acknowledged")


def _run(core: Running, what: str, reports: list[tuple[AgentIdentity, Report]], *, check: int) -> None:
    gc.collect()
    gc.freeze()  # the reports made beforehand are no part of a collector: its garbage collector must not walk them
    before = resource.getrusage(resource.RUSAGE_SELF)
    started, cpu = time.perf_counter(), time.process_time()
    waiting: list[Future[Answer]] = []
    for agent, report in reports:
        while True:
            future = submit(core, agent, report, time.time())
            if future.done() and isinstance(future.exception(), Busy):
                time.sleep(0.002)
                continue
            break
        waiting.append(future)
    answers = [future.result() for future in waiting]
    took, used = time.perf_counter() - started, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF)
    with core.store.reader() as connection:
        total = connection.execute(select(func.sum(tables.spool.c.sequence))).scalar_one()
    duplicates = sum(answer.duplicate for answer in answers)
    print(
        f"{what}: {len(reports) / took:,.0f} reports/s, {used / len(reports) * 1e6:,.0f} us CPU each, "
        f"{len(reports)} in {took:.2f} s, {after.ru_oublock - before.ru_oublock} blocks written"
    )
    if total != check or duplicates:
        raise SystemExit(f"{total} reports in the store, {check} acknowledged, {duplicates} twice")


def pictures_of(now: float, extra: int = 0) -> list[Section]:
    """Give one school's sections at a time; `extra` is one more open port."""
    said = []
    for number in range(HOSTS):
        name = f"10.1.{number // 250}.{number % 250 + 1}"
        said.append(host(name, closed=(21, 23, 25, 110), mac=f"00:16:3e:00:00:{number:02x}"))
        said += [service(name, port) for port in OPEN]
    if extra:
        said.append(service("10.1.0.1", extra))
    checks = [sample("ipv6_reachability", Outcome.PASS, reason=f"check {number}") for number in range(5)]
    return [
        state("ports", *said, covers("10.1.0.0/24", ports="1-10000"), at=now),
        state("ipv6", *checks, at=now, probe="ipv6_reachability"),
    ]


def _with_policy(core: Running, reports: list[tuple[AgentIdentity, Report]]) -> list[tuple[AgentIdentity, Report]]:
    return [(agent, replace(report, policy=policy_digest(core, agent))) for agent, report in reports]


def enrol(core: Running, schools: int) -> list[tuple[AgentIdentity, Sender]]:
    """Import so many schools and enrol one agent in each."""
    rows = ["code,name,parent,division_code", "640000,NX,,", "640100,YC,640000,", "640104,XQ,640100,"]
    rows += [f"2164{number:06},school {number},640104,640104" for number in range(schools)]
    units.import_units(core, ROOT, "\n".join(rows).encode(), "units.csv")
    found = []
    for number in range(schools):
        token = agents.create_token(core, ROOT, f"2164{number:06}", 600)
        made = agents.enrol(core, EnrolmentRequest(token.secret, f"gw-{number}", "bench"), time.time())
        agent = core.directory.agents[made.agent].identity
        found.append((agent, Sender(agent.id)))
    return found


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    main()
