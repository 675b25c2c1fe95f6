"""How the work of a scan is written into the journal, and how it is taken up again.

The authorised scope is that of the day on which it goes on: what ended meanwhile is not scanned any more.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edusec.exits import Stop
from edusec.flags import check_options
from edusec.lang import t
from edusec.places import scope_file
from edusec.scan.journal import Unfinished, unfinished
from edusec.scan.lines import Asked
from edusec.scan.targets import read_targets
from edusec.scan.wanted import Part, Work
from edusec.scan.whitelist import read_whitelist
from probes.kit.scope import Scope
from probes.kit.scope_file import load_scope
from wire.types import Transport, Value


def written(work: Work) -> dict[str, Any]:
    """Write work as plain JSON."""
    asked = asdict(work.asked)
    del asked["scope"]
    parts = [
        {"transport": part.transport.value, "ports": part.ports, "options": dict(part.options)} for part in work.parts
    ]
    return {"prefixes": work.prefixes, "parts": parts, "asked": asked}


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
    today = datetime.now(UTC).date()
    try:
        asked = scan.asked["asked"]
        names: Mapping[str, str] = asked["names"]
        prefixes = tuple(map(str, scan.asked["prefixes"]))
        parts = tuple(map(_part, scan.asked["parts"]))
    except (KeyError, TypeError, ValueError):
        raise Stop(t(f"{scan.id[:8]}：无法读取，请重新扫描", f"{scan.id[:8]}: cannot be read; scan anew")) from None
    allowed = load_scope(scope or scope_file(), today)
    if names:
        from edusec.scan.names import lend

        allowed = Scope((*allowed.entries, *lend(names, allowed, today)))
    read_targets(prefixes, allowed, today)
    for part in parts:
        check_options(part.probe, part.options)
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
    )
    return Work(prefixes, parts, allowed.entries, seconds, again, whitelist, today)


def _part(plain: Mapping[str, Any]) -> Part:
    options: dict[str, Value] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain["options"].items()
    }
    return Part(Transport(plain["transport"]), str(plain["ports"]), options)
