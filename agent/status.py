"""What `status` shows: read from the state folder alone, so that it works whether the daemon runs or not."""

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from agent import policy, state, words
from agent.config import Config
from agent.errors import SpoolError
from agent.spool import file
from agent.tasks import plan
from agent.uplink import identity
from probes.kit.errors import ScopeError
from probes.kit.phrases.lookup import in_chinese
from probes.kit.reasons import explain
from probes.kit.scope.file import load_scope
from wire.errors import WireError
from wire.faults import why
from wire.text import Lang

SCHEMA = "edusec.agent-status/1"


def gather(config: Config) -> dict[str, Any]:
    """Read everything; raises StateError when the agent is not enrolled, SpoolError when the spool cannot be read."""
    who = identity.load(config.state)
    kept, problem = policy.load(config.state)
    whole = policy.NONE
    try:
        if kept.file is not None:
            whole = policy.read_whole(kept.file)
    except (OSError, WireError) as error:
        problem = str(error)
    try:
        scope: list[str] = [entry.value for entry in load_scope(config.scope).entries]
    except ScopeError as error:
        scope, problem = [], problem or str(error)
    spool, runs, notes = _spool(config)
    last_success = float(notes.get("last_success", "0"))
    return {
        "schema": SCHEMA,
        "agent": who.agent,
        "unit": who.unit,
        "unit_name": who.unit_name,
        "collector": who.url,
        "enrolled": _moment(who.enrolled),
        "pid": state.holder(config.state),
        "uplink": {
            "last_success": _moment(last_success),
            "last_failure": _moment(float(notes.get("last_failure", "0"))),
            "problem": notes.get("last_error") or None,
            "clock_skew_seconds": float(notes["skew"]) if "skew" in notes else None,
        },
        "spool": spool,
        "policy": {
            "digest": kept.head.digest or None,
            "whitelist": len(whole.whitelist),
            "targets": len(whole.targets),
            "tasks": len(whole.tasks),
            "report_interval": config.report_interval or kept.head.report_interval,
            "problem": problem or None,
        },
        "scope": scope,
        "tasks": [
            {"name": task.name, "probe": task.probe, "interval": task.interval, "last": runs.get(name)}
            for name, task in plan.effective(config, kept.head).items()
        ],
    }


def _spool(config: Config) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    path = config.state / state.SPOOL
    empty = {"sections": 0, "aside": 0, "bytes": 0, "limit": config.spool_bytes, "dropped": 0, "sequence": 0}
    if not path.exists():
        return empty, {}, {}
    try:
        db = file.open_read_only(path)
        try:
            facts = dict(db.execute("SELECT key, value FROM fact"))
            waiting, aside, size = db.execute(
                "SELECT count(*) FILTER (WHERE aside = ''), count(*) FILTER (WHERE aside != ''),"
                " coalesce(sum(size), 0) FROM section"
            ).fetchone()
            sequence = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'batch'").fetchone()[
                0
            ]
            runs = {
                row[0]: {
                    "status": row[1],
                    "reason": row[2] or None,
                    "finished": _moment(row[4]),
                    "seconds": round(row[4] - row[3], 3),
                    "observations": row[5],
                }
                for row in db.execute("SELECT task, status, reason, started, finished, observations FROM run")
            }
        finally:
            db.close()
    except sqlite3.Error as error:
        raise SpoolError(path, why(error)) from None
    found = {"sections": waiting, "aside": aside, "bytes": size, "dropped": int(facts.get("dropped", "0"))}
    notes = {key.removeprefix("note."): value for key, value in facts.items() if key.startswith("note.")}
    return {**empty, **found, "sequence": sequence}, runs, notes


def show(found: Mapping[str, Any], lang: Lang) -> str:
    """Write it for people."""
    uplink, spool, handed = found["uplink"], found["spool"], found["policy"]
    pid = found["pid"]
    policy_text = words.NONE_YET(lang)
    if handed["digest"]:
        policy_text = words.POLICY_LINE(lang).format(
            digest=handed["digest"][:12],
            whitelist=handed["whitelist"],
            targets=handed["targets"],
            tasks=handed["tasks"],
            interval=f"{handed['report_interval']:g}",
        )
    lines = [
        ("agent", f"{found['agent']}  {found['unit_name']} ({found['unit']})"),
        ("collector", found["collector"]),
        ("process", words.STOPPED(lang) if pid is None else words.RUNNING(lang).format(pid=pid)),
        ("last_success", uplink["last_success"] or words.NEVER(lang)),
        *([("problem", f"{_said(uplink['problem'], lang)} ({uplink['last_failure']})")] if uplink["problem"] else []),
        ("spool", words.SPOOL_LINE(lang).format(**spool)),
        ("policy", f"{policy_text}{'  ' + _said(handed['problem'], lang) if handed['problem'] else ''}"),
        ("scope", ", ".join(found["scope"])),
        ("tasks", ""),
    ]
    text = [f"{words.HEADINGS[key](lang)}: {value}".rstrip() for key, value in lines]
    return "\n".join(_printable(line) for line in [*text, *(f"  {_task(task, lang)}" for task in found["tasks"])])


def _said(problem: str, lang: Lang) -> str:
    return in_chinese(problem) if lang == "zh" else problem


def _task(task: Mapping[str, Any], lang: Lang) -> str:
    last = task["last"]
    if last is None:
        return f"{task['name']}: {words.NOT_RUN(lang)}"
    status = words.STATUSES.get(last["status"])
    said = f"{task['name']}: {status(lang) if status else last['status']} {last['finished']} {last['seconds']:g} s"
    return f"{said}  {explain(last['reason'], lang)}" if last["reason"] else said


def _moment(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def as_json(found: Mapping[str, Any]) -> str:
    """Write it for programs."""
    return json.dumps(found, ensure_ascii=False)
