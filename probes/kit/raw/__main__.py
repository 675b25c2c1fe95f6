"""The helper process: `python -P -m probes.kit.raw`, a job on standard input, lines on standard output.

It ends with its parent, at the job's deadline, or when it is done; exit status 0 when `done` was said, else 1. Its
sockets end with it, and it makes nothing else that could be left behind.
"""

import os
import signal
import sys
from typing import Any

from probes.kit.errors import CannotRun, ScopeError
from probes.kit.raw.link_messages import LINK_JOB_SCHEMA, LinkJob
from probes.kit.raw.messages import JOB_SCHEMA, MAX_JOB_BYTES, Failed, Job, Said
from probes.kit.raw.outlet import Outlet, ParentGone
from probes.kit.raw.plan import BadJob
from probes.kit.raw.privilege import bind_life_to_parent, limit
from wire.codec import from_plain, parse_json
from wire.errors import TooLarge, WireError

_JOB_SECONDS = 30.0
_GRACE_SECONDS = 30.0


def main() -> int:
    """Read the job, do it, say how it went."""
    # Ctrl-C reaches the whole foreground group; the parent decides, and its end is ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not bind_life_to_parent(os.getppid()):
        return 1
    limit(_JOB_SECONDS)
    raw = _read_job()
    outlet = Outlet(sys.stdout.fileno(), sys.stdin.fileno())
    try:
        try:
            if len(raw) > MAX_JOB_BYTES:
                raise TooLarge("job", MAX_JOB_BYTES)
            _do(parse_json(raw), outlet)
            failure = ""
        except (WireError, BadJob, ScopeError, CannotRun) as error:
            failure = str(error)
        except OSError as error:
            failure = f"the network failed: {error.strerror or error}"
        if failure:
            outlet.say(Said(failed=Failed(failure[:1024])))
        outlet.finish(_GRACE_SECONDS)
    except ParentGone:
        return 1
    return 1 if failure else 0


def _do(plain: Any, outlet: Outlet) -> None:
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if schema == LINK_JOB_SCHEMA:
        from probes.kit.raw.link_work import work_on_links

        link_job = from_plain(LinkJob, plain)
        limit(link_job.seconds + _GRACE_SECONDS)
        work_on_links(link_job, outlet)
        return
    if schema != JOB_SCHEMA:
        from probes.kit.ipv6.lan.messages import LISTEN_SCHEMA, ListenJob

        if schema == LISTEN_SCHEMA:
            from probes.kit.ipv6.lan.listen import listen

            listen_job = from_plain(ListenJob, plain)
            limit(listen_job.seconds + _GRACE_SECONDS)
            listen(listen_job, outlet)
            return
    from probes.kit.raw.helper import work

    job = from_plain(Job, plain)
    limit(job.seconds + _GRACE_SECONDS)
    work(job, outlet)


def _read_job() -> bytes:
    # Read by hand: the line ends the job, but the pipe stays open as a lifeline.
    raw = bytearray()
    while not raw.endswith(b"\n") and len(raw) <= MAX_JOB_BYTES:
        part = os.read(sys.stdin.fileno(), 1 << 16)
        if not part:
            break
        raw += part
    return bytes(raw)


if __name__ == "__main__":
    sys.exit(main())
