"""A Linux kernel of its own as a plain process (user-mode Linux), for what the running kernel was built without.

It has no network card: nothing that happens in it can reach this machine's networks. It sees this machine's files, and
may write to none of them.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.support.debian import needs
from tests.support.processes import Processes, Running

_MODULES = "/usr/lib/uml/modules"
_END = "the command's exit status is "
_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/tmp
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs tmp /tmp && mount -t tmpfs run /run
mkdir -p /run/kernel/lib && ln -s {folder} /run/kernel/lib/modules && modprobe -d /run/kernel -a {modules}
cd {cwd} && {command}
echo "{end}$?"
echo o >/proc/sysrq-trigger
sleep 60
"""


def run(
    process: Processes, argv: Sequence[str | os.PathLike[str]], modules: Sequence[str], folder: Path
) -> tuple[int, Running]:
    """Boot, load kernel modules, run a command in the current folder as root, power off; its status, and the kernel.

    folder: for the kernel's own files. Skips the test where Debian's user-mode-linux or kmod is not installed.
    """
    kernel = needs("linux.uml", package="user-mode-linux")
    needs("modprobe", package="kmod")
    init = folder / "init"
    words = shlex.join(os.fspath(part) for part in argv)
    cwd = shlex.quote(str(Path.cwd()))
    script = _INIT.format(folder=_MODULES, modules=shlex.join(modules), cwd=cwd, command=words, end=_END)
    init.write_text(script, encoding="utf-8")
    init.chmod(0o755)
    root = ["rootfstype=hostfs", "rootflags=/", "root=/dev/root", "ro", f"init={init}"]
    running = process([kernel, "mem=512M", f"uml_dir={folder}", *root, "con=null", "con0=null,fd:1", "quiet"])
    running.wait(seconds=110)
    _, found, status = running.stdout.rpartition(_END)
    assert found, running.stdout
    return int(status.split()[0]), running
