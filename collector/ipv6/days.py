"""What each unit's own agents counted on each day: bytes by address family, summed on the schedule from their readings.

Bytes are summed, over a day and over units; a share is only ever computed from sums.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from collector.clock import day
from collector.core import Core
from collector.memory.directory import Node
from collector.sightings.samples import read_samples
from collector.store.contract import Statements, Turn
from collector.store.tables import ipv6_day, measurement
from probes.kit.ipv6.traffic.counted import WEEK, growth, share
from rules.facts import FactValue

PROBE = "traffic_ipv6"
SHARE = "TRF-SHARE"
DAYS = 35
"""So many days are looked at for a trend."""
MOST_READINGS = 10_000
EVERY = 3600.0
SECONDS = 86_400.0
LONGEST_GAP = 26 * 3600.0
"""What counters gained over a longer time belongs to no single day."""
COUNTERS = ("v4_received_bytes", "v4_sent_bytes", "v6_received_bytes", "v6_sent_bytes")
CONFIDENCES = ("high", "medium", "low")
_UPSERT = (
    "INSERT INTO ipv6_day (county, unit, day, v4, v6, confidence) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (county, unit, day) DO UPDATE SET v4 = excluded.v4, v6 = excluded.v6, "
    "confidence = excluded.confidence"
)
Reading = tuple[float, Mapping[str, Any]]
Touched = tuple[str, date]
"""A unit, and a day of which something was counted."""


class Counted(NamedTuple):
    """Bytes of one day, and how far the least trusted of their sources is to be trusted."""

    v4: int
    v6: int
    confidence: str

    @property
    def share(self) -> float | None:
        """The share of IPv6 (0 to 1); None of nothing."""
        return share(self.v4, self.v6)


class Days:
    """Keeps the sums of days up to date; used by the schedule's thread, touched by the writer's."""

    def __init__(self, core: Core) -> None:
        """Prepare; nothing is read yet."""
        self._core = core
        self._waiting: set[Touched] = set()
        self._day: date | None = None
        self._counted = 0.0

    def start(self) -> None:
        """Count anew what may have been left uncounted at the last end, or was counted before sums were kept."""
        core, today = self._core, day(self._core.clock())
        with core.store.reader() as connection:
            rows = connection.execute(select(ipv6_day.c.unit, func.max(ipv6_day.c.day)).group_by(ipv6_day.c.unit))
            last = {unit: date.fromisoformat(when) - timedelta(days=1) for unit, when in rows}
        units = {
            core.directory.agents[state.agent].identity.unit
            for state in core.sections.states()
            if state.probe == PROBE and state.agent in core.directory.agents
        }
        oldest = today - timedelta(days=DAYS)
        for unit in units:
            first = max(last.get(unit, oldest), oldest)
            core.due.days.extend((unit, first + timedelta(days=n)) for n in range((today - first).days + 1))

    def round(self, now: float) -> set[str]:
        """Sum what is new once an hour and when a day is over; gives the units that are to be judged."""
        days = self._core.due.days
        self._waiting |= {days.popleft() for _ in range(len(days))}
        today = day(now)
        if self._day == today and now - self._counted < EVERY:
            return set()
        turned, self._day, self._counted = self._day != today, today, now
        for touched in sorted(self._waiting):
            self._sum(*touched)
            self._waiting.discard(touched)
        if not turned:
            return set()
        with self._core.store.reader() as connection:
            since = (today - timedelta(days=WEEK + 2)).isoformat()
            return set(connection.execute(select(ipv6_day.c.unit).where(ipv6_day.c.day >= since)).scalars())

    def _sum(self, unit: str, when: date) -> None:
        node = self._core.directory.units.get(unit)
        if node is None:
            return
        with self._core.store.reader() as connection:
            found = read_day(connection, node, when)
        if found is None:
            return
        values = (node.county, unit, when.isoformat(), *found)

        def work(turn: Turn) -> None:
            turn.run(_UPSERT, values)

        self._core.store.write(work)
        self._core.due.units.append(unit)


def read_day(connection: Connection, node: Node, when: date) -> Counted | None:
    """Sum what the agents of a unit counted on one day (UTC); None where nothing can be said."""
    start = datetime(when.year, when.month, when.day, tzinfo=UTC).timestamp()
    column = measurement.c
    rows = connection.execute(
        select(column.time, column.agent, column.section, column.samples)
        .where(column.county == node.county, column.unit == node.code, column.probe == PROBE)
        .where(column.time >= start - LONGEST_GAP, column.time < start + SECONDS)
        .order_by(column.time.desc())
        .limit(MOST_READINGS)
    ).all()
    readings: dict[tuple[str, str], list[Reading]] = {}
    for row in reversed(rows):
        for sample in read_samples(row.samples):
            if is_reading(sample.method, sample.values):
                readings.setdefault((row.agent, row.section), []).append((row.time, sample.values))
    return sums_by_day(readings.values()).get(when)


def is_reading(method: str, values: Mapping[str, Any]) -> bool:
    """Tell whether a sample holds all counters."""
    return method == SHARE and all(isinstance(values.get(name), int) for name in COUNTERS)


def sums_by_day(sources: Iterable[list[Reading]]) -> dict[date, Counted]:
    """Sum what all counters gained on each day."""
    sums: dict[date, Counted] = {}
    for readings in sources:
        for (before_at, before), (at, after) in pairwise(readings):
            same = before.get("epoch") == after.get("epoch")
            bits = 32 if after.get("counter_bits") == 32 else 64
            gained = [growth(before[name], after[name], same_epoch=same, bits=bits) for name in COUNTERS]
            if at - before_at > LONGEST_GAP or None in gained:
                continue
            v4_in, v4_out, v6_in, v6_out = (number or 0 for number in gained)
            four, six, doubt = sums.get(day(at), Counted(0, 0, ""))
            said = str(after.get("confidence") or "unknown")
            sums[day(at)] = Counted(four + v4_in + v4_out, six + v6_in + v6_out, worst((doubt, said)))
    return sums


def worst(found: Iterable[str]) -> str:
    """Give the least of some confidences; what is not known is less than low."""
    known = [item for item in found if item]
    return max(known, key=lambda item: CONFIDENCES.index(item) if item in CONFIDENCES else 9, default="unknown")


def fall(new: Counted | None, old: Counted | None) -> float | None:
    """Give by what part of itself the share fell (below 0: it rose); None where either day is not known."""
    if new is None or old is None or new.share is None or not old.share:
        return None
    return 1 - new.share / old.share


def traffic_facts(statements: Statements, node: Node, today: date, limit: float) -> dict[str, FactValue]:
    """Give how the unit's own share of IPv6 on the last whole day stands to that of the same weekday before."""
    new, old = (today - timedelta(days=1)).isoformat(), (today - timedelta(days=1 + WEEK)).isoformat()
    found = {
        when: Counted(four, six, confidence)
        for when, four, six, confidence in statements.rows(
            "SELECT day, v4, v6, confidence FROM ipv6_day WHERE county = ? AND unit = ? AND day IN (?, ?)",
            (node.county, node.code, new, old),
        )
    }
    fell = fall(found.get(new), found.get(old))
    if fell is None:
        return {}
    return {
        "v6_traffic_share": found[new].share,
        "v6_traffic_share_before": found[old].share,
        "v6_traffic_dropped": fell > limit,
        "v6_traffic_confidence": worst(item.confidence for item in found.values()),
    }
