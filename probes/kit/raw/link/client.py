"""The door to the helper's work on whole links: start it for one job and read what it says."""

import contextlib
from collections.abc import Generator, Iterator
from functools import partial

from probes.kit.errors import CannotRun
from probes.kit.raw.client import lines
from probes.kit.raw.link.messages import Heard, LinkDone, LinkJob, LinkSaid, read_heard
from probes.kit.raw.messages import MAX_LINE_BYTES, Progress
from wire.codec import decode
from wire.errors import WireError

LinkEvent = Heard | Progress | LinkDone
_UNREADABLE = "the helper that asks on links said something that cannot be read"


def find_hosts(job: LinkJob) -> Generator[LinkEvent, None, None]:
    """Start the helper for a job and yield what it says, LinkDone last; closing the iterator ends the helper.

    Raises CannotRun when it fails, also for want of CAP_NET_RAW (see `client.why_not`).
    """
    from probes.kit.raw.link.work import work_on_links

    with contextlib.closing(lines(partial(work_on_links, job), job.seconds)) as said:
        for line in said:
            yield from _events(line)


def _events(line: bytes) -> Iterator[LinkEvent]:
    try:
        said = decode(LinkSaid, line, MAX_LINE_BYTES)
        if said.failed is not None:
            raise CannotRun(said.failed.text)
        for text in said.heard:
            yield read_heard(text)
    except (WireError, ValueError) as error:
        raise CannotRun(f"{_UNREADABLE}: {error}") from None
    if said.progress is not None:
        yield said.progress
    if said.done is not None:
        yield said.done
