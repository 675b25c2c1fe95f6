"""Which device is it? Assets have opaque ids; a MAC, an address or the agent itself is evidence for one.

Within a unit each piece of evidence points to one asset. A globally administered MAC or the agent's own machine is
strong: it alone decides. A locally administered MAC (phones invent them) decides only together with an address that it
held before. An address alone decides as long as no MAC contradicts it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from collector.clock import new_id
from collector.inventory.addresses import address, is_local_mac
from collector.inventory.history import Change, note
from collector.inventory.picture import HOST, own_machine, place
from collector.store.contract import Turn

MAC, LOCAL_MAC, ADDRESS, AGENT = "mac", "local_mac", "address", "agent"
STRONG = frozenset({MAC, AGENT})


@dataclass(slots=True)
class Identities:
    """Finds and makes the assets of one unit while one section is taken in; `moved` are subjects to look at again."""

    turn: Turn
    county: str
    unit: str
    agent: str
    section: int
    now: float
    seen_at: float
    baseline: Callable[[str], bool]
    moved: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def of_address(self, name: str) -> str | None:
        """Give the asset that holds an address now."""
        if own_machine(name):
            return self._find(AGENT, self.agent)
        return self._find(ADDRESS, _plain(name))

    def resolve(self, name: str, mac: str, companions: Iterable[str], *, own: bool = False) -> str:
        """Give the asset behind an address and a MAC ("" when unknown), making one where none fits.

        `companions` are the addresses that the same run saw with the same MAC; `own` says it is the agent's machine.
        """
        if own or own_machine(name):
            found = self._find(AGENT, self.agent) or self._adopt(name, mac) or self._make(name)
            self._point(AGENT, self.agent, found)
            if mac and not is_local_mac(mac):
                self._take_mac(mac, found)
            if not own_machine(name):
                holder = self.of_address(name)
                if holder not in (None, found) and self._is_seen_at(str(holder), name):
                    self._merge(str(holder), found)
                self._hold(name, found)
            return found
        if not mac:
            return self.of_address(name) or self._hold(name, self._make(name))
        if is_local_mac(mac):
            return self._by_local_mac(name, mac, companions)
        return self._by_mac(name, mac)

    def _by_mac(self, name: str, mac: str) -> str:
        holder, owner = self.of_address(name), self._find(MAC, mac)
        if owner is not None:
            if holder not in (None, owner) and not self._kinds(str(holder)) & {MAC, LOCAL_MAC, AGENT}:
                self._merge(str(holder), owner)
            return self._hold(name, owner)
        if holder is None or self._kinds(holder) & {MAC, LOCAL_MAC}:
            holder = self._hold(name, self._make(name))
        self._point(MAC, mac, holder)
        self._note(holder, "mac", "", mac)
        return holder

    def _by_local_mac(self, name: str, mac: str, companions: Iterable[str]) -> str:
        holder = self.of_address(name)
        owner = self._find(LOCAL_MAC, mac)
        # The MAC alone proves nothing; with an address that its owner holds, it does.
        known = next((asset for other in companions if (asset := self.of_address(other)) == owner), None)
        if owner is not None and (holder == owner or known is not None):
            if holder not in (None, owner) and not self._kinds(str(holder)) & {MAC, LOCAL_MAC, AGENT}:
                self._merge(str(holder), owner)
            return self._hold(name, owner)
        if holder is None or self._kinds(holder) & {MAC, LOCAL_MAC}:
            holder = self._hold(name, self._make(name))
        self._point(LOCAL_MAC, mac, holder)
        self._note(holder, "mac", "", mac)
        return holder

    def _adopt(self, name: str, mac: str) -> str | None:
        """An agent's machine may have been found before its agent said who it is."""
        if mac and not is_local_mac(mac) and (owner := self._find(MAC, mac)):
            return owner
        return None if own_machine(name) else self.of_address(name)

    def _is_seen_at(self, asset: str, name: str) -> bool:
        """Tell whether someone else sees a device at an address just now; another agent's machine is never meant."""
        return AGENT not in self._kinds(asset) and any(
            place(key).kind == HOST and _plain(place(key).name) == _plain(name)
            for (key,) in self.turn.rows(
                "SELECT key FROM sighting WHERE county = ? AND subject = ? AND state = 'present' AND missed_from = 0",
                (self.county, asset),
            )
        )

    def _take_mac(self, mac: str, asset: str) -> None:
        owner = self._find(MAC, mac)
        if owner is not None and owner != asset and AGENT not in self._kinds(owner):
            self._merge(owner, asset)
        elif owner != asset:
            self._point(MAC, mac, asset)
            self._note(asset, "mac", "", mac)

    def _hold(self, name: str, asset: str) -> str:
        """Let an address belong to an asset; whoever held it before loses it, with what answers there."""
        plain = _plain(name)
        before = self._find(ADDRESS, plain)
        if before == asset:
            return asset
        if before is not None:
            self._hand_over(plain, before, asset)
        self._point(ADDRESS, plain, asset)
        if asset not in self.made:
            self._note(asset, "address", "", plain)
        return asset

    def _hand_over(self, plain: str, old: str, new: str) -> None:
        """Re-link what was seen at an address: it is the new holder's now, whichever section saw it."""
        self._note(old, "address", plain, "")
        for section, key in self.turn.rows(
            "SELECT section, key FROM sighting WHERE county = ? AND subject = ?", (self.county, old)
        ):
            what = place(key)
            if what.kind == HOST and _plain(what.name) == plain:
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND section = ? AND key = ?",
                    (new, self.county, section, key),
                )
        for ident, transport, port, family in self.turn.rows(
            "SELECT id, transport, port, family FROM service WHERE county = ? AND asset = ? AND address = ?",
            (self.county, old, plain),
        ):
            if self.turn.rows("SELECT 1 FROM sighting WHERE county = ? AND subject = ?", (self.county, ident)):
                heir = self.service(new, plain, family, transport, port, baseline=False)
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (heir, self.county, ident)
                )
                self.services |= {ident, heir}
        self.moved |= {old, new}

    def _merge(self, old: str, new: str) -> None:
        """Two assets turn out to be one device; the row of the first stays, so that this can be undone."""
        taken = self.turn.rows(
            "SELECT id, address, transport, port FROM service WHERE county = ? AND asset = ?", (self.county, old)
        )
        for ident, where, transport, port in taken:
            heir = self._service(new, where, transport, port)
            if heir is None:
                self.turn.run("UPDATE service SET asset = ? WHERE county = ? AND id = ?", (new, self.county, ident))
            else:
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (heir, self.county, ident)
                )
                self.services |= {heir}
            self.services |= {ident}
        self.turn.run("UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (new, self.county, old))
        self.turn.run("UPDATE evidence SET asset = ? WHERE county = ? AND asset = ?", (new, self.county, old))
        self.turn.run("UPDATE asset SET merged_into = ? WHERE county = ? AND id = ?", (new, self.county, old))
        ((first_seen, baseline),) = self.turn.rows(
            "SELECT first_seen, baseline FROM asset WHERE county = ? AND id = ?", (self.county, old)
        )
        self.turn.run(
            "UPDATE asset SET first_seen = ?, baseline = ? WHERE county = ? AND id = ? AND first_seen > ?",
            (first_seen, baseline, self.county, new, first_seen),
        )
        self._note(new, "merged", old, new)
        self._note(old, "merged", old, new)
        self.moved |= {old, new}

    def service(self, asset: str, where: str, family: int, transport: str, port: int, *, baseline: bool) -> str:
        """Give the service of an asset at an address and port, making it where there is none."""
        found = self._service(asset, where, transport, port)
        if found is not None:
            return found
        ident = new_id(self.now)
        self.turn.run(
            "INSERT INTO service (county, id, unit, asset, address, family, transport, port, state, standing, product, "
            "baseline, first_seen, confirmed, changed, section) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'unknown', 'no_list', NULL, ?, ?, ?, ?, ?)",
            (
                self.county, ident, self.unit, asset, where, family, transport, port,
                baseline, self.seen_at, self.seen_at, self.seen_at, self.section,
            ),
        )  # fmt: skip
        self.made.add(ident)
        return ident

    def _service(self, asset: str, where: str, transport: str, port: int) -> str | None:
        found = self.turn.rows(
            "SELECT id FROM service WHERE county = ? AND asset = ? AND address = ? AND transport = ? AND port = ?",
            (self.county, asset, where, transport, port),
        )
        return found[0][0] if found else None

    def _make(self, name: str) -> str:
        ident = new_id(self.now)
        self.turn.run(
            "INSERT INTO asset (county, id, unit, name, presence, standing, baseline, first_seen, confirmed, section) "
            "VALUES (?, ?, ?, '', 'unknown', 'no_list', ?, ?, ?, ?)",
            (self.county, ident, self.unit, self.baseline(name), self.seen_at, self.seen_at, self.section),
        )
        self.made.add(ident)
        return ident

    def _find(self, kind: str, value: str) -> str | None:
        found = self.turn.rows(
            "SELECT asset FROM evidence WHERE county = ? AND unit = ? AND kind = ? AND value = ?",
            (self.county, self.unit, kind, value),
        )
        return found[0][0] if found else None

    def _kinds(self, asset: str) -> set[str]:
        return {
            row[0]
            for row in self.turn.rows("SELECT kind FROM evidence WHERE county = ? AND asset = ?", (self.county, asset))
        }

    def _point(self, kind: str, value: str, asset: str) -> None:
        self.turn.run(
            "INSERT INTO evidence (county, unit, kind, value, asset, section, first_seen) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (county, unit, kind, value) DO UPDATE SET asset = excluded.asset, "
            "section = excluded.section, first_seen = excluded.first_seen WHERE evidence.asset <> excluded.asset",
            (self.county, self.unit, kind, value, asset, self.section, self.seen_at),
        )

    def _note(self, subject: str, what: str, before: str, after: str) -> None:
        if subject not in self.made:
            note(self.turn, Change(self.county, self.unit, subject, what, before, after, self.section), self.now)


def companions(macs: Mapping[str, str], limit: int) -> dict[str, list[str]]:
    """Group the addresses of one run by MAC; a MAC with more IPv4 addresses than the limit is a proxy and left out."""
    grouped: dict[str, list[str]] = {}
    for name, mac in macs.items():
        grouped.setdefault(mac, []).append(name)
    return {
        mac: names
        for mac, names in grouped.items()
        if sum(found.version == 4 for name in names if (found := address(name)) is not None) <= limit
    }


def _plain(name: str) -> str:
    found = address(name)
    return name if found is None else str(found)
