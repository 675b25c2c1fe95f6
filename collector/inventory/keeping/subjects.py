"""What all sections together say of an asset, a service or a site; written, with a line of history, when it changes."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple

from collector.inventory.history import Change, note
from collector.memory.sections import Sections
from collector.sightings.picture import values_of
from collector.store.contract import Turn
from wire.types import Value

PRESENCE = {"present": 3, "absent": 2, "unknown": 1}
PORT_STATES = {"open": 5, "open_filtered": 4, "closed": 3, "filtered": 2, "unknown": 1}
SEEN = frozenset({"present", "open", "open_filtered"})
VERDICTS = ("pass", "fail", "unknown")
MAX_TEXT = 256


class Sighting(NamedTuple):
    """What one section says of a subject; `seen` is when it last saw it, `fresh` whether its word still counts."""

    section: int
    key: str
    state: str
    detail: str
    missed_from: int
    seen: float
    fresh: bool


@dataclass(slots=True)
class Merge:
    """Joins the sightings of subjects of one unit; `made` holds those that are new, `now` is the collector's time."""

    turn: Turn
    sections: Sections
    county: str
    unit: str
    now: float
    made: AbstractSet[str] = frozenset()

    def asset(self, ident: str) -> None:
        """Write presence and name: present as long as one section sees it, absent when one missed it often enough."""
        ((presence, name, section, merged),) = self.turn.rows(
            "SELECT presence, name, section, merged_into FROM asset WHERE county = ? AND id = ?", (self.county, ident)
        )
        if merged is not None:
            return
        found = self.sightings(ident)
        best = max(found, key=lambda item: (item.fresh, PRESENCE.get(item.state, 0), item.seen), default=None)
        new_presence = best.state if best else "unknown"
        new_name = next(filter(None, (_text(values_of(item.detail), "name", "hostname") for item in found)), name)
        new_section = best.section if best else section
        if (new_presence, new_name, new_section) == (presence, name, section):
            return
        self.turn.run(
            "UPDATE asset SET presence = ?, name = ?, section = ?, confirmed = ? WHERE county = ? AND id = ?",
            (new_presence, new_name, new_section, _latest(found, self.now), self.county, ident),
        )
        self._note(ident, "presence", presence, new_presence, new_section)
        self._note(ident, "name", name, new_name, new_section)

    def service(self, ident: str) -> None:
        """Write state and product: open as long as one section sees it so."""
        ((state, product, section, baseline),) = self.turn.rows(
            "SELECT state, product, section, baseline FROM service WHERE county = ? AND id = ?", (self.county, ident)
        )
        found = self.sightings(ident)
        best = max(found, key=lambda item: (item.fresh, PORT_STATES.get(item.state, 0), item.seen), default=None)
        new_state = best.state if best else self._unseen(ident, state)
        new_product = (_product(values_of(best.detail)) if best else "") or product
        new_section = best.section if best else section
        if (new_state, new_product, new_section) == (state, product, section):
            return
        # What a host refused and opens again later is news, even where it was there at the first scan.
        kept = bool(baseline) and new_state != "closed"
        self.turn.run(
            "UPDATE service SET state = ?, product = ?, section = ?, confirmed = ?, baseline = ?, "
            "changed = CASE WHEN state = ? THEN changed ELSE ? END WHERE county = ? AND id = ?",
            (
                new_state, new_product, new_section, _latest(found, self.now), kept,
                new_state, self.now, self.county, ident,
            ),
        )  # fmt: skip
        self._note(ident, "state", state, new_state, new_section)
        self._note(ident, "product", product or "", new_product or "", new_section)

    def _unseen(self, ident: str, state: str) -> str:
        """Without a sighting it was forgotten, unless another device has its address: it answers there no more."""
        holders = self.turn.rows(
            "SELECT v.asset, e.asset FROM service v JOIN evidence e ON e.county = v.county AND e.unit = v.unit "
            "AND e.kind = 'address' AND (e.value = v.address "
            "OR e.value > v.address || '@' AND e.value < v.address || 'A') WHERE v.county = ? AND v.id = ?",
            (self.county, ident),
        )
        if holders and all(asset != holder for asset, holder in holders):
            return "closed"
        return "unknown" if state in SEEN else state

    def site(self, ident: str) -> None:
        """Write how a site answers over each family."""
        ((outcome, aaaa, ipv4, ipv6, section),) = self.turn.rows(
            "SELECT outcome, aaaa, ipv4, ipv6, section FROM site WHERE county = ? AND id = ?", (self.county, ident)
        )
        found = self.sightings(ident)
        best = max(found, key=lambda item: (item.fresh, item.state != "unknown", item.seen), default=None)
        if best is None:
            return
        values = values_of(best.detail)
        new = (best.state, _flag(values, "aaaa"), _verdict(values, "ipv4"), _verdict(values, "ipv6"), best.section)
        if new == (outcome, None if aaaa is None else bool(aaaa), ipv4, ipv6, section):
            return
        self.turn.run(
            "UPDATE site SET outcome = ?, aaaa = ?, ipv4 = ?, ipv6 = ?, section = ?, confirmed = ? "
            "WHERE county = ? AND id = ?",
            (*new, _latest(found, self.now), self.county, ident),
        )
        for what, old, now in (("outcome", outcome, new[0]), ("ipv4", ipv4, new[2]), ("ipv6", ipv6, new[3])):
            self._note(ident, what, old, now, best.section)

    def sightings(self, ident: str) -> list[Sighting]:
        """Give what every section says of a subject."""
        found = []
        for number, key, state, detail, missed_from, confirmed in self.turn.rows(
            "SELECT section, key, state, detail, missed_from, confirmed FROM sighting WHERE county = ? AND subject = ?",
            (self.county, ident),
        ):
            section = self.sections.by_id(number)
            live = section is not None and missed_from == 0 and state in SEEN
            seen = (section.confirmed if live and section else None) or confirmed
            fresh = section is not None and section.fresh(self.now)
            found.append(Sighting(number, key, state, detail, missed_from, seen, fresh))
        return found

    def _note(self, ident: str, what: str, before: str, after: str, section: int) -> None:
        # The first word on something is no change: its first_seen says as much.
        if before not in ("", after) and ident not in self.made:
            note(self.turn, Change(self.county, self.unit, ident, what, before, after, section), self.now)


def _latest(found: list[Sighting], now: float) -> float:
    return max((item.seen for item in found), default=now)


def _text(values: Mapping[str, Value], *names: str) -> str:
    for name in names:
        value: Any = values.get(name)
        if isinstance(value, str) and value:
            return "".join(char if char.isprintable() else "?" for char in value[:MAX_TEXT])
    return ""


def _product(values: Mapping[str, Value]) -> str:
    """Name what answers: the product with its version, or else the protocol that it speaks."""
    product, version, service = (_text(values, name) for name in ("product", "version", "service"))
    if product:
        return f"{product} {version}".strip()
    return "" if service == "unknown" else service


def _flag(values: Mapping[str, Value], name: str) -> bool | None:
    value = values.get(name)
    return value if isinstance(value, bool) else None


def _verdict(values: Mapping[str, Value], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) and value in VERDICTS else "unknown"
