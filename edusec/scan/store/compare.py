"""Finds the scans that a scan is to be compared with: those of the same targets, one run, or a file."""

import json
from collections.abc import Sequence
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import read_input
from edusec.local.places import scans_file
from edusec.scan.result.drift import counted, drift
from edusec.scan.result.lines import RUN, SUMMARY, Line
from edusec.scan.store import results
from edusec.scan.store.checked import check
from wire.text import TextError

_LEAST_HISTORY = 10


def compared(found: Sequence[Line], before: Sequence[Line] | None, confirm: int) -> list[Line]:
    """Give the lines of a scan with what drifted put before its summary.

    `before` is the one scan to compare with; without it those of the same targets that are kept are the measure.
    """
    run = next(line for line in found if line["type"] == RUN)
    history = [before] if before else results.history(scans_file(), run, max(_LEAST_HISTORY, 2 * confirm))
    changes = drift(history, found, confirm)
    *rest, summary = found
    return [*rest, *changes, {**summary, "drift": {"against": len(history), **counted(changes)}}]


def earlier(against: str) -> list[Line]:
    """Read the scan to compare with: a file of JSON Lines, else the kept run whose id begins so; raises Stop."""
    file = Path(against)
    if file.exists() or "/" in against or "." in against:
        return _file(file)
    return results.last(scans_file(), against)


def _file(file: Path) -> list[Line]:
    lines: list[Line] = []
    for number, text in enumerate(read_input(file).decode("utf-8-sig", "replace").splitlines(), 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            raise Stop(t(f"{file}:{number}：不是 JSON 的一行", f"{file}:{number}: is no line of JSON")) from None
        try:
            check(line)
        except TextError as error:
            raise Stop(f"{file}:{number}: {error.text(current())}") from None
        lines.append(line)
    if not lines or lines[0]["type"] != RUN or lines[-1]["type"] != SUMMARY:
        raise Stop(
            t(
                f"{file}：不是一次扫描的结果（首行 type 须为 {RUN}，末行须为 {SUMMARY}）",
                f"{file}: is not the result of a scan (the first line has the type {RUN}, the last one {SUMMARY})",
            )
        )
    return lines
