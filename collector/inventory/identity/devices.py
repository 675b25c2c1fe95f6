"""The rows behind identities: which evidence points to which asset, and how assets are joined and taken apart again.

A merge is reversible: what it moved is written down (`joined`), and a pair that a person took apart (`apart`) is never
joined again by itself.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from collector.clock import new_id
from collector.inventory.history import Change, note
from collector.inventory.identity.weights import LINK_LOCAL, Proof, kind_of_place
from collector.sightings.addresses import plain
from collector.sightings.picture import HOST, place
from collector.store.contract import Turn

MAC, LOCAL_MAC, ADDRESS, AGENT = "mac", "local_mac", "address", "agent"
SERVICE = "service"
"""Not evidence, but among what a merge moved."""
FORMER_MAC = "former_mac"
"""An invented MAC that was seen elsewhere since: the asset was never just an address."""
VIRTUAL_MAC = "virtual_mac"
"""A MAC that several machines show (VRRP), with the address at which it answered: it counts there only."""
CARDS = frozenset({MAC, LOCAL_MAC, FORMER_MAC, VIRTUAL_MAC})
SHOWN_CARDS = (MAC, LOCAL_MAC, VIRTUAL_MAC)
"""Kinds of MACs that an asset shows; see `card_of`."""
NOBODY = ""
"""Stands for the asset of what several devices showed at once, which is a proof of none."""


@dataclass(slots=True)
class Devices:
    """The assets of one unit inside one transaction; `moved` and `services` are subjects to look at again.

    `section` is what new rows are first vouched for by; `baseline` tells of an address whether it is no news, `agent`
    which agent a section is of, `outdated` whether another section looked last before this one did. `doubted` are keys
    of ports, by section, that were seen open before somebody else took their address.
    """

    turn: Turn
    county: str
    unit: str
    section: int
    now: float
    seen_at: float
    baseline: Callable[[str], bool]
    agent: Callable[[int], str]
    outdated: Callable[[int], bool] = lambda _section: False
    moved: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    doubted: dict[int, set[str]] = field(default_factory=dict)

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

    def hold(self, where: str, asset: str) -> str:
        """Let an address (see `spot`) belong to an asset; whoever held it before loses it, with what answers there."""
        before = self.find(ADDRESS, where)
        if before == asset:
            return asset
        if before is not None:
            self.hand_over(where, before, asset)
        self.point(ADDRESS, where, asset)
        if asset not in self.made:
            self.note(asset, "address", "", written(where))
        return asset

    def hand_over(self, where: str, old: str, new: str) -> None:
        """Re-link what is seen at an address to its new holder.

        Whether ports that another section saw before are open at that one nobody knows until it looks again.
        """
        self.note(old, "address", written(where), "")
        self._move(self.sightings_at(old, where), new)
        for ident, transport, port, family in self.turn.rows(
            "SELECT id, transport, port, family FROM service WHERE county = ? AND asset = ? AND address = ?",
            (self.county, old, written(where)),
        ):
            if moving := self.sightings_at(ident, where):
                heir = self.service(new, written(where), family, transport, port, baseline=False)
                self._move(moving, heir)
                self._doubt(moving)
                self.services |= {ident, heir}
        self.moved |= {old, new}

    def sightings_at(self, subject: str, where: str) -> list[tuple[int, str, str, int]]:
        """Give the sightings of a subject at an address (see `spot`): section, key, state, the run that missed it."""
        return [
            row
            for row in self.turn.rows(
                "SELECT section, key, state, missed_from FROM sighting WHERE county = ? AND subject = ?",
                (self.county, subject),
            )
            if spot(place(row[1]).name, self.agent(row[0])) == where
        ]

    def _move(self, sightings: Iterable[tuple[int, str, str, int]], subject: str) -> None:
        for section, key, _, _ in sightings:
            self.turn.run(
                "UPDATE sighting SET subject = ? WHERE county = ? AND section = ? AND key = ?",
                (subject, self.county, section, key),
            )

    def _doubt(self, sightings: Iterable[tuple[int, str, str, int]]) -> None:
        for section, key, _, _ in sightings:
            if self.outdated(section):
                self.turn.run(
                    "UPDATE sighting SET state = 'unknown', detail = '', missed_from = 0 "
                    "WHERE county = ? AND section = ? AND key = ?",
                    (self.county, section, key),
                )
                self.doubted.setdefault(section, set()).add(key)

    def seen_now(self, asset: str) -> list[tuple[str, str]]:
        """Give the names under which an asset is seen by the last word of any section, each with that one's agent."""
        return [
            (place(key).name, self.agent(section))
            for section, key in self.turn.rows(
                "SELECT section, key FROM sighting "
                "WHERE county = ? AND subject = ? AND state = 'present' AND missed_from = 0",
                (self.county, asset),
            )
            if key[0] == HOST
        ]

    def macs(self, asset: str) -> set[str]:
        """Give the MACs that point to an asset."""
        return {
            card_of(row[0])
            for row in self.turn.rows(
                "SELECT value FROM evidence WHERE county = ? AND asset = ? AND kind IN (?, ?, ?)",
                (self.county, asset, *SHOWN_CARDS),
            )
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
        proofs = [
            (row[0], row[1])
            for row in self.turn.rows(
                "SELECT kind, value FROM evidence WHERE county = ? AND asset = ? ORDER BY kind, value",
                (self.county, old),
            )
        ]
        proofs += [(SERVICE, ident) for ident in self._move_services(old, new)]
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

    def _move_services(self, old: str, new: str) -> list[str]:
        """Let the services of an asset be another one's; gives those that came over as they are."""
        moved = []
        for ident, where, transport, port in self.turn.rows(
            "SELECT id, address, transport, port FROM service WHERE county = ? AND asset = ?", (self.county, old)
        ):
            heir = self._service(new, where, transport, port)
            if heir is None:
                self.turn.run("UPDATE service SET asset = ? WHERE county = ? AND id = ?", (new, self.county, ident))
                moved.append(ident)
            else:
                self.turn.run(
                    "UPDATE sighting SET subject = ? WHERE county = ? AND subject = ?", (heir, self.county, ident)
                )
                self.services |= {heir}
            self.services |= {ident}
        return moved

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


def card_of(value: str) -> str:
    """Give the MAC that a piece of evidence of SHOWN_CARDS is about."""
    return value.partition(" ")[0]


def spot(name: str, agent: str) -> str:
    """Give what an address is known by within a unit; a link-local one counts only on the link of whoever saw it."""
    return f"{plain(name)}@{agent}" if kind_of_place(name) == LINK_LOCAL else plain(name)


def written(where: str) -> str:
    """Give the address of a spot as it was written."""
    name, _, _ = where.rpartition("@")
    return name if kind_of_place(name) == LINK_LOCAL else where
