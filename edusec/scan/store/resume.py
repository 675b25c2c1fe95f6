"""How the work of a scan is written into the journal, and how it is taken up again.

The authorised scope is that of the day on which it goes on: what ended meanwhile is not scanned any more.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edusec.declare.flags import check_options
from edusec.exits import Stop
from edusec.lang import t
from edusec.local.scopes import scope_of
from edusec.scan.request.asked import Asked
from edusec.scan.request.targets import read_targets
from edusec.scan.request.wanted import CAPS, PROBES, Part, Work, require_engine
from edusec.scan.request.whitelist import read_whitelist
from edusec.scan.store.journal import Unfinished, unfinished
from probes.kit.errors import READING
from probes.kit.scope.model import Scope
from rules.facts import UNKNOWN
from wire.types import Transport, Value


def written(work: Work) -> dict[str, Any]:
    """Write work as plain JSON."""
    asked = asdict(work.asked)
    del asked["scope"]
    parts = [
        {"transport": part.transport.value, "ports": part.ports, "options": dict(part.options)} for part in work.parts
    ]
    return {
        "prefixes": work.prefixes,
        "parts": parts,
        "asked": asked,
        "quiet_hours": work.quiet_hours,
        "caps": dict(work.caps),
    }


def find(file: Path, run: str) -> Unfinished:
    """Give the newest unfinished scan, or the one whose id begins with `run`; raises Stop when there is none.

    One that is still under way is left to the process that does it.
    """
    known = [scan for scan in unfinished(file) if scan.id.startswith(run)]
    idle = [scan for scan in known if not scan.running]
    if idle:
        return idle[0]
    if known:
        raise Stop(t(f"{known[0].id[:8]} 仍在运行", f"{known[0].id[:8]} is still running"))
    raise Stop(t("没有未完成的扫描可续", "there is no unfinished scan to resume"))


def taken_up(scan: Unfinished, scope: Path | None, seconds: float) -> Work:
    """Make the work of an unfinished scan anew, under today's scope; raises Stop when that does not allow it."""
    try:
        return _taken_up(scan, scope, seconds)
    except READING:
        raise Stop(t(f"{scan.id[:8]}：无法读取，请重新扫描", f"{scan.id[:8]}: cannot be read; scan anew")) from None


def _taken_up(scan: Unfinished, scope: Path | None, seconds: float) -> Work:
    today = datetime.now(UTC).date()
    asked = scan.asked["asked"]
    names: Mapping[str, str] = asked["names"]
    prefixes = tuple(map(str, scan.asked["prefixes"]))
    parts = tuple(map(_part, scan.asked["parts"]))
    quiet = tuple(map(str, scan.asked.get("quiet_hours", ())))
    caps = {name: value for name, value in scan.asked.get("caps", {}).items() if name in CAPS}
    allowed = scope_of(scope, today)
    if names:
        from edusec.scan.request.names import lend

        allowed = Scope((*allowed.entries, *lend(names, allowed, today)), allowed.file)
    read_targets(prefixes, allowed, today)
    for part in parts:
        check_options(part.probe, part.options)
    check_options(PROBES[Transport.TCP], caps)
    require_engine(parts)
    whitelist = read_whitelist(Path(asked["whitelist"])) if asked["whitelist"] else ()
    again = Asked(
        targets=tuple(asked["targets"]),
        names=names,
        ports=asked["ports"],
        udp=asked["udp"],
        scope=allowed.entries,
        whitelist=asked["whitelist"],
        exclude=tuple(asked["exclude"]),
        profile=asked["profile"],
        vantage=str(asked.get("vantage", UNKNOWN)),
    )
    return Work(prefixes, parts, allowed, seconds, again, whitelist, today, quiet, caps)


def _part(plain: Mapping[str, Any]) -> Part:
    options: dict[str, Value] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain["options"].items()
    }
    return Part(Transport(plain["transport"]), str(plain["ports"]), options)
