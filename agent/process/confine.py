"""What a probe's process gives up before it starts: limits, privileges, descriptors. Linux only, through prctl(2)."""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_LOWER = 3
_CAPABILITY_VERSION_3 = 0x20080522

CAP_NET_RAW = 13
SPARE_FILES = 64
"""Descriptors that a probe gets beyond its connections."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int = 0, *rest: int) -> None:
    libc = _libc()
    arguments = [ctypes.c_ulong(number) for number in (value, *rest, *(0,) * (3 - len(rest)))]
    if libc.prctl(option, *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends; ends it now if that has happened already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of whatever descendants leave behind, so that they can be found and ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def limit(memory: int, cpu_seconds: int, files: int) -> None:
    """Set limits that only go down: bytes of address space, seconds of CPU, open files; no core files."""
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_NOFILE, files),
    ):
        _, hard = resource.getrlimit(kind)
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (bound, bound))


def drop_privileges(keep: Iterable[int] = ()) -> None:
    """Give up every capability but those of `keep`, for good and also for what this process executes.

    Those of `keep` stay only where this process had them, and what it executes (a helper that sends raw packets) gets
    them too. Works for root as for a user with ambient capabilities.
    """
    kept = set(keep)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    permitted = _permitted()
    for number in range(_last_capability() + 1):
        if number not in kept:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_LOWER, number)
            # This takes CAP_SETPCAP; without it no_new_privs alone keeps them out.
            with contextlib.suppress(PermissionError):
                _prctl(_PR_CAPBSET_DROP, number)
    left = {number for number in kept if permitted >> number & 1}
    try:
        _set_capabilities(sum(1 << number for number in left))
    except PermissionError:
        # A service manager's system call filter may forbid capset; then it has given us nothing but this one.
        if permitted & ~(1 << CAP_NET_RAW):
            raise
        return
    for number in left:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 but those of `keep`."""
    low = 3
    for number in sorted(keep):
        os.closerange(low, number)
        low = max(low, number + 1)
    os.closerange(low, max(low, 1 << 20))


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:  # noqa: PTH123 (pathlib costs memory here)
        return int(file.read())


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _permitted() -> int:
    header, data = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    if _libc().capget(ctypes.byref(header), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capget: {os.strerror(number)}")
    return int(data[0].permitted) | int(data[1].permitted) << 32


def _set_capabilities(mask: int) -> None:
    header, data = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    for half in (0, 1):
        part = mask >> 32 * half & 0xFFFFFFFF
        data[half].effective = data[half].permitted = data[half].inheritable = part
    if _libc().capset(ctypes.byref(header), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
