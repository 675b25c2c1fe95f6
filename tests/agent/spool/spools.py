"""Spools for tests: opened, filled, and delivered as the uplink does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.spool.sections import MIN_BYTES, Spool
from wire.codec import decode, decompress
from wire.types import Report

TEMPLATE = Report("agent-1", "", 1, "", 1_800_000_000.0, "edusec/test", ())


@contextmanager
def spool(
    path: Path,
    max_bytes: int = MIN_BYTES,
    *,
    agent: str = "agent-1",
    unit: str = "640106",
    said: list[str] | None = None,
) -> Iterator[Spool]:
    """Open a spool for a while; `said` gets what it says when it has to begin anew."""
    opened = Spool(path, max_bytes, agent=agent, unit=unit, on_reset=(said if said is not None else []).append)
    try:
        yield opened
    finally:
        opened.close()


def report(opened: Spool, sequence: int) -> Report:
    """Read what would be sent."""
    return decode(Report, decompress(opened.payload(sequence)))


def deliver(opened: Spool) -> Report:
    """Seal, send and acknowledge one batch."""
    batch = opened.seal(TEMPLATE)
    sent = report(opened, batch.sequence)
    opened.acknowledge(batch.sequence)
    return sent
