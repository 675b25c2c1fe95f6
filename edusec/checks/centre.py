"""The collector as this operator reaches it: profile, connection, certificate, clock, token."""

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from edusec.checks.line import Line, State
from edusec.client import Collector, Profile, find_profile, load_profile
from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local import places
from wire.faults import why
from wire.text import within

_CERTIFICATE_WARN_DAYS = 30
_CLOCK_TOLERANCE = timedelta(minutes=5)
_PROBE_SECONDS = 5


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
        yield Line("collector", State.FAIL, within(profile.url, why(error))(current()), _start_command(profile))
        for check in ("collector disk", "certificate", "clock", "operator token"):
            yield Line(check, State.UNKNOWN, t("采集中心不可达", "the collector cannot be reached"))
        return
    yield Line("collector", State.OK, profile.url)
    yield _disk(served.status)
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
    status: str
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
        status = _status(response.read(4096))
        stated, now = response.headers.get("Date"), datetime.now(UTC)
    finally:
        connection.close()
    ends = certificate.get("notAfter")
    return _Served(
        status,
        datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None,
        now - parsedate_to_datetime(stated) if stated else None,
    )


def _status(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["status"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _disk(status: str) -> Line:
    name = "collector disk"
    if status == "ok":
        return Line(name, State.OK, t("有足够的空间", "has room"))
    if status == "disk_low":
        said = t("几乎已满：暂不收报告，各代理先存着", "nearly full: reports are refused, agents keep them")
        return Line(name, State.FAIL, said, "df -h /var/lib/edusec/collector")
    return Line(name, State.UNKNOWN, t("采集中心没有说明", "the collector does not say"))


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
