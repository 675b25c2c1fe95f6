"""The list of scans that the local file has: those that are done, and those that can be resumed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edusec.lang import t
from edusec.scan.store import journal, results
from edusec.scan.store.checked import undamaged
from edusec.terminal.listing import Column, show
from edusec.terminal.words import moment, word

SCHEMA = "edusec.scan-run/1"
_MOST_TARGETS = 60


def show_runs(file: Path, *, as_json: bool) -> None:
    """Print the scans, the newest first; raises Stop for a file that is no database."""
    columns = (
        Column("ID", lambda run: run["id"][:8]),
        Column(t("开始", "STARTED"), lambda run: moment(run["started"])),
        Column(t("目标", "TARGETS"), lambda run: " ".join(run["targets"])[:_MOST_TARGETS]),
        Column(t("状态", "STATUS"), lambda run: word(run["status"])),
        Column(t("主机", "HOSTS"), lambda run: "-" if run["hosts"] is None else run["hosts"]),
        Column(t("开放", "OPEN"), lambda run: "-" if run["open"] is None else run["open"]),
        Column(t("续扫", "RESUME"), _resume),
    )
    with undamaged(file):
        show(_runs(file), SCHEMA, columns, as_json=as_json)


def _runs(file: Path) -> Iterator[Mapping[str, Any]]:
    waiting = {scan.id: scan for scan in journal.unfinished(file)}
    done = {run["id"] for run, _ in results.listed(file)}
    for scan in waiting.values():
        if scan.id not in done:
            yield {
                "id": scan.id,
                "started": scan.started,
                "targets": list(scan.asked.get("asked", {}).get("targets", [])),
                "status": "unknown",
                "hosts": None,
                "open": None,
                "resumable": not scan.running,
                "running": scan.running,
            }
    for run, summary in results.listed(file):
        again = waiting.get(run["id"])
        yield {
            "id": run["id"],
            "started": run["started"],
            "targets": run["targets"],
            "status": run["status"],
            "hosts": summary["hosts"],
            "open": summary["ports"].get("open", 0),
            "resumable": again is not None and not again.running,
            "running": again is not None and again.running,
        }


def _resume(run: Mapping[str, Any]) -> str:
    if run["running"]:
        return t("运行中", "running")
    return "--resume" if run["resumable"] else ""
