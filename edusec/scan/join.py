"""Joins the sections of one scan (its batches, its transports, what an interrupted one had) into a single one."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from probes.kit.reasons import because
from wire.digest import section_digest
from wire.ports import format_ports, merge_ranges, parse_ports
from wire.types import (
    Body,
    Observation,
    Outcome,
    RunStatus,
    Section,
    SectionKind,
    Skipped,
    TargetKind,
    Transport,
    Value,
)

_GRAVEST = (RunStatus.CRASHED, RunStatus.TIMED_OUT, RunStatus.CANNOT_RUN, RunStatus.UNKNOWN)
_SILENT = frozenset({"closed", "filtered"})


def join(sections: Sequence[Section]) -> Section:
    """Give one section that says what all say; of one port or host the later word counts, coverage adds up.

    It is done when all are, and has a failure's status only when nothing but failures came.
    """
    if len(sections) == 1:
        return sections[0]
    bodies = [section.body or Body() for section in sections]
    body = Body(
        _observations(item for one in bodies for item in one.observations),
        tuple(dict.fromkeys(item for one in bodies for item in one.coverage)),
        tuple(dict.fromkeys(item for one in bodies for item in one.skipped)),
    )
    status, reason = _verdict(sections, body)
    probe = ",".join(dict.fromkeys(section.probe for section in sections))
    return Section(
        name=sections[0].name,
        probe=probe,
        kind=SectionKind.STATE,
        status=status,
        digest=section_digest(probe, status, reason, body),
        started=min(section.started for section in sections),
        finished=max(section.finished for section in sections),
        reason=reason,
        body=body,
    )


def left_out(probe: str, prefixes: Iterable[str], ports: str, code: str) -> Section:
    """Give the section of what was not even begun, and why."""
    now = time.time()
    reason = because(code)
    body = Body(skipped=tuple(Skipped(f"{prefix} ports {ports}"[:1024], reason) for prefix in prefixes))
    status = RunStatus.PARTIAL
    digest = section_digest(probe, status, reason, body)
    return Section("scan", probe, SectionKind.STATE, status, digest, now, now, reason, body)


def _verdict(sections: Sequence[Section], body: Body) -> tuple[RunStatus, str]:
    """Judge the whole: something that failed is said by its reason, what else was found stands."""
    failed = [section for section in sections if section.status is not RunStatus.DONE]
    if not failed:
        return RunStatus.DONE, ""
    reason = next((section.reason for section in failed if section.reason), "")
    if any(section.status in (RunStatus.DONE, RunStatus.PARTIAL) for section in sections):
        return RunStatus.PARTIAL, reason
    if body.observations:
        return RunStatus.PARTIAL, reason
    return min((section.status for section in failed), key=_GRAVEST.index), reason


def _observations(items: Iterable[Observation]) -> tuple[Observation, ...]:
    found: dict[tuple[object, ...], Observation] = {}
    for item in items:
        target = item.target
        if target.kind is TargetKind.HOST:
            key: tuple[object, ...] = (target.kind, target.name)
            before = found.get(key)
            found[key] = item if before is None else _both(before, item)
        else:
            found[target.kind, target.name, target.transport, target.port] = item
    return tuple(_without_open(found))


def _both(before: Observation, item: Observation) -> Observation:
    """Join two words about one host: it was seen if either saw it, and its silent ports add up."""
    seen = Outcome.SEEN in (before.outcome, item.outcome)
    values: dict[str, Value] = {**before.values, **item.values}
    for name in _SILENT & before.values.keys() & item.values.keys():
        ranges = (parse_ports(str(one.values[name])) for one in (before, item))
        values[name] = ",".join(
            f"{low}" if low == high else f"{low}-{high}"
            for low, high in merge_ranges(span for one in ranges for span in one)
        )
    return replace(item, outcome=Outcome.SEEN if seen else item.outcome, values=values)


def _without_open(found: dict[tuple[object, ...], Observation]) -> Iterable[Observation]:
    """Take the ports that turned out open off the lists of closed and filtered ones of their hosts."""
    opened: dict[str, set[int]] = {}
    for item in found.values():
        if item.target.kind is TargetKind.SERVICE and item.target.transport is Transport.TCP:
            opened.setdefault(item.target.name, set()).add(item.target.port or 0)
    for item in found.values():
        ports = opened.get(item.target.name) if item.target.kind is TargetKind.HOST else None
        yield _less(item, ports) if ports else item


def _less(item: Observation, ports: set[int]) -> Observation:
    values = dict(item.values)
    for name in _SILENT & values.keys():
        ranges = parse_ports(str(values[name]))
        if any(low <= port <= high for port in ports for low, high in ranges):
            left = (port for low, high in ranges for port in range(low, high + 1) if port not in ports)
            values[name] = format_ports(left)
    return replace(item, values=values)
