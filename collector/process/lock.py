"""One collector to a data folder: an advisory lock that the kernel lets go of when its holder dies."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import ClassVar, Self

from wire.errors import EdusecError
from wire.text import Text


class DataInUse(EdusecError):
    """Another process works on the data folder."""


class DataLock:
    """Holds a data folder while it is entered; raises DataInUse when another process does."""

    NAME: ClassVar[str] = "lock"

    def __init__(self, data: Path) -> None:
        """Prepare the lock of a folder."""
        self._path = data / self.NAME
        self._handle = -1

    def __enter__(self) -> Self:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._handle, 32).decode("ascii", "replace").strip()
            os.close(self._handle)
            folder = self._path.parent
            raise DataInUse(
                Text(
                    f"{folder}：正由进程 {holder or '未知'} 使用；请先停止那个采集中心",
                    f"{folder}: is in use by process {holder or 'unknown'}; stop that collector first",
                )
            ) from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, 0)
        os.close(self._handle)
