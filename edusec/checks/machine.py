"""This machine: the interpreter, the packages, privileges, IPv6, disk and limits."""

import os
import resource
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from edusec.checks.line import Line, State
from edusec.lang import current, t
from edusec.local import places
from probes.kit.ipv6.vantage.gate import check_addresses, check_route
from probes.kit.reasons import explain
from wire.installed import command_for
from wire.types import Outcome

ROOMS = ("edusec", "agent", "collector", "probes", "rules", "wire")
EXTRAS = {
    "cli": ("typer", "rich", "sqlite_utils"),
    "collector": (
        "litestar",
        "msgspec",
        "uvicorn",
        "sqlalchemy",
        "alembic",
        "openpyxl",
        "xlsxwriter",
        "prometheus_client",
    ),
    "raw": ("scapy",),
    "snmp": ("pysnmp",),
}
_OPTIONAL = {"raw", "snmp"}
_DISK_FAIL, _DISK_WARN = 100 << 20, 1 << 30
_CAP_NET_RAW = 13
_MIN_FILES = 1024
# A school without IPv6 is a finding about its network, not a fault of this installation.
_STATES = {Outcome.PASS: State.OK, Outcome.WARN: State.WARN, Outcome.FAIL: State.WARN}


def python() -> Iterator[Line]:
    """Check the interpreter, and that it is in a venv of its own."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.prefix == sys.base_prefix:
        yield Line(
            "python",
            State.WARN,
            t(f"{version}，不在独立的 venv 中", f"{version}, not in a venv of its own"),
            f"{sys.executable} -m venv ~/edusec && "
            + command_for("collector").replace(shlex.quote(sys.executable), "~/edusec/bin/python", 1),
        )
    else:
        yield Line("python", State.OK, f"{version} ({sys.prefix})")


def packages() -> Iterator[Line]:
    """Check that no other distribution brings a package of the same name, and that all rooms come from one place."""
    brought = packages_distributions()
    home = Path(__file__).parents[2]
    for room in ROOMS:
        others = sorted(set(brought.get(room, ())) - {"edusec"})
        spec = find_spec(room)
        origin = Path(spec.origin).parents[1] if spec and spec.origin else None
        if others:
            yield Line(
                "packages",
                State.FAIL,
                t(f"{room} 也由 {', '.join(others)} 提供", f"{room} is also brought by {', '.join(others)}"),
                f"{sys.executable} -m pip uninstall {' '.join(others)}",
            )
        elif origin != home:
            yield Line(
                "packages",
                State.FAIL,
                t(f"{room} 来自 {origin}，不是 {home}", f"{room} comes from {origin}, not from {home}"),
                f"cd / && env -u PYTHONPATH {sys.executable} -P -m edusec doctor",
            )
    yield Line("packages", State.OK, str(home))


def extras() -> Iterator[Line]:
    """Check which extras are complete."""
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if not missing:
            yield Line(f"extra {extra}", State.OK, t("已安装", "installed"))
        else:
            yield Line(
                f"extra {extra}",
                State.OK if extra in _OPTIONAL else State.WARN,
                t(f"未安装（{', '.join(missing)}）", f"not installed ({', '.join(missing)})"),
                command_for(extra),
            )


def privileges() -> Iterator[Line]:
    """Say whether raw sockets may be used; nothing needs them by default."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        held = int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
    except (OSError, StopIteration, ValueError):
        yield Line("privileges", State.UNKNOWN, "/proc/self/status")
        return
    may = bool(held >> _CAP_NET_RAW & 1)
    yield Line(
        "privileges",
        State.OK,
        t("可用原始套接字", "raw sockets possible")
        if may
        else t("普通用户（默认探测足够）", "ordinary user (enough by default)"),
    )


def ipv6() -> Iterator[Line]:
    """Say whether this machine has IPv6 itself, as the probe of that name would; nothing is sent."""
    for check in (check_addresses(), check_route()):
        state = _STATES.get(check.outcome, State.UNKNOWN)
        said = explain(check.reason, current()) if check.reason else t("可用", "works")
        mend = "" if state is State.OK else "edusec probe run ipv6_reachability"
        yield Line("ipv6", state, f"{check.id}: {said}", mend)


def disk() -> Iterator[Line]:
    """Check that results can be written."""
    folder = places.data_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        yield Line(
            "disk",
            State.WARN,
            t(f"{existing} 不可写，扫描结果不会保存", f"{existing} cannot be written, scans are not kept"),
            "mkdir -m 700 /var/tmp/edusec-$UID && export EDUSEC_SCANS=/var/tmp/edusec-$UID/scans.db",
        )
        return
    free = shutil.disk_usage(existing).free
    state = State.FAIL if free < _DISK_FAIL else State.WARN if free < _DISK_WARN else State.OK
    said = t(f"{existing} 剩余 {free >> 20} MiB", f"{free >> 20} MiB free at {existing}")
    yield Line("disk", state, said, "" if state is State.OK else f"du -xh {existing} | sort -h | tail")


def limits() -> Iterator[Line]:
    """Check how many sockets a scan may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= _MIN_FILES
    mend = f"ulimit -n {_MIN_FILES}"
    if hard != resource.RLIM_INFINITY and hard < _MIN_FILES:
        mend = f"sudo prlimit --pid $$ --nofile={_MIN_FILES}:{_MIN_FILES}"
    said = t(f"可打开文件数 {soft}（上限 {hard}）", f"{soft} open files (at most {hard})")
    yield Line("limits", State.OK if enough else State.WARN, said, "" if enough else mend)
