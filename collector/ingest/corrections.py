"""What people correct of identities: two assets that are one device, or one asset that is really two."""

import json
from collections.abc import Iterable
from operator import itemgetter

from collector.answers import views
from collector.answers.notes import check_note
from collector.core import Core
from collector.errors import Conflict, NotFound
from collector.inventory.identity.devices import ADDRESS, SERVICE, Devices, written
from collector.inventory.keeping.keeper import Touched
from collector.inventory.keeping.subjects import Merge
from collector.inventory.lists.assets import show_asset
from collector.judging.judge import bench
from collector.memory.directory import require
from collector.memory.people import Person, Role
from collector.store import audit
from collector.store.contract import Turn
from wire.text import Text

PERSON = "person"


def merge_assets(core: Core, person: Person, asset_id: str, into: str, note: str) -> views.AssetDetail:
    """Say that two assets of a unit are one device, which lives on as `into`.

    Raises NotFound, Forbidden, Conflict (the same asset, another unit) and BadInput without a note.
    """
    require(person, Role.OPERATOR)
    check_note(note, required=True)
    old, new = (show_asset(core, person, ident) for ident in (asset_id, into))
    if old.id == new.id:
        raise Conflict(Text(f"{asset_id} 与 {into} 已是同一资产", f"{asset_id} and {into} are one asset already"))
    if old.unit != new.unit:
        raise Conflict(
            Text(
                f"{asset_id} 属于 {old.unit}，{into} 属于 {new.unit}：只能合并同一单位的资产",
                f"{asset_id} belongs to {old.unit}, {into} to {new.unit}: only assets of one unit can be merged",
            )
        )
    now, county = core.clock(), core.directory.units[old.unit].county

    def work(turn: Turn) -> None:
        _require_alive(turn, county, old.id, new.id)
        turn.run("DELETE FROM apart WHERE county = ? AND one = ? AND other = ?", (county, *sorted((old.id, new.id))))
        devices = _devices(core, turn, county, old.unit, new.id, now)
        devices.merge(old.id, new.id, [(PERSON, person.name)], person=person.name)
        _look_again(core, devices, now)
        audit.record(turn, now, person.name, "asset.merge", new.id, {"merged": old.id, "note": note})

    core.store.write(work)
    return show_asset(core, person, new.id)


def split_asset(core: Core, person: Person, asset_id: str, note: str) -> views.AssetDetail:
    """Take back the merge by which an asset came to be part of another; by itself the two are never joined again.

    `asset_id` is the one that was merged away, or the surviving one where that took over only one other.
    Raises NotFound, Forbidden, Conflict (nothing to take back, or a later merge is in the way) and BadInput.
    """
    require(person, Role.OPERATOR)
    check_note(note, required=True)
    shown = show_asset(core, person, asset_id)
    now, county = core.clock(), core.directory.units[shown.unit].county

    def work(turn: Turn) -> str:
        old = _undo(core, turn, county, shown, asset_id, person, now)
        audit.record(turn, now, person.name, "asset.split", old, {"from": shown.id, "note": note})
        return old

    return show_asset(core, person, core.store.write(work))


def _undo(
    core: Core, turn: Turn, county: str, shown: views.AssetDetail, asset_id: str, person: Person, now: float
) -> str:
    field, ident = ("new", shown.id) if asset_id == shown.id else ("old", asset_id)
    rows = turn.rows(
        "SELECT id, old, new, evidence FROM joined "  # noqa: S608 (our own words)
        f"WHERE county = ? AND {field} = ? AND undone IS NULL ORDER BY time DESC, id DESC",
        (county, ident),
    )
    if not rows:
        raise Conflict(
            Text(
                f"{asset_id} 从未与其他资产合并，或合并早于可撤销之时",
                f"{asset_id} was never merged with another asset, or before merges could be taken back",
            )
        )
    if field == "new" and len(rows) > 1:
        others = ", ".join(row[1] for row in rows[:20])
        raise Conflict(
            Text(
                f"{asset_id} 合并过多个资产，请指明要拆出的一个：{others}",
                f"{asset_id} took over several assets; name the one to take out: {others}",
            )
        )
    merge_id, old, new, evidence = rows[0]
    if new != shown.id:
        raise Conflict(
            Text(
                f"{new} 后来又并入其他资产，请先撤销那次合并：split {new}",
                f"{new} was merged into another asset later; take that merge back first: split {new}",
            )
        )
    devices = _devices(core, turn, county, shown.unit, new, now)
    turn.run("UPDATE asset SET merged_into = NULL WHERE county = ? AND id = ?", (county, old))
    turn.run("UPDATE joined SET undone = ? WHERE county = ? AND id = ?", (now, county, merge_id))
    turn.run(
        "UPDATE asset SET first_seen = ?, baseline = ? WHERE county = ? AND id = ?",
        (*_since(turn, county, new), county, new),
    )
    devices.keep_apart(old, new, now, person.name)
    for kind, value in json.loads(evidence):
        if kind == SERVICE:
            _give_back(devices, [value], new, old)
            continue
        if devices.find(kind, value) != new:
            continue  # a third device holds it by now
        if kind == ADDRESS:
            _give_back(devices, _services_at(devices, new, written(value)), new, old)
            devices.hold(value, old)
        else:
            devices.point(kind, value, old)
    devices.note(old, "split", new, old)
    devices.note(new, "split", new, old)
    devices.moved |= {old, new}
    _look_again(core, devices, now)
    return str(old)


def _since(turn: Turn, county: str, asset: str) -> tuple[float, bool]:
    """Give when an asset was seen first, with all that are still part of it, and whether that was at a first scan.

    A merge can only move it back in time, so of what merges wrote down the latest is the asset's own.
    """
    own = turn.rows(
        "SELECT first_seen, baseline FROM joined WHERE county = ? AND new = ? ORDER BY first_seen DESC LIMIT 1",
        (county, asset),
    )
    parts = turn.rows(
        "SELECT asset.first_seen, asset.baseline FROM joined JOIN asset "
        "ON asset.county = joined.county AND asset.id = joined.old "
        "WHERE joined.county = ? AND joined.new = ? AND joined.undone IS NULL",
        (county, asset),
    )
    first_seen, baseline = min(((row[0], row[1]) for row in (*own, *parts)), key=itemgetter(0))
    return first_seen, bool(baseline)


def _services_at(devices: Devices, asset: str, where: str) -> list[str]:
    return [
        row[0]
        for row in devices.turn.rows(
            "SELECT id FROM service WHERE county = ? AND asset = ? AND address = ?", (devices.county, asset, where)
        )
    ]


def _give_back(devices: Devices, services: Iterable[str], new: str, old: str) -> None:
    """Services go back with their rows, history and all, unless the asset has one there already."""
    for ident in services:
        devices.turn.run(
            "UPDATE service SET asset = ? WHERE county = ? AND id = ? AND asset = ? AND NOT EXISTS ("
            "SELECT 1 FROM service AS held WHERE held.county = service.county AND held.asset = ? AND held.address = "
            "service.address AND held.transport = service.transport AND held.port = service.port)",
            (old, devices.county, ident, new, old),
        )
        devices.services.add(ident)


def _require_alive(turn: Turn, county: str, *assets: str) -> None:
    for ident in assets:
        if turn.rows("SELECT merged_into FROM asset WHERE county = ? AND id = ?", (county, ident)) != [(None,)]:
            raise NotFound(
                Text(
                    f"资产 {ident} 刚刚并入另一资产，请重新查看",
                    f"asset {ident} was merged into another one meanwhile; look at it again",
                )
            )


def _devices(core: Core, turn: Turn, county: str, unit: str, asset: str, now: float) -> Devices:
    ((section,),) = turn.rows("SELECT section FROM asset WHERE county = ? AND id = ?", (county, asset))
    return Devices(turn, county, unit, section, now, now, lambda _name: False, core.sections.agent_of)


def _look_again(core: Core, devices: Devices, now: float) -> None:
    """Join the sightings of what moved, and judge it."""
    merge = Merge(devices.turn, core.sections, devices.county, devices.unit, now, devices.made)
    for ident in devices.moved:
        merge.asset(ident)
    for ident in devices.services:
        merge.service(ident)
    court = bench(core, devices.turn, now)
    court.touched(devices.county, Touched(assets=devices.moved, services=devices.services))
    court.finish()
