"""An agent on this machine, if there is one: configuration, enrolment, spool, uplink."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent import config, status
from agent.errors import ConfigError, SpoolError, StateError
from edusec.checks.line import Line, State
from edusec.lang import current, t
from edusec.local import places
from edusec.terminal.words import moment

_SPOOL_WARN = 0.8
_CLOCK_TOLERANCE = 300


def agents() -> Iterator[Line]:
    """Check the system's agent and the one of `edusec up`."""
    known = [file for file in (config.SYSTEM_CONFIG, places.up_folder() / "agent.toml") if file.exists()]
    if not known:
        yield Line("agent", State.OK, t("本机没有配置代理", "no agent is configured on this machine"))
    for file in known:
        yield from _agent(file)


def _agent(file: Path) -> Iterator[Line]:
    look = f"edusec agent status --config {file}"
    try:
        found = status.gather(config.load(file))
    except ConfigError as error:
        mend = f"${{EDITOR:-vi}} {file} && edusec agent check --config {file}"
        yield Line("agent config", State.FAIL, error.text(current()).replace("\n", "; "), mend)
        return
    except StateError as error:
        if isinstance(error.__context__, PermissionError):
            yield Line("agent", State.UNKNOWN, error.text(current()), "sudo edusec doctor")
        else:
            mend = f"edusec agent enroll --config {file} --collector URL --token TOKEN"
            yield Line("agent", State.FAIL, error.text(current()), mend)
        return
    except SpoolError as error:
        yield Line("spool", State.FAIL, error.text(current()), look)
        return
    running = found["pid"] is not None
    is_system = file == config.SYSTEM_CONFIG
    said = t(f"{found['unit_name']}，进程 {found['pid']}", f"{found['unit_name']}, process {found['pid']}")
    if running:
        yield Line("agent", State.OK, said)
    else:
        start = "systemctl start edusec-agent" if is_system else "edusec up"
        yield Line("agent", State.WARN if is_system else State.OK, t("没有运行", "not running"), start)
    yield _spool(found["spool"], look)
    if running:
        yield from _uplink(found["uplink"], look)


def _spool(spool: Mapping[str, Any], look: str) -> Line:
    used = spool["bytes"] / spool["limit"]
    said = t(
        f"已用 {used:.0%}，待发 {spool['sections']} 段，丢弃 {spool['dropped']}",
        f"{used:.0%} full, {spool['sections']} sections waiting, {spool['dropped']} dropped",
    )
    if used >= _SPOOL_WARN or spool["dropped"]:
        return Line("spool", State.WARN, said, look)
    return Line("spool", State.OK, said)


def _uplink(uplink: Mapping[str, Any], look: str) -> Iterator[Line]:
    if uplink["problem"]:
        yield Line("uplink", State.FAIL, str(uplink["problem"]), look)
    else:
        yield Line(
            "uplink",
            State.OK,
            moment(uplink["last_success"]) if uplink["last_success"] else t("尚未上报", "nothing reported yet"),
        )
    skew = uplink["clock_skew_seconds"]
    if skew is not None and abs(skew) > _CLOCK_TOLERANCE:
        said = t(f"与采集中心相差 {skew:.0f} 秒", f"{skew:.0f} s from the collector's")
        yield Line("clock", State.FAIL, said, "timedatectl set-ntp true")
