"""`edusec scan --unit`: the unit's own agents do the scan, asked through the collector; all else is as at home."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from edusec.client import Collector, open_collector, path_part
from edusec.exits import ExitCode, Stop
from edusec.lang import t
from edusec.running import Interruptible
from edusec.scan.output.show import banner
from edusec.scan.remote import waiting
from edusec.scan.remote.credible import credible
from edusec.scan.request.wanted import Part, Wanted, Work, prepare
from edusec.scan.result.finished import Measure, judged
from edusec.scan.result.judge import Exposures
from edusec.scan.run.join import join, made
from edusec.scan.session import Result, keep
from edusec.terminal.progress import Progress
from probes.kit import contract
from probes.kit.reasons import because
from rules.facts import UNKNOWN
from wire.codec import decode, from_plain
from wire.errors import WireError
from wire.faults import why
from wire.orders import OrderState
from wire.types import Body, Observation, RunStatus, Section, TargetKind, Value, WhitelistEntry

SILENT_SECONDS = 180.0
"""Agents speak every few seconds while they work."""
LOOK_SECONDS = 2.0
OUTAGE_SECONDS = 60.0
_FINAL = frozenset({OrderState.ENDED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.LOST})
_AT_HOME = "fingerprints"
"""The option that names files of this machine."""
_NOWHERE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Unit:
    """Whom to ask: the unit's code, the operator's profile (None: as always), and why it is asked.

    An order waits `wait` seconds for its agent; None: until that is due.
    """

    code: str
    profile: Path | None
    reason: str
    wait: float | None = None


def scan_unit(unit: Unit, wanted: Wanted, threshold: str, *, quiet: bool) -> Result:
    """Have the agents of a unit scan; without targets they look at their own scope, or at what is known there.

    Raises Stop: code 5 when the collector cannot be reached.
    """
    work, listed = _work(unit, wanted), wanted.whitelist is not None
    say: Callable[[str], None] = (lambda _text: None) if quiet else banner
    with open_collector(unit.profile) as collector:
        watch = _Watch(collector, say, Progress(quiet=quiet))
        with Interruptible(watch.stop):
            if not listed:
                work = _by_its_whitelist(collector, unit, work)
            valid = _valid(collector, unit, say)
            scans = [_ask(collector, unit, work, part, valid) for part in work.parts]
            try:
                sections = list(watch.follow(scans))
            except KeyboardInterrupt:
                ids = ", ".join(scan["id"] for scan in scans)
                raise Stop(
                    t(f"已离开；代理继续执行（{ids}）", f"left alone; the agents go on with it ({ids})"),
                    ExitCode.INTERRUPTED,
                ) from None
        section = join(sections)
        exposures = _exposures(collector, unit, say) if any(map(_is_service, _observations(section))) else {}
    by = Measure(work.whitelist, work.today, threshold, exposures=exposures)
    found = judged(uuid.uuid4().hex, section, work.asked, by)
    keep(found)
    if any(part.reason.startswith("out_of_scope") for part in (section.body or Body()).skipped):
        say(
            t(
                f"授权命令须在单位 {unit.code} 的网关上执行",
                f"commands that authorise are for the gateway of {unit.code}, not for this machine",
            )
        )
    return Result(found, watch.stop.is_set())


def _work(unit: Unit, wanted: Wanted) -> Work:
    bare = not wanted.targets and not wanted.files
    if bare and wanted.exclude:
        raise Stop(t("--exclude 须与目标同用", "--exclude goes with targets"))
    work = prepare(replace(wanted, targets=(_NOWHERE,)) if bare else wanted, elsewhere=True)
    prefixes = () if bare else work.prefixes
    asked = replace(work.asked, targets=(f"unit:{unit.code}", *(() if bare else work.asked.targets)))
    return replace(work, prefixes=prefixes, asked=asked)


def _by_its_whitelist(collector: Collector, unit: Unit, work: Work) -> Work:
    """Judge by what the collector holds approved for the unit, as its alerts do; raises Stop if it is unreadable."""
    answer = collector.get("/api/v1/whitelist/holding", unit=unit.code)
    try:
        entries = tuple(from_plain(WhitelistEntry, item) for item in answer["items"])
    except (WireError, KeyError, TypeError) as error:
        said = why(error)
        raise Stop(
            t(
                f"采集中心给出的白名单无法读取：{said.zh}",
                f"the whitelist that the collector gave is unreadable: {said.en}",
            )
        ) from None
    asked = replace(work.asked, whitelist=f"unit:{unit.code}" if entries else "")
    return replace(work, whitelist=entries, asked=asked)


def _observations(section: Section) -> tuple[Observation, ...]:
    return (section.body or Body()).observations


def _is_service(item: Observation) -> bool:
    return item.target.kind is TargetKind.SERVICE


def _exposures(collector: Collector, unit: Unit, say: Callable[[str], None]) -> Exposures:
    """Give what the collector knows of the unit's services: agents that look from elsewhere may have seen them.

    A scan that is done is shown whatever becomes of the collector; what it does not say then is not known.
    """
    try:
        assets = list(collector.items("/api/v1/assets", under=unit.code))
    except Stop as stop:
        say(str(stop))
        return {}
    return {
        (service["address"], service["transport"], service["port"]): service["exposure"]
        for asset in assets
        if asset["unit"] == unit.code
        for service in asset["services"]
        if service.get("exposure", UNKNOWN) != UNKNOWN  # an older collector does not tell it
    }


def _valid(collector: Collector, unit: Unit, say: Callable[[str], None]) -> float:
    """Say what is known of the unit's agents, and give the seconds for which an order waits for them."""
    agents = [agent for agent in collector.items("/api/v1/agents") if agent["unit"] == unit.code]
    agents, now = [agent for agent in agents if agent["state"] != "revoked"], datetime.now(UTC)
    for agent in agents:
        say(waiting.outlook(agent, now))
    valid = waiting.patience(agents, now) if unit.wait is None else unit.wait
    if agents:
        say(waiting.announce(valid))
    return valid


def _ask(collector: Collector, unit: Unit, work: Work, part: Part, valid: float) -> Mapping[str, Any]:
    """Ask for one part; asked twice where the answer got lost, it is the same scan."""
    options: dict[str, Value] = {name: value for name, value in part.options.items() if name != _AT_HOME}
    wanted = {
        "unit": unit.code,
        "probe": part.probe,
        "options": {**options, "ports": part.ports},
        "targets": list(work.prefixes),
        "time_limit": work.seconds,
        "valid": valid,
        "reason": unit.reason,
        "request": uuid.uuid4().hex,
    }
    try:
        answer = collector.post("/api/v1/scans", wanted)
    except Stop as stop:
        if stop.code is not ExitCode.UNREACHABLE:
            raise
        answer = collector.post("/api/v1/scans", wanted)
    return dict(answer)


class _Watch:
    """Follows scans to their end, says what happens, cancels them when the operator stops."""

    def __init__(self, collector: Collector, say: Callable[[str], None], progress: Progress) -> None:
        self.stop = Event()
        self._collector, self._say, self._progress = collector, say, progress
        self._states: dict[str, str] = {}
        self._news: dict[str, tuple[object, float]] = {}
        self._cancelled = False

    def follow(self, scans: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
        """Give the section of each agent and part: its own, or one that says why there is none."""
        current = {scan["id"]: scan for scan in scans}
        while True:
            for scan in current.values():
                self._tell(scan)
            open_scans = [ident for ident, scan in current.items() if not all(map(self._settled, scan["orders"]))]
            if not open_scans:
                break
            if self.stop.is_set() and not self._cancelled:
                self._cancelled = True
                self._say(
                    t(
                        "正在取消，保留已有结果；再按一次 Ctrl-C 离开",
                        "cancelling, what was found is kept; again to leave",
                    )
                )
                for ident in open_scans:
                    self._patiently(partial(self._collector.post, f"/api/v1/scans/{path_part(ident)}/cancel", {}))
            self._show(current.values())
            for ident in open_scans:
                current[ident] = self._patiently(partial(self._look, ident, current[ident]["revision"]))
        self._progress.clear()
        for scan in current.values():
            for order in scan["orders"]:
                yield self._result(scan, order)

    def _look(self, ident: str, since: str) -> Mapping[str, Any]:
        path = f"/api/v1/scans/{path_part(ident)}/progress"
        found: Mapping[str, Any] = self._collector.get(path, since=since, wait=str(LOOK_SECONDS))
        return found

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Ask again while the collector cannot be reached; it may only be starting anew."""
        end = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return call()
            except Stop as stop:
                if stop.code is not ExitCode.UNREACHABLE or time.monotonic() > end:
                    raise
                time.sleep(1.2)

    def _settled(self, order: Mapping[str, Any]) -> bool:
        """Tell whether nothing more is to be waited for: the order is over, or its agent has gone silent."""
        if order["state"] in _FINAL:
            return True
        word = (order["state"], order["heard"], order["done"])
        before, since = self._news.get(order["id"], (None, 0.0))
        if word != before:
            self._news[order["id"]] = (word, time.monotonic())
            return False
        # What waits is the collector's to end: it expires.
        return order["state"] != OrderState.WAITING and time.monotonic() - since > SILENT_SECONDS

    def _tell(self, scan: Mapping[str, Any]) -> None:
        for order in scan["orders"]:
            state = str(order["state"])
            if self._states.get(order["id"]) == state:
                continue
            self._states[order["id"]] = state
            name = f"{scan['unit_name']} · {order['agent_name']} · {scan['probe']}"
            if text := _said(state):
                self._say(f"{name}: {text}")

    def _show(self, scans: Any) -> None:
        orders = [order for scan in scans for order in scan["orders"]]
        done, total = (sum(int(order[name]) for order in orders) for name in ("done", "total"))
        if total:
            note = next((order["note"] for order in orders if order["note"]), "")
            # A collector of an older release does not tell these.
            rate = sum(float(order.get("rate", 0.0)) for order in orders)
            lost = max(float(order.get("lost", 0.0)) for order in orders)
            self._progress(contract.Progress(done, total, note, rate, lost))

    def _result(self, scan: Mapping[str, Any], order: Mapping[str, Any]) -> Section:
        if order["state"] == OrderState.ENDED:
            path = f"/api/v1/scans/{path_part(scan['id'])}/results/{path_part(order['id'])}"
            return credible(decode(Section, self._patiently(lambda: self._collector.raw("GET", path, {}))))
        code = "stopped" if order["state"] == OrderState.CANCELLED else "agent_silent"
        return made(scan["probe"], RunStatus.TIMED_OUT, because(code, order["agent_name"]))


def _said(state: str) -> str:
    return {
        OrderState.WAITING.value: t("等待代理领取", "waiting for the agent"),
        OrderState.TAKEN.value: t("代理已领取", "the agent has it"),
        OrderState.RUNNING.value: t("正在执行", "running"),
        OrderState.CANCELLED.value: t("任务已撤回，代理不会再执行", "the order is withdrawn, no agent will run it"),
        OrderState.EXPIRED.value: t(
            "代理没有按时领取，不会再执行", "the agent did not take it in time; it will not run"
        ),
        OrderState.LOST.value: t("代理再无音讯", "the agent was not heard of any more"),
    }.get(state, "")
