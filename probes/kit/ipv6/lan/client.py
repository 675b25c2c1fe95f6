"""The door to the helper that listens: start it for one job and read what it heard."""

import contextlib
from collections.abc import Generator
from functools import partial

from probes.kit.errors import CannotRun
from probes.kit.ipv6.lan.messages import MAX_LINES, MAX_LINKS, HeardOnLink, Hosts, ListenJob, ListenSaid
from probes.kit.raw.client import lines
from probes.kit.raw.messages import MAX_LINE_BYTES
from wire.codec import decode
from wire.errors import WireError

Event = Hosts | HeardOnLink | float
_UNREADABLE = "the helper that listens said something that cannot be read"


def listen(job: ListenJob) -> Generator[Event, None, None]:
    """Start the helper for a job and yield what it says: seconds waited, then hosts and one line for each link.

    Raises CannotRun when it fails, also for want of CAP_NET_RAW (see `raw.client.why_not`).
    """
    from probes.kit.ipv6.lan.listen import listen as work

    said_so_far = 0
    with contextlib.closing(lines(partial(work, job), job.seconds)) as said_lines:
        for line in said_lines:
            try:
                said = decode(ListenSaid, line, MAX_LINE_BYTES)
            except WireError as error:
                raise CannotRun(f"{_UNREADABLE}: {error}") from None
            if said.failed is not None:
                raise CannotRun(said.failed.text)
            if said.waited is not None:
                yield said.waited
                continue
            said_so_far += 1
            if said_so_far > MAX_LINKS * (MAX_LINES + 1):
                raise CannotRun(f"{_UNREADABLE}: too much")
            if said.hosts is not None:
                yield said.hosts
            if said.heard is not None:
                yield said.heard
