"""The share of IPv6 in a unit's own traffic, day by day, from counters as its agents read them."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, select

from collector.clock import day
from collector.inventory.samples import read_samples
from collector.ipv6 import views
from collector.registry.directory import Node
from collector.store.tables import measurement
from probes.kit.ipv6.model import Verdict
from probes.kit.ipv6.traffic import growth, judge_trend, share

PROBE = "traffic_ipv6"
SHARE = "TRF-SHARE"
DAYS = 35
MOST_READINGS = 10_000
FALL = 0.3
"""A share that is lower by more than this part of that of the same weekday a week before has dropped."""
LONGEST_GAP = 26 * 3600.0
"""What counters gained over a longer time belongs to no single day."""
COUNTERS = ("v4_received_bytes", "v4_sent_bytes", "v6_received_bytes", "v6_sent_bytes")
Reading = tuple[float, Mapping[str, Any]]


def traffic(connection: Connection, node: Node, now: float) -> views.Ipv6Traffic | None:
    """Give what the agents of one unit counted; None where nobody counts."""
    if not node.code:
        return None
    column = measurement.c
    rows = connection.execute(
        select(column.time, column.agent, column.section, column.samples)
        .where(column.county == node.county, column.unit == node.code, column.probe == PROBE)
        .where(column.time >= now - DAYS * 86_400.0)
        .order_by(column.time.desc())
        .limit(MOST_READINGS)
    ).all()
    readings: dict[tuple[str, str], list[Reading]] = {}
    latest: Mapping[str, Any] | None = None
    for row in reversed(rows):
        for sample in read_samples(row.samples):
            if sample.method == SHARE and all(isinstance(sample.values.get(name), int) for name in COUNTERS):
                readings.setdefault((row.agent, row.section), []).append((row.time, sample.values))
                latest = sample.values
    if latest is None:
        return None
    found = shares_by_day(readings.values())
    today = day(now)
    # The day that is not over yet is no day to compare with.
    days = [found.get(today - timedelta(days=back)) for back in range(DAYS, 0, -1)]
    trend = judge_trend(days, FALL)
    slope, listed = trend.values.get("slope"), latest.get("v4_only")
    return views.Ipv6Traffic(
        share=next((value for value in reversed(days) if value is not None), None),
        days={(today - timedelta(days=DAYS - place)): value for place, value in enumerate(days) if value is not None},
        slope=slope if isinstance(slope, float) else None,
        dropped={Verdict.WARN: "yes", Verdict.PASS: "no"}.get(trend.verdict, "unknown"),
        confidence=str(latest.get("confidence") or "unknown"),
        v4_only=tuple(str(line) for line in listed) if isinstance(listed, list | tuple) else (),
    )


def shares_by_day(sources: Iterable[list[Reading]]) -> dict[date, float]:
    """Sum what all counters gained on each day, and give the share of IPv6 in it."""
    sums: dict[date, tuple[int, int]] = {}
    for readings in sources:
        for (before_at, before), (at, after) in pairwise(readings):
            same = before.get("epoch") == after.get("epoch")
            bits = 32 if after.get("counter_bits") == 32 else 64
            gained = [growth(before[name], after[name], same_epoch=same, bits=bits) for name in COUNTERS]
            if at - before_at > LONGEST_GAP or None in gained:
                continue
            v4_in, v4_out, v6_in, v6_out = (number or 0 for number in gained)
            four, six = sums.get(day(at), (0, 0))
            sums[day(at)] = four + v4_in + v4_out, six + v6_in + v6_out
    return {when: part for when, (four, six) in sums.items() if (part := share(four, six)) is not None}
