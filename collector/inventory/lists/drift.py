"""What changed on the networks of a subtree: new, vanished, returned and changed, for each host, port and product.

Read from the history, which holds state changes only. What the first covering scan of a unit found is its baseline and
no news; what no covering scan looked at is unknown and never "vanished".
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, TableClause, and_, false, or_, select

from collector.answers import views
from collector.answers.said import from_to, one_of
from collector.clock import moment
from collector.core import Core
from collector.errors import BadInput
from collector.inventory.identity.devices import NOBODY
from collector.memory.people import Person
from collector.store import tables
from collector.store.tables import asset, change, service, unit

NEW, CHANGED, VANISHED, RETURNED = "new", "changed", "vanished", "returned"
KINDS = (NEW, CHANGED, VANISHED, RETURNED)
MAX_LIMIT = 10_000

_GONE = frozenset({"absent", "closed", "filtered"})
_THERE = frozenset({"present", "open", "open_filtered"})
_STATES = ("presence", "state")
_FIELDS = ("product", "name", "mac", "address", "merged", "split")


def list_drift(
    core: Core, person: Person, under: str | None, since: float, kind: str = "", limit: int = 1000
) -> list[views.Drift]:
    """Give what changed since a time, the newest first; raises NotFound, BadInput.

    At most `limit` items; a longer list is cut at its oldest end.
    """
    if kind and kind not in KINDS:
        raise BadInput(one_of("kind", KINDS))
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInput(from_to("limit", 1, MAX_LIMIT))
    reach = tables.under(core.directory.reach(person, under))
    found: list[views.Drift] = []
    with core.store.reader() as connection:
        for subject in (asset, service) if kind in ("", NEW) else ():
            found += _fresh(connection.execute(_news(subject, reach, since).limit(limit)).all())
        for subject in (asset, service) if kind != NEW else ():
            query = (
                select(change, unit.c.name.label("unit_name"), *_label(subject))
                .join(subject, (subject.c.county == change.c.county) & (subject.c.id == change.c.subject))
                .join(unit, unit.c.code == change.c.unit)
                .where(change.c.time >= since, _wanted(kind), reach)
                .order_by(change.c.time.desc(), change.c.id.desc())
                .limit(limit)
            )
            found += _changes(connection.execute(query).all())
    return sorted(found, key=lambda item: item.time, reverse=True)[:limit]


def _wanted(kind: str) -> ColumnElement[bool]:
    """Choose the changes that are drift: a word that became unknown, or is known again, is none."""
    before, after = change.c.before, change.c.after
    ways = {
        CHANGED: change.c.what.in_(_FIELDS),
        VANISHED: and_(change.c.what.in_(_STATES), before.in_(_THERE), after.in_(_GONE)),
        RETURNED: and_(change.c.what.in_(_STATES), before.in_(_GONE), after.in_(_THERE)),
    }
    return ways[kind] if kind else or_(*ways.values())


def _news(subject: TableClause, reach: ColumnElement[bool], since: float) -> Any:
    # What was forgotten since, which is part of no device, was news all the same.
    alive = (
        or_(asset.c.merged_into.is_(None), asset.c.merged_into == NOBODY)
        if subject is asset
        else service.c.state.in_(_THERE)
    )
    return (
        select(
            subject.c.id.label("subject"), subject.c.unit, subject.c.first_seen.label("time"),
            unit.c.name.label("unit_name"), *_label(subject),
        )
        .join(unit, unit.c.code == subject.c.unit)
        .where(subject.c.first_seen >= since, subject.c.baseline == false(), alive, reach)
        .order_by(subject.c.first_seen.desc())
    )  # fmt: skip


def _label(subject: TableClause) -> tuple[ColumnElement[Any], ...]:
    if subject is asset:
        return (asset.c.name.label("label"),)
    return service.c.address, service.c.transport, service.c.port, service.c.product, service.c.asset


def _fresh(rows: Iterable[Any]) -> Iterator[views.Drift]:
    for row in rows:
        product = getattr(row, "product", None) or ""
        yield _item(row, NEW, "", "", product)


def _changes(rows: Iterable[Any]) -> Iterator[views.Drift]:
    for row in rows:
        what = CHANGED if row.what not in _STATES else VANISHED if row.after in _GONE else RETURNED
        yield _item(row, what, row.what, row.before, row.after)


def _item(row: Any, what: str, field: str, before: str, after: str) -> views.Drift:
    if hasattr(row, "port"):
        host = f"[{row.address}]" if ":" in row.address else row.address
        subject = views.SubjectRef(kind="service", id=row.subject, label=f"{host}:{row.port}/{row.transport}")
        asset_id = row.asset
    else:
        subject = views.SubjectRef(kind="asset", id=row.subject, label=row.label)
        asset_id = row.subject
    return views.Drift(
        time=moment(row.time),
        unit=row.unit,
        unit_name=row.unit_name,
        asset=asset_id,
        subject=subject,
        what=what,
        field=field,
        before=before,
        after=after,
    )
