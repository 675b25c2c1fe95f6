"""The ratios of each unit, week by week: what the trend is read from, and what rules about units read."""

from collections.abc import Iterable
from datetime import date, timedelta

from collector.clock import day
from collector.core import Core
from collector.ipv6.levels import Levels
from collector.ipv6.ratios import METRICS, NOTHING, Ratios, ratios_of
from collector.memory.directory import Directory
from collector.store.contract import Statements
from probes.kit.ipv6.ladder import Ratio


def week_of(now: float) -> date:
    """Give the Monday (UTC) of a time."""
    today = day(now)
    return today - timedelta(days=today.weekday())


def keep(core: Core, statements: Statements, codes: Iterable[str], now: float) -> set[str]:
    """Write how units stand this week; gives those that stand otherwise than before."""
    week, levels, changed = week_of(now).isoformat(), Levels(core, statements, now), set[str]()
    for code in codes:
        node, entries = core.directory.units.get(code), core.register.own(code)
        if node is None:
            continue
        ratios = ratios_of(entries, levels.stored(code)) if entries else Ratios()
        before = _stored(statements, node.county, code, week)
        for metric in METRICS:
            ratio: Ratio = getattr(ratios, metric)
            if before.get(metric) == ratio or (metric not in before and not ratio.total):
                continue
            changed.add(code)
            statements.run(
                "INSERT INTO ipv6_week (county, unit, week, metric, passed, total, unknown) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (county, week, unit, metric) DO UPDATE SET passed = excluded.passed, "
                "total = excluded.total, unknown = excluded.unknown",
                (node.county, code, week, metric, ratio.passed, ratio.total, ratio.unknown),
            )
    return changed


def ratios_below(directory: Directory, statements: Statements, path: str, now: float) -> Ratios:
    """Sum how the units of a subtree stand this week, as it was last written."""
    week, sums = week_of(now).isoformat(), Ratios()
    for county in directory.counties(path):
        by_unit: dict[str, dict[str, Ratio]] = {}
        for code, metric, passed, total, unknown in statements.rows(
            "SELECT w.unit, w.metric, w.passed, w.total, w.unknown FROM ipv6_week w JOIN unit u ON u.code = w.unit "
            "WHERE w.county = ? AND w.week = ? AND u.path >= ? AND u.path < ?",
            (county, week, path, f"{path[:-1]}0"),
        ):
            by_unit.setdefault(code, {})[metric] = Ratio(passed, total, unknown)
        for found in by_unit.values():
            sums += Ratios(*(found.get(metric, NOTHING) for metric in METRICS))
    return sums


def _stored(statements: Statements, county: str, code: str, week: str) -> dict[str, Ratio]:
    rows = statements.rows(
        "SELECT metric, passed, total, unknown FROM ipv6_week WHERE county = ? AND unit = ? AND week = ?",
        (county, code, week),
    )
    return {metric: Ratio(passed, total, unknown) for metric, passed, total, unknown in rows}
