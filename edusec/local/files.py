"""Reading and writing operators' files: bounded, and never half written."""

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t

MAX_INPUT_BYTES = 32 << 20
_MOST_LINKS = 40


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
    """Write a file so that its name holds either the old content or the whole new one; rights follow the umask.

    Raises Stop for a link that somebody else left in a folder where everybody may write.
    """
    target = followed(file)
    if file.exists() and not file.is_file():
        file.write_bytes(content)  # a pipe or a device such as /dev/null has no "whole"
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


def followed(file: Path) -> Path:
    """Give what a name leads to; links are followed as the kernel does it (proc_sys_fs(5), protected_symlinks)."""
    for _ in range(_MOST_LINKS):
        if not file.is_symlink():
            return file.parent.resolve() / file.name
        _refuse_strangers(file)
        file = file.parent / file.readlink()
    raise Stop(t(f"{file}：链接成环", f"{file}: links in a circle"))


def require_own(file: Path) -> None:
    """Raise Stop for a file that somebody else left in a folder where everybody may write; none at all is fine."""
    target = followed(file)
    if target.exists():
        _refuse_strangers(target)


def _refuse_strangers(file: Path) -> None:
    folder = file.parent.stat()
    if folder.st_mode & stat.S_IWOTH and file.lstat().st_uid not in (os.geteuid(), folder.st_uid):
        raise Stop(t(f"{file}：是他人在共用目录中留下的", f"{file}: somebody else left it in a shared folder"))


def make_private(file: Path) -> None:
    """Make an empty file that nobody else may read, and its folder, where there is none yet; raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def deliver(content: bytes, file: Path | None) -> None:
    """Hand data over: into a file if one is named, else to standard output."""
    if file is not None:
        write_atomically(file, content)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
