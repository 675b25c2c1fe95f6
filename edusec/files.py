"""Reading and writing operators' files: bounded, and never half written."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t

MAX_INPUT_BYTES = 32 << 20


def read_input(file: Path) -> bytes:
    """Read a file that an operator named, at most 32 MiB; raises Stop that names it."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_INPUT_BYTES + 1)
    except FileNotFoundError:
        raise Stop(t(f"{file}：没有这个文件", f"{file}: there is no such file")) from None
    except IsADirectoryError:
        raise Stop(t(f"{file}：是目录，不是文件", f"{file}: is a folder, not a file")) from None
    if len(content) > MAX_INPUT_BYTES:
        raise Stop(t(f"{file}：超过 32 MiB", f"{file}: is larger than 32 MiB"))
    return content


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that its name holds either the old content or the whole new one; rights follow the umask."""
    target = file.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(content)  # a pipe or a device such as /dev/null has no "whole"
        return
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(stream.fileno(), 0o666 & ~umask)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def deliver(content: bytes, file: Path | None) -> None:
    """Hand data over: into a file if one is named, else to standard output."""
    if file is not None:
        write_atomically(file, content)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
