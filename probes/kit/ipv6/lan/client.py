"""The door to the helper that listens: start it for one job and read what it heard."""

import contextlib
from collections.abc import Generator
from functools import partial

from probes.kit.ipv6.lan.messages import MAX_LINES, MAX_LINKS, HeardOnLink, Hosts, ListenJob, ListenSaid
from probes.kit.raw.helper.client import hear, unreadable

Event = Hosts | HeardOnLink | float


def listen(job: ListenJob) -> Generator[Event, None, None]:
    """Start the helper for a job and yield what it says: seconds waited, then hosts and one line for each link.

    Raises CannotRun when it fails, also for want of CAP_NET_RAW (see `raw.helper.client.why_not`).
    """
    from probes.kit.ipv6.lan.listen import listen as work

    said_so_far = 0
    with contextlib.closing(hear(partial(work, job), job.seconds, ListenSaid)) as lines:
        for said in lines:
            if said.waited is not None:
                yield said.waited
                continue
            said_so_far += 1
            if said_so_far > MAX_LINKS * (MAX_LINES + 1):
                raise unreadable("too much")
            if said.hosts is not None:
                yield said.hosts
            if said.heard is not None:
                yield said.heard
