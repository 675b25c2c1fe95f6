"""The share of IPv6 in the traffic of a unit and of those below it, day by day, from sums that the schedule keeps."""

from datetime import date, timedelta

from sqlalchemy import Connection, func, select

from collector.clock import day
from collector.ipv6.days import DAYS, PROBE, Counted, fall, is_reading, worst
from collector.ipv6.reports import views
from collector.memory.directory import Node
from collector.sightings.samples import read_samples
from collector.store import tables
from collector.store.tables import ipv6_day, measurement
from probes.kit.ipv6.traffic.counted import WEEK, judge_trend, share


def traffic(connection: Connection, node: Node, now: float, limit: float) -> views.Ipv6Traffic | None:
    """Give what the agents of a unit and of all below it counted; None where nobody counts.

    A share that fell by more than the part `limit` has dropped.
    """
    today = day(now)
    found = _shares(connection, node.path, today)
    latest = _v4_only(connection, node, now)
    if not found and latest is None:
        return None
    # The day that is not over yet is no day to compare with.
    days = [found.get(today - timedelta(days=back)) for back in range(DAYS, 0, -1)]
    slope = judge_trend(days, limit).values.get("slope")
    new, old, confidence, units = _weekday(connection, node.path, today)
    fell = fall(new, old)
    return views.Ipv6Traffic(
        share=next((value for value in reversed(days) if value is not None), None),
        days={(today - timedelta(days=DAYS - place)): value for place, value in enumerate(days) if value is not None},
        slope=slope if isinstance(slope, float) else None,
        dropped="unknown" if fell is None else "yes" if fell > limit else "no",
        confidence=confidence,
        units=units,
        v4_only=latest or (),
    )


def _shares(connection: Connection, path: str, today: date) -> dict[date, float]:
    first = (today - timedelta(days=DAYS)).isoformat()
    rows = connection.execute(
        select(ipv6_day.c.day, func.sum(ipv6_day.c.v4), func.sum(ipv6_day.c.v6))
        .join(tables.unit, tables.unit.c.code == ipv6_day.c.unit)
        .where(tables.under(path), ipv6_day.c.day >= first)
        .group_by(ipv6_day.c.day)
    )
    return {date.fromisoformat(when): part for when, *sums in rows if (part := share(*sums)) is not None}


def _weekday(connection: Connection, path: str, today: date) -> tuple[Counted | None, Counted | None, str, int]:
    """Sum the last whole day and the same weekday before, of the units that counted on both.

    With them: how far to trust the last day, and how many units counted on it.
    """
    new, old = (today - timedelta(days=1)).isoformat(), (today - timedelta(days=1 + WEEK)).isoformat()
    by_day: dict[str, dict[str, Counted]] = {new: {}, old: {}}
    for unit, when, *counted in connection.execute(
        select(ipv6_day.c.unit, ipv6_day.c.day, ipv6_day.c.v4, ipv6_day.c.v6, ipv6_day.c.confidence)
        .join(tables.unit, tables.unit.c.code == ipv6_day.c.unit)
        .where(tables.under(path), ipv6_day.c.day.in_((new, old)))
    ):
        by_day[when][unit] = Counted(*counted)
    both = by_day[new].keys() & by_day[old].keys()
    last = by_day[new].values()
    return (
        _total([by_day[new][unit] for unit in both]),
        _total([by_day[old][unit] for unit in both]),
        worst(item.confidence for item in last),
        len(last),
    )


def _total(found: list[Counted]) -> Counted | None:
    if not found:
        return None
    return Counted(
        sum(item.v4 for item in found), sum(item.v6 for item in found), worst(item.confidence for item in found)
    )


def _v4_only(connection: Connection, node: Node, now: float) -> tuple[str, ...] | None:
    """Give the sites that IPv4 alone carries most bytes for, as the unit's own agents saw last; None without any."""
    column = measurement.c
    rows = connection.execute(
        select(column.samples)
        .where(column.county == node.county, column.unit == node.code, column.probe == PROBE)
        .where(column.time >= now - DAYS * 86_400.0)
        .order_by(column.time.desc())
        .limit(1)
    )
    for text in rows.scalars():
        for sample in read_samples(text):
            if is_reading(sample.method, sample.values):
                listed = sample.values.get("v4_only")
                return tuple(str(line) for line in listed) if isinstance(listed, list | tuple) else ()
    return None
