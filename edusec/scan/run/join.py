"""Joins the sections of one scan (its batches, its transports, what an interrupted one had) into a single one."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from probes.kit.contract import is_first_word
from probes.kit.reasons import REASONS, because
from wire.coverage import joined
from wire.digest import section_digest
from wire.ports import contains, format_ranges, merge_ranges, parse_ports, without
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
_MAX_TEXT = 1000
REFUSED: Mapping[str, tuple[Transport, str]] = {
    "closed": (Transport.TCP, "closed"),
    "filtered": (Transport.TCP, "filtered"),
    "closed_udp": (Transport.UDP, "closed"),
    "filtered_udp": (Transport.UDP, "filtered"),
}
"""Values of a host that list ports which are not open: of which transport, and in which state."""
_NO_ANSWER = because("no_answer")


def made(
    probe: str, status: RunStatus, reason: str = "", body: Body | None = None, times: tuple[float, float] | None = None
) -> Section:
    """Make a section of a scan; `times` are when it began and ended, now unless they are given."""
    started, finished = times or (time.time(),) * 2
    body = body or Body()
    digest = section_digest(probe, status, reason, body)
    return Section("scan", probe, SectionKind.STATE, status, digest, started, finished, reason, body)


def join(sections: Sequence[Section]) -> Section:
    """Give one section that says what all say; of one port or host the later word counts, coverage adds up.

    It is done when all are, and has a failure's status only when nothing but failures came.
    """
    bodies = [section.body or Body() for section in sections]
    body = Body(
        _observations(item for one in bodies for item in one.observations),
        joined(item for one in bodies for item in one.coverage),
        tuple(dict.fromkeys(item for one in bodies for item in one.skipped)),
        joined(item for one in bodies for item in one.silent),
    )
    status, reason = _verdict(sections, body)
    probe = ",".join(dict.fromkeys(section.probe for section in sections))
    times = min(section.started for section in sections), max(section.finished for section in sections)
    return made(probe, status, reason, body, times)


def as_done(section: Section) -> Section:
    """Give what an earlier attempt found as something that stands.

    What it left out is tried again, and said anew; what was asked and gave no answer at all is not.
    """
    body = section.body or Body()
    skipped = tuple(part for part in body.skipped if part.reason == _NO_ANSWER)
    status = RunStatus.PARTIAL if skipped else RunStatus.DONE
    times = section.started, section.finished
    return made(section.probe, status, body=replace(body, skipped=skipped), times=times)


def left_out(probe: str, prefixes: Iterable[str], ports: str, code: str) -> Section:
    """Give the section of what was not done, such as `tcp ports 22,80`, and why."""
    reason = because(code) if code in REASONS else code
    skipped = tuple(Skipped(f"{prefix} {ports}"[:1024], reason) for prefix in prefixes)
    # What happened to the scan as a whole is said by the section of its batch.
    whole = "" if code == "not_identified" else reason
    return made(probe, RunStatus.PARTIAL, whole, Body(skipped=skipped))


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
        key: tuple[object, ...] = (target.kind, target.name, target.transport, target.port)
        before = found.get(key)
        if before is not None and target.kind is TargetKind.HOST:
            found[key] = _both(before, item)
        elif before is None or is_first_word(before) or not is_first_word(item):
            found[key] = item
    return tuple(_without_open(found.values()))


def _both(before: Observation, item: Observation) -> Observation:
    """Join two words about one host: it was seen if either saw it, and its silent ports add up."""
    seen = Outcome.SEEN in (before.outcome, item.outcome)
    values: dict[str, Value] = {**before.values, **item.values}
    for name in REFUSED.keys() & before.values.keys() & item.values.keys():
        texts = [str(one.values[name]) for one in (before, item)]
        joint = format_ranges(merge_ranges(span for text in texts for span in parse_ports(text)))
        # As in the probe: a list that is too long to be of use is left out, and so it stays.
        values[name] = joint if all(texts) and len(joint) <= _MAX_TEXT else ""
    return replace(item, outcome=Outcome.SEEN if seen else item.outcome, values=values)


def _without_open(found: Iterable[Observation]) -> Iterable[Observation]:
    """Take the ports that turned out open off the lists of closed and filtered ones of their hosts."""
    items = list(found)
    opened: dict[str, set[tuple[Transport, int]]] = {}
    for item in items:
        if item.target.kind is TargetKind.SERVICE and item.target.transport is not None:
            opened.setdefault(item.target.name, set()).add((item.target.transport, item.target.port or 0))
    for item in items:
        ports = opened.get(item.target.name) if item.target.kind is TargetKind.HOST else None
        yield _less(item, ports) if ports else item


def _less(item: Observation, opened: set[tuple[Transport, int]]) -> Observation:
    values = dict(item.values)
    for name in REFUSED.keys() & values.keys():
        ports = {port for transport, port in opened if transport is REFUSED[name][0]}
        ranges = parse_ports(str(values[name]))
        if any(contains(ranges, port) for port in ports):
            values[name] = format_ranges(without(ranges, ports))
    return replace(item, values=values)
