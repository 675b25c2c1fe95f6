"""Self-check: what is wrong on this machine, and the exact command that mends it."""

import os
import shutil
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http.client import HTTPException, HTTPSConnection
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from edusec import places
from edusec.client import Collector, Profile, find_profile, load_profile
from edusec.exits import Stop
from edusec.lang import t
from probes.kit.errors import ScopeError
from probes.kit.scope_file import read_entries

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
_SCOPE_WARN_DAYS = 14
_CERTIFICATE_WARN_DAYS = 30
_CLOCK_TOLERANCE = timedelta(minutes=5)
_DISK_FAIL, _DISK_WARN = 100 << 20, 1 << 30
_CAP_NET_RAW = 13
_MIN_FILES = 1024
_PROBE_SECONDS = 5


class State(StrEnum):
    """What came of one check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Line(NamedTuple):
    """One line of the self-check; a line that failed always has the command that mends it."""

    check: str
    state: State
    detail: str
    fix: str = ""


Check = Callable[[], Iterator[Line]]


def python() -> Iterator[Line]:
    """Check the interpreter, and that it is in a venv of its own."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.prefix == sys.base_prefix:
        yield Line(
            "python",
            State.WARN,
            t(f"{version}，不在独立的 venv 中", f"{version}, not in a venv of its own"),
            f"{sys.executable} -m venv ~/edusec && ~/edusec/bin/pip install 'edusec[collector]'",
        )
    else:
        yield Line("python", State.OK, f"{version} ({sys.prefix})")


def packages() -> Iterator[Line]:
    """Check that no other distribution brings a package of the same name, and that all rooms come from one place."""
    brought = packages_distributions()
    home = Path(__file__).parents[1]
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
                f"{sys.executable} -m pip install 'edusec[{extra}]'",
            )


def scope() -> Iterator[Line]:
    """Check the scope file and its dates."""
    file, today = places.scope_file(), datetime.now(UTC).date()
    try:
        entries = read_entries(file, today)
    except ScopeError as error:
        yield Line("scope", State.FAIL, "; ".join(error.problems), f"chmod 600 {file} && ${{EDITOR:-vi}} {file}")
        return
    if not entries:
        yield Line("scope", State.OK, t("仅本机", "this machine only"))
    for entry in entries:
        if entry.until is None or entry.until < today:
            yield Line(
                "scope",
                State.WARN,
                t(f"{entry.value} 已于 {entry.until} 过期", f"{entry.value} expired on {entry.until}"),
                f"edusec scope remove {entry.value}",
            )
        elif entry.until <= today + timedelta(_SCOPE_WARN_DAYS):
            yield Line(
                "scope",
                State.WARN,
                t(f"{entry.value} 将于 {entry.until} 到期", f"{entry.value} ends on {entry.until}"),
                f"edusec scope add {entry.value} --authoriser NAME --reason TEXT --until {today + timedelta(180)}"
                + (f" --ports {entry.ports}" if entry.ports else ""),
            )
        else:
            yield Line("scope", State.OK, t(f"{entry.value} 至 {entry.until}", f"{entry.value} until {entry.until}"))


def collector() -> Iterator[Line]:
    """Check the operator profile, the way to the collector, its certificate and the clocks."""
    try:
        profile = load_profile(find_profile(None))
    except Stop as stop:
        exists = places.operator_file().exists()
        yield Line("collector", State.FAIL if exists else State.UNKNOWN, str(stop), "edusec up")
        return
    try:
        served = _look(profile)
    except (OSError, HTTPException) as error:
        yield Line("collector", State.FAIL, f"{profile.url}: {error}", _start_command(profile))
        for check in ("certificate", "clock", "operator token"):
            yield Line(check, State.UNKNOWN, t("采集中心不可达", "the collector cannot be reached"))
        return
    yield Line("collector", State.OK, profile.url)
    yield _certificate(profile, served.expires)
    yield _clock(served.skew)
    try:
        with Collector(profile) as connection:
            connection.get("/api/v1/units")
    except Stop as stop:
        yield Line("operator token", State.FAIL, str(stop), _renew_command(profile))
    else:
        yield Line("operator token", State.OK, str(profile.file))


class _Served(NamedTuple):
    expires: datetime | None
    skew: timedelta | None


def _look(profile: Profile) -> _Served:
    parts = urlsplit(profile.url)
    trust = ssl.create_default_context(cafile=profile.ca)
    connection = HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=_PROBE_SECONDS, context=trust)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)  # noqa: S101 (what HTTPSConnection.connect makes)
        certificate = connection.sock.getpeercert() or {}
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read(4096)
        stated, now = response.headers.get("Date"), datetime.now(UTC)
    finally:
        connection.close()
    ends = certificate.get("notAfter")
    return _Served(
        datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None,
        now - parsedate_to_datetime(stated) if stated else None,
    )


def _certificate(profile: Profile, expires: datetime | None) -> Line:
    if expires is None:
        return Line("certificate", State.UNKNOWN, t("没有截止时间", "no end date"))
    left = (expires - datetime.now(UTC)).days
    state = State.OK if left > _CERTIFICATE_WARN_DAYS else State.WARN
    return Line(
        "certificate",
        state,
        t(f"有效至 {expires:%Y-%m-%d}（还有 {left} 天）", f"valid until {expires:%Y-%m-%d} ({left} days)"),
        "" if state is State.OK else _start_command(profile),
    )


def _clock(skew: timedelta | None) -> Line:
    if skew is None:
        return Line("clock", State.UNKNOWN, t("采集中心没有说时间", "the collector tells no time"))
    seconds = round(skew.total_seconds())
    state = State.OK if abs(skew) <= _CLOCK_TOLERANCE else State.FAIL
    said = t(f"与采集中心相差 {seconds} 秒", f"{seconds} s from the collector's")
    return Line("clock", state, said, "" if state is State.OK else "timedatectl set-ntp true")


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
    """Say whether this machine has IPv6 itself: a global address and a default route."""
    try:
        addresses = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
        routes = Path("/proc/net/ipv6_route").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        yield Line(
            "ipv6",
            State.WARN,
            t("内核未启用 IPv6", "the kernel has no IPv6"),
            "sysctl -w net.ipv6.conf.all.disable_ipv6=0",
        )
        return
    except OSError as error:
        yield Line("ipv6", State.UNKNOWN, str(error))
        return
    has_address = any(line.split()[3] == "00" for line in addresses)
    has_route = any(line.startswith(f"{'0' * 32} 00 ") and line.split()[-1] != "lo" for line in routes)
    if has_address and has_route:
        yield Line("ipv6", State.OK, t("有全球地址和默认路由", "global address and default route"))
    else:
        missing = t("没有全球地址", "no global address") if not has_address else t("没有默认路由", "no default route")
        yield Line("ipv6", State.WARN, missing, "edusec probe run ipv6_reachability")


def disk() -> Iterator[Line]:
    """Check that results can be written."""
    folder = places.data_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        yield Line(
            "disk",
            State.WARN,
            t(f"{existing} 不可写，扫描结果不会保存", f"{existing} cannot be written, scans are not kept"),
            "export EDUSEC_SCANS=/var/tmp/edusec-scans.db",
        )
        return
    free = shutil.disk_usage(existing).free
    state = State.FAIL if free < _DISK_FAIL else State.WARN if free < _DISK_WARN else State.OK
    said = t(f"{existing} 剩余 {free >> 20} MiB", f"{free >> 20} MiB free at {existing}")
    yield Line("disk", state, said, "" if state is State.OK else f"du -xh {existing} | sort -h | tail")


def limits() -> Iterator[Line]:
    """Check how many sockets a scan may open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= _MIN_FILES
    mend = f"ulimit -n {_MIN_FILES}"
    if hard != resource.RLIM_INFINITY and hard < _MIN_FILES:
        mend = f"sudo prlimit --pid $$ --nofile={_MIN_FILES}:{_MIN_FILES}"
    said = t(f"可打开文件数 {soft}（上限 {hard}）", f"{soft} open files (at most {hard})")
    yield Line("limits", State.OK if enough else State.WARN, said, "" if enough else mend)


def _start_command(profile: Profile) -> str:
    if profile.file == places.up_folder() / "operator.toml":
        return "edusec up"
    host = urlsplit(profile.url).hostname or ""
    if (profile.file.parent / "collector.toml").exists():
        return f"edusec collector run --data {profile.file.parent}"
    if _is_here(host):
        return "edusec collector run --data /var/lib/edusec/collector"
    return f"curl --cacert {profile.ca} {profile.url}/healthz"


def _renew_command(profile: Profile) -> str:
    return f"${{EDITOR:-vi}} {profile.file}"


def _is_here(host: str) -> bool:
    if host in {"localhost", "127.0.0.1", "::1"}:
        return True
    return host == socket.gethostname()


CHECKS: tuple[Check, ...] = (python, packages, extras, scope, collector, privileges, ipv6, disk, limits)


def examine() -> Iterator[Line]:
    """Run every check, one after another."""
    for check in CHECKS:
        yield from check()
