"""Starts our own modules as processes, and ends them with all that they started."""

import contextlib
import os
import signal
import subprocess
import sys

# Nothing of the operator's environment reaches them but what it takes to find the programs and the local time.
_PASSED_ON = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "TZ", "LD_LIBRARY_PATH")


def start_python(module: str, descriptors: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
    """Start one of our own modules in a process and session of its own, with pipes and next to no environment.

    It inherits no descriptors but those named.
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    environment.update((name, os.environ[name]) for name in _PASSED_ON if name in os.environ)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        close_fds=True,
        pass_fds=descriptors,
        start_new_session=True,
        env=environment,
    )


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process of ours and its group, if it has not ended yet, and reap it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
