"""The rows behind identities: which evidence points to which asset, and how assets are joined and taken apart again.

A merge is reversible: what it moved is written down (`joined`), and a pair that a person took apart (`apart`) is never
joined again by itself.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collector.clock import new_id
from collector.inventory.addresses import address
from collector.inventory.history import Change, note
from collector.inventory.picture import HOST, place
from collector.inventory.proof import Proof, kind_of_place
from collector.store.contract import Turn

MAC, LOCAL_MAC, ADDRESS, AGENT = "mac", "local_mac", "address", "agent"


@dataclass(slots=True)
class Devices:
    """The assets of one unit inside one transaction; `moved` and `services` are subjects to look at again.

    `section` is what new rows are first vouched for by; `baseline` tells of an address whether it is no news.
    """

    turn: Turn
    county: str
    unit: str
    section: int
    now: float
    seen_at: float
    baseline: Callable[[str], bool]
    moved: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def find(self, kind: str, value: str) -> str | None:
        """Give the asset that a piece of evidence points to."""
        found = self.turn.rows(
            "SELECT asset FROM evidence WHERE county = ? AND unit = ? AND kind = ? AND value = ?",
            (self.county, self.unit, kind, value),
        )
        return found[0][0] if found else None

    def kinds(self, asset: str) -> set[str]:
        """Give the kinds of evidence that point to an asset."""
        return {
            row[0]
            for row in self.turn.rows("SELECT kind FROM evidence WHERE county = ? AND asset = ?", (self.county, asset))
        }

    def point(self, kind: str, value: str, asset: str) -> None:
        """Let a piece of evidence point to an asset from now on."""
        self.turn.run(
            "INSERT INTO evidence (county, unit, kind, value, asset, section, first_seen) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (county, unit, kind, value) DO UPDATE SET asset = excluded.asset, "
            "section = excluded.section, first_seen = excluded.first_seen WHERE evidence.asset <> excluded.asset",
            (self.county, self.unit, kind, value, asset, self.section, self.seen_at),
        )

    def make(self, name: str) -> str:
        """Make an asset for what was seen at an address."""
        ident = new_id(self.now)
        self.turn.run(
            "INSERT INTO asset (county, id, unit, name, presence, standing, baseline, first_seen, confirmed, section) "
            "VALUES (?, ?, ?, '', 'unknown', 'no_list', ?, ?, ?, ?)",
            (self.county, ident, self.unit, self.baseline(name), self.seen_at, self.seen_at, self.section),
        )
        self.made.add(ident)
        return ident

    def hold(self, name: str, asset: str) -> str:
        """Let an address belong to an asset; whoever held it before loses it, with what answers there."""
        where = plain(name)
        before = self.find(ADDRESS, where)
        if before == asset:
            return asset
        if before is not None:
            self.hand_over(where, before, asset)
        self.point(ADDRESS, where, asset)
        if asset not in self.made:
            self.note(asset, "address", "", where)
        return asset

    def hand_over(self, where: str, old: str, new: str) -> None:
        """Re-link what was seen at an address: it is the new holder's now, whichever section saw it."""
        self.note(old, "address", where, "")
        for section, key in self.turn.rows(
            "SELECT section, key FROM sighting WHERE county = ? AND subject = ?", (self.county, old)
        ):
            what = place(key)
            if what.kind == HOST and plain(what.name) == where:
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND section = ? AND key = ?",
                    (new, self.county, section, key),
                )
        for ident, transport, port, family in self.turn.rows(
            "SELECT id, transport, port, family FROM service WHERE county = ? AND asset = ? AND address = ?",
            (self.county, old, where),
        ):
            if self.turn.rows("SELECT 1 FROM sighting WHERE county = ? AND subject = ?", (self.county, ident)):
                heir = self.service(new, where, family, transport, port, baseline=False)
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (heir, self.county, ident)
                )
                self.services |= {ident, heir}
        self.moved |= {old, new}

    def seen_at_kinds(self, asset: str) -> set[str]:
        """Give the kinds of addresses (proof.kind_of_place) at which an asset is seen just now."""
        return {
            kind_of_place(place(key).name)
            for (key,) in self.turn.rows(
                "SELECT key FROM sighting WHERE county = ? AND subject = ? AND state = 'present' AND missed_from = 0",
                (self.county, asset),
            )
            if key[0] == HOST
        }

    def apart(self, one: str, other: str) -> bool:
        """Tell whether a person said that two assets are not one device."""
        return bool(
            self.turn.rows(
                "SELECT 1 FROM apart WHERE county = ? AND one = ? AND other = ?", (self.county, *sorted((one, other)))
            )
        )

    def merge(self, old: str, new: str, why: Sequence[Proof], score: float = 1.0, person: str = "") -> bool:
        """Two assets turn out to be one device: `new` takes over all that points to `old`, whose row stays.

        False, and nothing done, where a person took the two apart.
        """
        if self.apart(old, new):
            return False
        ((first_seen, baseline),) = self._since(old)
        ((new_first, new_baseline),) = self._since(new)
        proofs = self.turn.rows(
            "SELECT kind, value FROM evidence WHERE county = ? AND asset = ? ORDER BY kind, value", (self.county, old)
        )
        self.turn.run(
            "INSERT INTO joined (county, id, unit, old, new, time, person, score, why, evidence, first_seen, baseline, "
            "undone) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                self.county, new_id(self.now), self.unit, old, new, self.now, person, score,
                json.dumps([list(proof) for proof in why], ensure_ascii=False),
                json.dumps([list(proof) for proof in proofs], ensure_ascii=False),
                new_first, bool(new_baseline),
            ),
        )  # fmt: skip
        self._move_services(old, new)
        self.turn.run("UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (new, self.county, old))
        self.turn.run("UPDATE evidence SET asset = ? WHERE county = ? AND asset = ?", (new, self.county, old))
        self.turn.run("UPDATE asset SET merged_into = ? WHERE county = ? AND id = ?", (new, self.county, old))
        self.turn.run(
            "UPDATE asset SET first_seen = ?, baseline = ? WHERE county = ? AND id = ? AND first_seen > ?",
            (first_seen, baseline, self.county, new, first_seen),
        )
        self._keep_apart(old, new)
        self.note(new, "merged", old, new)
        self.note(old, "merged", old, new)
        self.moved |= {old, new}
        return True

    def _since(self, asset: str) -> list[tuple[float, bool]]:
        return [
            (row[0], bool(row[1]))
            for row in self.turn.rows(
                "SELECT first_seen, baseline FROM asset WHERE county = ? AND id = ?", (self.county, asset)
            )
        ]

    def _move_services(self, old: str, new: str) -> None:
        for ident, where, transport, port in self.turn.rows(
            "SELECT id, address, transport, port FROM service WHERE county = ? AND asset = ?", (self.county, old)
        ):
            heir = self._service(new, where, transport, port)
            if heir is None:
                self.turn.run("UPDATE service SET asset = ? WHERE county = ? AND id = ?", (new, self.county, ident))
            else:
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (heir, self.county, ident)
                )
                self.services |= {heir}
            self.services |= {ident}

    def _keep_apart(self, old: str, new: str) -> None:
        """What was not the old asset is not the one that took it over either."""
        rows = self.turn.rows(
            "SELECT one, other, time, person FROM apart WHERE county = ? AND (one = ? OR other = ?)",
            (self.county, old, old),
        )
        for one, other, time, person in rows:
            self.keep_apart(new, other if one == old else one, time, person)

    def keep_apart(self, one: str, other: str, time: float, person: str) -> None:
        """Never join these two again without a person's word."""
        self.turn.run(
            "INSERT INTO apart (county, one, other, time, person) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (county, one, other) DO NOTHING",
            (self.county, *sorted((one, other)), time, person),
        )

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

    def note(self, subject: str, what: str, before: str, after: str) -> None:
        """Write a line of history, unless the subject is new: its first_seen says as much."""
        if subject not in self.made:
            note(self.turn, Change(self.county, self.unit, subject, what, before, after, self.section), self.now)


def plain(name: str) -> str:
    """Write an address in one spelling, without its zone; a name that is none stays as it is."""
    found = address(name)
    return name if found is None else str(found)
