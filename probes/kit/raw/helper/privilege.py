"""What the helper may do: open raw sockets, and after that nothing at all."""

import os
import resource
import signal

from probes.kit.raw.syscalls import die_with_parent, drop_capabilities
from probes.kit.reasons import because

NOT_ALLOWED = because("no_raw_packets", "CAP_NET_RAW")
"""Why a job cannot be done where raw sockets may not be opened."""
_NOBODY = 65534
_MEMORY = 1 << 30
_FILES = 1024


def bind_life_to_parent(parent: int) -> bool:
    """Die when the parent does; False when it is gone already."""
    die_with_parent(signal.SIGKILL)
    return os.getppid() == parent


def limit(seconds: float) -> None:
    """Bound time, further memory and open files; the kernel ends the process when its time is over."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # Bytes, as text would import a codec, whose lock another thread may have held when this process was forked.
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (pathlib costs memory here)
        held = int(file.read().split()[0]) * resource.getpagesize()
    for kind, wanted in (
        (resource.RLIMIT_AS, held + _MEMORY),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (bound, bound))


def give_up_all() -> None:
    """Become nobody without any capability; open sockets stay usable. To be called before packets are read."""
    parent = os.getppid()
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except OSError:
            pass  # a user namespace without that id: root without capabilities is what is left
    drop_capabilities()
    # A change of the user id undoes the wish to die with the parent.
    if not bind_life_to_parent(parent):
        raise SystemExit(1)
