"""The helper process: a fork of its caller that does one job and says lines about it, and never returns.

A fork is there within milliseconds, where another interpreter takes a tenth of a second to start. It ends with its
parent, when its time is over, or when it is done; exit status 0 after a job well done, else 1. Its sockets end with it,
and it makes nothing else that could be left behind.
"""

import fcntl
import gc
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from probes.kit.errors import CannotRun, ScopeError
from probes.kit.raw.helper.messages import BadJob, Failed, Failure
from probes.kit.raw.helper.outlet import Outlet, ParentGone
from probes.kit.raw.helper.privilege import bind_life_to_parent, limit
from probes.kit.raw.syscalls import name_process, use_net_raw

Work = Callable[[Outlet], None]
"""A job: opens its sockets, gives up all privileges, says what comes of it.

It raises BadJob, CannotRun, ScopeError, OSError or ParentGone.
"""
NAME = "edusec-raw"
"""What `ps` calls the helper."""
_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper that was started: its process id, the pipe whose end is its end, and the pipe with its lines."""

    pid: int
    lifeline: int
    said: int


def start(work: Work, seconds: float, errors: int) -> Helper:
    """Fork a helper that may take so many seconds and leaves its last words at the descriptor `errors`.

    None of its caller's other descriptors stays open in it. Raises OSError where this machine is short of something.
    """
    ends: list[int] = []
    try:
        ends += os.pipe()
        ends += os.pipe()
        parent = os.getpid()
        pid = os.fork()
    except OSError:
        for end in ends:
            os.close(end)
        raise
    lifeline, lifeline_in, said, said_in = ends
    if pid == 0:
        _live(work, seconds, (lifeline, said_in, errors), parent)
    os.close(lifeline)
    os.close(said_in)
    return Helper(pid, lifeline_in, said)


def _live(work: Work, seconds: float, standard: tuple[int, int, int], parent: int) -> NoReturn:
    status = 1
    try:
        # Ctrl-C reaches the whole foreground group; the parent decides, and its end is ours.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        # What the caller left is never collected here: that would close its descriptors, whose numbers are ours now.
        gc.freeze()
        for place, source in enumerate([fcntl.fcntl(end, fcntl.F_DUPFD, 3) for end in standard]):
            os.dup2(source, place)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        name_process(NAME)
        if bind_life_to_parent(parent):
            limit(seconds + _GRACE_SECONDS)
            use_net_raw()
            status = _do(work)
    except BaseException:  # noqa: BLE001 (nothing may lead back into the caller's code)
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _do(work: Work) -> int:
    outlet = Outlet(1, 0)
    failure = ""
    try:
        try:
            work(outlet)
        except (BadJob, ScopeError, CannotRun) as error:
            failure = str(error)
        except OSError as error:
            failure = f"the network failed: {error.strerror or error}"
        if failure:
            outlet.say(Failure(Failed(failure[:1024])))
        outlet.finish(_GRACE_SECONDS)
    except ParentGone:
        return 1
    return 1 if failure else 0
