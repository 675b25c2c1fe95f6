"""The door to the helper's work on whole links: start it for one job and read what it says."""

import contextlib
from collections.abc import Generator
from functools import partial

from probes.kit.raw.helper.client import hear, unreadable
from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.link.messages import Heard, LinkDone, LinkJob, LinkSaid, read_heard

LinkEvent = Heard | Progress | LinkDone


def find_hosts(job: LinkJob) -> Generator[LinkEvent, None, None]:
    """Start the helper for a job and yield what it says, LinkDone last; closing the iterator ends the helper.

    Raises CannotRun when it fails, also for want of CAP_NET_RAW (see `helper.client.why_not`).
    """
    from probes.kit.raw.link.work import work_on_links

    with contextlib.closing(hear(partial(work_on_links, job), job.seconds, LinkSaid)) as lines:
        for said in lines:
            try:
                heard = [read_heard(text) for text in said.heard]
            except ValueError as error:
                raise unreadable(error) from None
            yield from heard
            if said.progress is not None:
                yield said.progress
            if said.done is not None:
                yield said.done
