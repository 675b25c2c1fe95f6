"""Finds the scans that a scan is to be compared with: those of the same targets, one run, or a file."""

import json
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from edusec.exits import Stop
from edusec.files import read_input
from edusec.lang import t
from edusec.places import scans_file
from edusec.scan import store
from edusec.scan.drift import FACTS, Covered, counted, drift
from edusec.scan.lines import HOST, RUN, SCHEMA, SERVICE, SUMMARY, Line
from wire.ports import parse_ports

_LEAST_HISTORY = 10


def compared(found: Sequence[Line], against: str, confirm: int) -> list[Line]:
    """Give the lines of a scan with what drifted put before its summary.

    `against` names one run or file; without it the scans of the same targets that are kept are the measure. Raises Stop
    when there is no such run or file.
    """
    run = next(line for line in found if line["type"] == RUN)
    if against:
        history = [earlier(against)]
    else:
        history = store.history(scans_file(), run, max(_LEAST_HISTORY, 2 * confirm))
    changes = drift(history, found, confirm)
    *rest, summary = found
    return [*rest, *changes, {**summary, "drift": {"against": len(history), **counted(changes)}}]


def earlier(against: str) -> list[Line]:
    """Read the scan to compare with: a file of JSON Lines, else the kept run whose id begins so."""
    file = Path(against)
    if file.exists() or "/" in against or "." in against:
        return _file(file)
    return store.last(scans_file(), against)


def _file(file: Path) -> list[Line]:
    lines: list[Line] = []
    for number, text in enumerate(read_input(file).decode("utf-8-sig", "replace").splitlines(), 1):
        try:
            line = json.loads(text)
            _check(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Stop(
                t(f"{file}:{number}：不是 {SCHEMA} 的一行", f"{file}:{number}: is no line of {SCHEMA}")
            ) from None
        lines.append(line)
    if not lines or lines[0]["type"] != RUN or lines[-1]["type"] != SUMMARY:
        raise Stop(t(f"{file}：不是一次扫描的结果", f"{file}: is not the result of a scan"))
    return lines


def _check(line: Line) -> None:
    """Look at what a comparison uses; raises ValueError, KeyError or TypeError for a line that cannot be compared."""
    if line["schema"] != SCHEMA:
        raise ValueError("another schema")
    if line["type"] == RUN:
        Covered(line["coverage"])
        if not isinstance(line["id"], str) or not isinstance(line["started"], str):
            raise ValueError("a run needs an id and a time")
    elif line["type"] in (HOST, SERVICE):
        ip_address(line["address"].partition("%")[0])
        parse_ports(line.get("closed") or "")
        needed = ("presence",) if line["type"] == HOST else FACTS
        if any(name not in line for name in needed):
            raise ValueError("a fact is missing")
        if line["type"] == SERVICE and (line["transport"] not in ("tcp", "udp") or type(line["port"]) is not int):
            raise ValueError("not a port")
