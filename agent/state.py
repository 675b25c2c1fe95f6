"""The state folder: who may use it, and how its files are replaced so that a power cut leaves one that is whole."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from agent.errors import StateError
from wire.faults import reason
from wire.text import within

LOCK = "agent.lock"
IDENTITY = "identity.json"
POLICY = "policy.json"
SPOOL = "spool.db"


def prepare(folder: Path) -> None:
    """Make the folder if needed, for its owner only; raises StateError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StateError(
            f"{folder}：{reason(error).zh}；请以代理自己的用户运行，或用 --state 另选目录",
            f"{folder}: {reason(error).en}; run as the agent's own user, or choose another folder with --state",
        ) from None


def replace_file(path: Path, data: bytes) -> None:
    """Write a file for its owner only, in one step, durable on return; raises OSError and leaves the old one then.

    One writer at a time: the temporary file has one name, so that kills cannot fill the folder.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone; raises StateError naming the process that has it."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(*within(str(folder / LOCK), reason(error))) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(handle, 20).decode("ascii", "replace").strip()
            raise StateError(
                f"{folder}：已有代理在运行（进程 {pid}），请先停止它",
                f"{folder}: an agent works here already (process {pid}); stop it first",
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def holder(folder: Path) -> int | None:
    """Give the process id of the agent that works in a folder, or None."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(handle, 20).strip()
        return int(pid) if pid.isdigit() else 0
    finally:
        os.close(handle)
    return None
