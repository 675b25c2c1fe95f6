"""The report of a subtree: three ratios against dated targets, schools, coverage, a forecast, the weeks behind it."""

from datetime import date, timedelta

from sqlalchemy import Connection, func, select

from collector.answers.views import Words
from collector.clock import day, moment
from collector.core import Core
from collector.ipv6.ratios import METRICS, NOTHING
from collector.ipv6.reports import views
from collector.ipv6.reports.sites import count_unregistered
from collector.ipv6.reports.survey import Survey, survey
from collector.ipv6.reports.traffic import traffic
from collector.ipv6.targets import LOCAL, next_target_of, target_of
from collector.memory.directory import Node
from collector.memory.people import Person
from collector.store import tables
from collector.store.tables import ipv6_week
from probes.kit.ipv6.catalogue.checks import CATALOGUE
from probes.kit.ipv6.ladder import FORECAST, Ratio
from rules.data import Target

WEEKS = 53
EVERYTHING = Node("", "", "", None, "", "", "")


def report(core: Core, person: Person, unit: str | None = None, *, trend: bool = False) -> views.Ipv6Report:
    """Give the report of a unit and all below it; raises NotFound."""
    code = unit or person.unit
    node = core.directory.node(person, code) if code else EVERYTHING
    now = core.clock()
    with core.store.reader() as connection:
        seen = survey(core, connection, node.path, now)
        unregistered = count_unregistered(core, connection, node.path)
        weeks = _weeks(connection, node, now) if trend else ()
        flows = traffic(connection, node, now, core.settings.ipv6_traffic_fall)
    target = target_of(core.settings, node, seen.today) if node.code else None
    after = next_target_of(core.settings, node, seen.today) if node.code else None
    children = [child for child in seen.nodes if child.parent == (node.code or None)]
    return views.Ipv6Report(
        time=moment(now),
        total=_standing(seen, node),
        children=tuple(_standing(seen, child) for child in children),
        target=_target(target),
        next_target=_target(after),
        coverage=_coverage(seen, node),
        forecast_estimate=tuple(
            views.Ipv6Forecast(checks=checks, title=_title(checks[0]), websites=share(ratio, None))
            for checks, ratio in zip(FORECAST, seen.forecast(node.path), strict=True)
        ),
        unregistered=unregistered,
        weeks=weeks,
        traffic=flows,
    )


def share(ratio: Ratio, target: float | None) -> views.Ipv6Share:
    """Write a ratio and whether it meets a target."""
    met = None if target is None else ratio.meets(target)
    return views.Ipv6Share(
        passed=ratio.passed, total=ratio.total, unknown=ratio.unknown, range=ratio.range, met=answer(met)
    )


def answer(found: bool | None) -> str:
    """Write yes, no or unknown."""
    return "unknown" if found is None else "yes" if found else "no"


def _standing(seen: Survey, node: Node) -> views.Ipv6Standing:
    target = target_of(seen.core.settings, node, seen.today) if node.code else None
    value = None if target is None else target.value
    ratios, level = seen.ratios(node.path), seen.level(node.path)
    return views.Ipv6Standing(
        unit=node.code,
        unit_name=node.name,
        kind=node.kind,
        confirmed=int(level.confirmed),
        possible=int(level.possible),
        **{name: share(getattr(ratios, name), value) for name in METRICS},
        target=value,
        compliant=answer(None if value is None else ratios.meet(value)),
        schools=share(seen.schools(node.path), 1.0),
        light=seen.light(node.path),
    )


def _coverage(seen: Survey, node: Node) -> views.Ipv6Coverage:
    reporting, networks = seen.reporting(node.path), seen.covered(node.path)
    found = (reporting.meets(1.0), networks.meets(1.0))
    full = False if False in found else None if None in found else True
    return views.Ipv6Coverage(reporting=share(reporting, 1.0), networks=share(networks, 1.0), full=answer(full))


def _target(target: Target | None) -> views.Ipv6Target | None:
    if target is None:
        return None
    item = target.item
    return views.Ipv6Target(
        value=target.value,
        due=target.due,
        item=item.id,
        local=item.id == LOCAL,
        document=item.document,
        section=item.section,
        meaning=Words(zh=item.meaning.zh, en=item.meaning.en),
    )


def _title(check: str) -> Words:
    title = CATALOGUE[check].title
    return Words(zh=title.zh, en=title.en)


def _weeks(connection: Connection, node: Node, now: float) -> tuple[views.Ipv6Week, ...]:
    """Sum the weekly counts of all units of a subtree; a week in which the collector stood still is missing."""
    first = (day(now) - timedelta(weeks=WEEKS)).isoformat()
    rows = connection.execute(
        select(
            ipv6_week.c.week,
            ipv6_week.c.metric,
            func.sum(ipv6_week.c.passed),
            func.sum(ipv6_week.c.total),
            func.sum(ipv6_week.c.unknown),
        )
        .join(tables.unit, tables.unit.c.code == ipv6_week.c.unit)
        .where(tables.under(node.path), ipv6_week.c.week >= first)
        .group_by(ipv6_week.c.week, ipv6_week.c.metric)
    ).all()
    found: dict[str, dict[str, Ratio]] = {}
    for week, metric, passed, total, unknown in rows:
        found.setdefault(week, {})[metric] = Ratio(passed, total, unknown)
    return tuple(
        views.Ipv6Week(
            week=date.fromisoformat(week),
            **{name: share(ratios.get(name, NOTHING), None) for name in METRICS},
        )
        for week, ratios in sorted(found.items())
    )
