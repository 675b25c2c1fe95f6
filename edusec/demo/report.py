"""What `edusec up` prints: one screen about the first round, then a line for each change."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edusec.declare.grades import COLOURS, rank
from edusec.demo.snapshot import Snapshot
from edusec.lang import current, t
from edusec.terminal.render import cells, pad, safe
from edusec.terminal.words import word
from probes.kit.reasons import explain

_MOST_ALERTS = 8
_MOST_SKIPPED = 6
_MOST_PORTS = 16
_LABEL = 12
_UNITS = ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")


def screen(found: Snapshot, folder: Path, *, ended: bool) -> Iterator[str]:
    """Give the lines about a round, at most 40 of them; `ended` when collector and agent stop after it."""
    agent = found.agent or {}
    yield _row(t("采集中心", "collector"), found.url)
    yield _row(
        t("代理", "agent"), f"{agent.get('name', '-')} · {agent.get('unit_name', '-')} ({agent.get('unit', '-')})"
    )
    yield _row(t("授权范围", "scope"), t("仅本机：127.0.0.0/8、::1", "this machine only: 127.0.0.0/8, ::1"))
    yield from _sections(found)
    yield from _inventory(found)
    reason = explain(agent.get("ipv6_reason", ""), current())
    yield _row("IPv6", word(agent.get("ipv6")) + (t(f"（{reason}）", f" ({reason})") if reason else ""))
    yield _row(t("带宽", "bandwidth"), _bandwidth(found.bandwidth))
    yield from _alerts(found)
    yield _row(t("数据", "data"), str(folder))
    yield from _next(ended=ended)


def _next(*, ended: bool) -> Iterator[str]:
    """Name the commands that work from here: most of them ask a collector that runs."""
    program = called(sys.argv[0], shutil.which("edusec"))
    if ended:
        running = t(
            "保持运行，另一终端可用 asset、alert 等命令", "keeps running for asset, alert ... in another terminal"
        )
        yield _row(t("接下来", "next"), f"{program} up ({running})")
        yield _row("", f"{program} scan 127.0.0.1")
        return
    words = ("asset list", "alert list", "doctor"), ("whitelist review", "scan 127.0.0.1")
    for label, line in zip((t("接下来", "next"), ""), words, strict=True):
        yield _row(label, " · ".join(f"{program} {command}" for command in line))


def called(argument: str, found: str | None) -> str:
    """Give the word that starts edusec again in this shell: its path when the plain name would not find it."""
    own = Path(argument)
    if own.name != "edusec" or (found is not None and Path(found).resolve() == own.resolve()):
        return "edusec"
    return str(own)


def changes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Give a line for each alert that rose, changed or ended, and for each state that the agent or an asset changed."""
    old, new = ({alert["id"]: alert for alert in one.alerts} for one in (before, after))
    for identifier, alert in new.items():
        was = old.get(identifier)
        if was is None or was["state"] != alert["state"] or was["colour"] != alert["colour"]:
            yield f"{word(alert['state'])}: {_alert_line(alert)}"
    for identifier in old.keys() - new.keys():
        yield f"{word('resolved')}: {_alert_line(old[identifier])}"
    yield from _agent_changes(before.agent, after.agent)
    was_present = {asset["id"]: asset["presence"] for asset in before.assets}
    for asset in after.assets:
        if was_present.get(asset["id"]) != asset["presence"]:
            label = " ".join(asset["addresses"]) or asset["name"]
            yield safe(f"{t('资产', 'asset')} {label}: {word(asset['presence'])}")


def _agent_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[str]:
    if before and after and before["state"] != after["state"]:
        yield safe(f"{t('代理', 'agent')} {after['name']}: {word(after['state'])}")
    statuses = {section["name"]: section["status"] for section in (before or {}).get("sections", ())}
    for section in (after or {}).get("sections", ()):
        if statuses.get(section["name"], section["status"]) != section["status"]:
            yield safe(f"{t('任务', 'task')} {section['name']}: {word(section['status'])}")


def _sections(found: Snapshot) -> Iterator[str]:
    done = [f"{section['name']} ({word(section['status'])})" for section in found.sections]
    yield _row(t("已探测", "probed"), t("、", ", ").join(done) or t("尚无", "nothing yet"))
    missing = [
        f"{section['name']}: {text}"
        for section in found.sections
        for text in (
            [explain(section["reason"], current())]
            if section["reason"]
            else [f"{part['what']}: {explain(part['reason'], current())}" for part in section["skipped"]]
        )
    ]
    for number, text in enumerate(missing[:_MOST_SKIPPED] or [t("无", "nothing")]):
        yield _row(t("未覆盖", "not covered") if number == 0 else "", text)
    if len(missing) > _MOST_SKIPPED:
        more = len(missing) - _MOST_SKIPPED
        yield _row("", t(f"另有 {more} 项：edusec agent list --json", f"{more} more: edusec agent list --json"))


def _inventory(found: Snapshot) -> Iterator[str]:
    presence = Counter(asset["presence"] for asset in found.assets)
    shown = t("，", ", ").join(f"{word(state)} {count}" for state, count in presence.items()) or "0"
    yield _row(t("资产", "assets"), shown)
    opened = sorted(
        {
            (service["port"], service["transport"])
            for asset in found.assets
            for service in asset["services"]
            if service["state"] == "open"
        }
    )
    ports = " ".join(f"{port}/{transport}" for port, transport in opened[:_MOST_PORTS])
    ports += " ..." if len(opened) > _MOST_PORTS else ""
    yield _row(t("开放服务", "services"), f"{len(opened)}  {ports}".rstrip())
    review = found.review
    yield _row(
        t("白名单", "whitelist"),
        t(
            f"白名单外 {len(review['unlisted'])}，过期仍开放 {len(review['expired_open'])}，"
            f"即将过期 {len(review['expiring'])}，从未见到 {len(review['unused'])}",
            f"{len(review['unlisted'])} unlisted, {len(review['expired_open'])} expired yet open, "
            f"{len(review['expiring'])} expiring soon, {len(review['unused'])} never seen",
        ),
    )


def _bandwidth(sample: Mapping[str, Any] | None) -> str:
    if sample is None:
        return word(None)
    values = sample["values"]
    down, up = rate(values.get("download_bps")), rate(values.get("upload_bps"))
    limited = word(values.get("limited_by"))
    return t(f"下行 {down}，上行 {up}（瓶颈：{limited}）", f"{down} down, {up} up (limited by: {limited})")


def _alerts(found: Snapshot) -> Iterator[str]:
    firing = sorted(
        (alert for alert in found.alerts if alert["state"] == "firing"), key=lambda alert: -rank(alert["colour"])
    )
    colours = Counter(alert["colour"] for alert in firing)
    counts = " ".join(f"{word(colour)} {colours[colour]}" for colour in reversed(COLOURS) if colours[colour])
    yield _row(t("告警", "alerts"), counts or t("无", "none"))
    for alert in firing[:_MOST_ALERTS]:
        yield _row("", _alert_line(alert))
    if len(firing) > _MOST_ALERTS:
        more = len(firing) - _MOST_ALERTS
        yield _row("", t(f"另有 {more} 条：edusec alert list", f"{more} more: edusec alert list"))


def _alert_line(alert: Mapping[str, Any]) -> str:
    basis = f" [{alert['clause']}]" if alert["clause"] else ""
    return safe(f"{word(alert['colour'])}  {alert['title'][current()]}  {alert['subject']['label']}{basis}")


def rate(bits: float | None) -> str:
    """Write a rate in the unit that people use for it; None is unknown."""
    if bits is None:
        return word(None)
    number, unit = float(bits), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {_UNITS[unit]}"


def _row(label: str, text: str) -> str:
    return f"{pad(label, max(_LABEL, cells(label)))}  {safe(text)}".rstrip()
