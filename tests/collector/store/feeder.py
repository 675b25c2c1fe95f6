"""A collector in a process of its own that feeds itself reports and writes down each one that was acknowledged.

Run by test_kill.py: python feeder.py FOLDER FIRST_SEQUENCE
"""

import sys
from collections import deque
from concurrent.futures import Future
from pathlib import Path

from collector.ingest.reports import submit
from collector.settings import Settings
from tests.support.collectors import Clock, Desk
from tests.support.reports import covers, host, measured, service, state
from wire.types import Answer, Report

SPOOL = "the-spool"
UNDER_WAY = 40


def address(sequence: int) -> str:
    """An address of its own for each report."""
    return f"10.{sequence // 62_500}.{sequence // 250 % 250}.{sequence % 250 + 1}"


def main(folder: Path, sequence: int) -> None:
    """Submit until killed, with some reports under way at any time."""
    clock = Clock()
    desk = Desk(folder / "collector.db", Settings(), clock)
    known = list(desk.core.directory.agents.values())
    agent = known[0].identity if known else desk.agent()
    waiting: deque[tuple[int, Future[Answer]]] = deque()
    with (folder / "acknowledged").open("a", encoding="ascii") as log:
        print("ready", flush=True)
        while True:
            at, name = clock.forward(1), address(sequence)
            seen = state(f"ports-{sequence % 5}", host(name), service(name, 22), covers("10.0.0.0/8"), at=at)
            line = measured("line", "bandwidth", {"download_bps": float(sequence)}, at=at)
            report = Report(agent.id, SPOOL, sequence, f"batch-{sequence}", at, "test", (seen, line))
            waiting.append((sequence, submit(desk.core, agent, report, at)))
            sequence += 1
            if len(waiting) > UNDER_WAY:
                number, future = waiting.popleft()
                future.result()
                log.write(f"{number}\n")
                log.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
