"""Joins the sections of one scan (its batches, its transports, what an interrupted one had) into a single one."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from probes.kit.reasons import because
from wire.digest import section_digest
from wire.ports import MAX_SPEC, format_ports, merge_ranges, parse_ports
from wire.types import (
    Body,
    Coverage,
    Family,
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
        _coverage(item for one in bodies for item in one.coverage),
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


def as_done(section: Section) -> Section:
    """Give what an earlier attempt found as something that stands; what it left out is tried again, and said anew."""
    body = replace(section.body or Body(), skipped=())
    digest = section_digest(section.probe, RunStatus.DONE, "", body)
    return replace(section, status=RunStatus.DONE, reason="", digest=digest, body=body)


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


def _coverage(items: Iterable[Coverage]) -> tuple[Coverage, ...]:
    """Say the same in few lines: the ports of the same prefixes together, then the prefixes of the same ports."""
    ports: dict[tuple[tuple[str, ...], Family, Transport | None], set[str]] = {}
    for item in items:
        ports.setdefault((item.prefixes, item.family, item.transport), set()).add(item.ports)
    prefixes: dict[tuple[str, Family, Transport | None], dict[str, None]] = {}
    for (covered, family, transport), texts in ports.items():
        for text in _port_texts(texts):
            prefixes.setdefault((text, family, transport), {}).update(dict.fromkeys(covered))
    return tuple(
        Coverage(_collapsed(found, family), family, text, transport)
        for (text, family, transport), found in prefixes.items()
    )


def _collapsed(found: Iterable[str], family: Family) -> tuple[str, ...]:
    if family == 4:
        return tuple(map(str, collapse_addresses(map(IPv4Network, found))))
    return tuple(map(str, collapse_addresses(map(IPv6Network, found))))


def _port_texts(texts: Iterable[str]) -> Iterator[str]:
    """Join port sets; what does not fit into the text of one becomes several."""
    spans = [
        f"{low}" if low == high else f"{low}-{high}"
        for low, high in merge_ranges(pair for text in texts for pair in parse_ports(text))
    ]
    held = ""
    for span in spans:
        if held and len(held) + 1 + len(span) > MAX_SPEC:
            yield held
            held = ""
        held = f"{held},{span}" if held else span
    yield held


def _both(before: Observation, item: Observation) -> Observation:
    """Join two words about one host: it was seen if either saw it, and its silent ports add up."""
    seen = Outcome.SEEN in (before.outcome, item.outcome)
    values: dict[str, Value] = {**before.values, **item.values}
    for name in _SILENT & before.values.keys() & item.values.keys():
        ranges = merge_ranges(span for one in (before, item) for span in parse_ports(str(one.values[name])))
        text = ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ranges)
        # As in the probe: a list that is too long to be of use is left out, and so it stays.
        values[name] = text if len(text) <= _MAX_TEXT else ""
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
