"""Takes the picture of one section into the inventory, inside the transaction of its report.

A section's sightings are its own; an asset, service or site is what all sections together say of it. What no section
changed is not written at all.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

from collector.clock import new_id
from collector.inventory.identity.devices import Devices
from collector.inventory.identity.match import Card, Identities, behind_several, companions
from collector.inventory.identity.proof import displaced, gather
from collector.inventory.keeping import subjects
from collector.inventory.keeping.identified import gave_up_login
from collector.memory.allowance import size_of
from collector.memory.directory import AgentIdentity
from collector.memory.sections import Sections, SectionState
from collector.sightings.addresses import address, plain
from collector.sightings.compare import Difference, KnownRow, Lost, compare, settle
from collector.sightings.coverage import Area, area, from_text, remember, skipped_text, to_text
from collector.sightings.look import Look
from collector.sightings.picture import HOST, SERVICE, SITE, Picture, draw, place, values_of
from collector.store.contract import Turn
from probes.kit import evidence
from wire.types import Body, Transport
from wire.whitelist import normal_mac

_INSERT_SIGHTING = (
    "INSERT INTO sighting (county, section, key, subject, state, detail, missed_from, first_seen, confirmed) "
    "VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)"
)
_UPDATE_SIGHTING = (
    "UPDATE sighting SET subject = ?, state = ?, detail = ?, missed_from = 0, confirmed = ? "
    "WHERE county = ? AND section = ? AND key = ?"
)


@dataclass(slots=True)
class Touched:
    """What a report changed, by id: these are to be judged; `answers` are assets that answer other ports otherwise."""

    assets: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)

    def add(self, other: "Touched") -> None:
        """Take in what another section touched."""
        self.assets |= other.assets
        self.answers |= other.answers
        self.services |= other.services
        self.sites |= other.sites


@dataclass(slots=True)
class Keeper:
    """The inventory as one report changes it; `now` is the collector's own time.

    `admit` is told what a section changes, and by how much more it then holds, and raises Busy or Full against it.
    """

    turn: Turn
    sections: Sections
    agent: AgentIdentity
    absent_after: int
    mac_addresses: int
    now: float
    admit: Callable[[Difference, int], None] = lambda _found, _more: None
    touched: Touched = field(default_factory=Touched)
    _section: Touched = field(default_factory=Touched)

    def take(self, state: SectionState, body: Body, before: SectionState | None) -> int | None:
        """Lay a body over what its section said before; gives the run that settles the next absence.

        `state` is the section as of this run, already counted; `before` as of the run before it.
        """
        picture, covered = draw(body.observations), area(body.coverage)
        known = self._known(state)
        found = compare(known, picture, covered, state.runs, self.absent_after)
        after, (former, details) = found.after(known), self._remember(state, body)
        held = size_of(after, details)
        self.admit(found, held - state.held)
        state.held = held
        self._apply(state, before, picture, found, _Baseline(covered, former))
        self.sections.keep_picture(state.id, after)
        return found.due

    def pass_on(self, state: SectionState) -> int | None:
        """Count a run that said nothing new and has absences to settle; gives the run that settles the next one."""
        known = self._known(state)
        found = settle(known, state.runs, self.absent_after)
        self._lose(state, found.lost, self.now)
        self._merge_all(state, frozenset())
        self.sections.keep_picture(state.id, found.after(known))
        return found.due

    def _known(self, state: SectionState) -> list[KnownRow]:
        at_hand = self.sections.picture(state.id)
        return (
            at_hand
            if at_hand is not None
            else self.turn.rows(
                "SELECT key, state, detail, missed_from FROM sighting WHERE county = ? AND section = ?",
                (state.county, state.id),
            )
        )

    def _remember(self, state: SectionState, body: Body) -> tuple[str | None, int]:
        """Store the coverage; gives what was ever covered before this run as text, None at the first one.

        And the number of characters that are stored now.
        """
        latest, skipped = to_text(body.coverage), skipped_text(body.skipped)
        rows = self.turn.rows(
            "SELECT coverage, covered, skipped FROM section_detail WHERE county = ? AND section = ?",
            (state.county, state.id),
        )
        former = ever = rows[0][1] if rows else None
        if not rows or (rows[0][0], rows[0][2]) != (latest, skipped):
            ever = to_text(remember(from_text(former or "[]"), body.coverage))
            self.turn.run(
                "INSERT INTO section_detail (county, section, coverage, covered, skipped) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (county, section) DO UPDATE SET coverage = excluded.coverage, "
                "covered = excluded.covered, skipped = excluded.skipped",
                (state.county, state.id, latest, ever, skipped),
            )
        return former, len(latest) + len(ever or "") + len(skipped)

    def _apply(
        self,
        state: SectionState,
        before: SectionState | None,
        picture: Picture,
        found: Difference,
        baseline: "_Baseline",
    ) -> None:
        if not (found.fresh or found.altered or found.lost):
            return
        devices = Devices(
            self.turn, state.county, self.agent.unit, state.id, self.now, state.finished, baseline.host,
            self.sections.agent_of, lambda section: self._is_outdated(section, state),
        )  # fmt: skip
        cards = _cards(picture) if found.fresh or found.altered else {}
        known = companions({name: card for name, card in cards.items() if card.mac}, self.mac_addresses)
        look = Look(
            cards.keys(), {name: cards[name].mac for name in known}, baseline.covered, behind_several(cards.values())
        )
        identities = Identities(devices, self.agent.id, look)
        self._lose(state, found.lost, (before and before.confirmed) or self.now)
        owners = self._identify(identities, picture, found, known)
        subject = _Subjects(self, identities, owners, baseline)
        # Hosts first: a service belongs to whoever holds its address by now.
        for key, seen in sorted(found.fresh.items(), key=lambda item: item[0][0] != HOST):
            ident = subject.of(key)
            self.turn.run(
                _INSERT_SIGHTING,
                (state.county, state.id, key, ident, *seen, state.finished, state.finished),
            )
        for old, seen in found.altered:
            # An identity found just now may have re-linked this sighting already.
            before_now = self._subject_of(state, old.key)
            ident = owners.get(old.key, before_now)
            self.turn.run(_UPDATE_SIGHTING, (ident, *seen, state.finished, state.county, state.id, old.key))
            self.touch(old.key, ident)
            self.touch(old.key, before_now)
            if old.key[0] == SERVICE and gave_up_login(old.detail, seen[1]):
                self.turn.run(
                    "UPDATE service SET baseline = ? WHERE county = ? AND id = ?", (False, state.county, ident)
                )
            if old.key[0] == HOST and seen[1] != old.detail:
                self._section.answers.add(ident)
        self._section.assets |= devices.moved
        self._section.services |= devices.services
        for section, keys in devices.doubted.items():
            self.sections.doubt(section, keys)
        self._merge_all(state, devices.made)

    def _is_outdated(self, section: int, state: SectionState) -> bool:
        """Tell whether another section last looked before the run at hand did."""
        other = self.sections.by_id(section)
        return section != state.id and other is not None and (other.confirmed or 0.0) < state.finished

    def _subject_of(self, state: SectionState, key: str) -> str:
        ((subject,),) = self.turn.rows(
            "SELECT subject FROM sighting WHERE county = ? AND section = ? AND key = ?", (state.county, state.id, key)
        )
        return str(subject)

    def _identify(
        self, identities: Identities, picture: Picture, changes: Difference, grouped: Mapping[str, list[str]]
    ) -> dict[str, str]:
        """Find the device behind every host that is new or altered, and weigh what changed services say of theirs."""
        hosts, named = [], dict[str, None]()
        changed = dict.fromkeys((*changes.fresh, *(old.key for old, _ in changes.altered)))
        for key in changed:
            if key[0] in (HOST, SERVICE):
                named[place(key).name] = None
                if key[0] == HOST:
                    hosts.append(key)
        if not named:
            return {}
        macs, found = identities.look.macs, {}
        proofs = gather(picture, {name: mac for name, mac in macs.items() if mac not in identities.look.shared})
        identities.share(proofs)
        for key in hosts:
            name = place(key).name
            mac, own = macs.get(name, ""), name in picture.own
            found[key] = identities.resolve(name, mac, grouped.get(name, ()), proofs.of.get(name, ()), own=own)
        altered = ((old.key, old.detail, new[1], not old.missed_from) for old, new in changes.altered)
        others = displaced(altered, changed, picture)
        unclear = {name for name in sorted(others - macs.keys()) if identities.give_way(name, proofs)}
        for name in named:
            if name not in unclear:
                identities.prove(name, proofs)
        # An earlier one of them may have been merged into a later one.
        return {key: identities.of_address(place(key).name) or ident for key, ident in found.items()}

    def _lose(self, state: SectionState, lost: Iterable[Lost], last_run: float) -> None:
        """Write what this run did not confirm; `last_run` is when the run before it, which did, ended."""
        for old, now, missed_from in lost:
            was_seen = old.missed_from == 0 and old.state in subjects.SEEN
            self.turn.run(
                "UPDATE sighting SET state = ?, missed_from = ?, confirmed = CASE WHEN ? THEN ? ELSE confirmed END "
                "WHERE county = ? AND section = ? AND key = ?",
                (now, missed_from, was_seen, last_run, state.county, state.id, old.key),
            )
            self.touch(old.key, self._subject_of(state, old.key))

    def touch(self, key: str, subject: str) -> None:
        """Note that a sighting of a subject changed."""
        kind = key[0]
        if kind == HOST:
            self._section.assets.add(subject)
        elif kind == SERVICE:
            self._section.services.add(subject)
        elif kind == SITE:
            self._section.sites.add(subject)

    def _merge_all(self, state: SectionState, made: AbstractSet[str]) -> None:
        merge = subjects.Merge(self.turn, self.sections, state.county, self.agent.unit, self.now, made)
        for ident in self._section.assets:
            merge.asset(ident)
        for ident in self._section.services:
            merge.service(ident)
        for ident in self._section.sites:
            merge.site(ident)
        self.touched.add(self._section)
        self._section = Touched()


def _cards(picture: Picture) -> dict[str, Card]:
    return {place(key).name: _card(detail) for key, (_, detail) in picture.seen.items() if key[0] == HOST}


@lru_cache(maxsize=16_384)
def _card(detail: str) -> Card:
    """Read the MAC of a host's detail, and its link; most come again run after run. A group's MAC is nobody's."""
    if '"mac"' not in detail:
        return Card("")
    values = values_of(detail)
    mac = evidence.normal_mac(bytes.fromhex(normal_mac(str(values.get("mac") or "")).replace(":", "")))
    return Card(mac, str(values.get("interface") or ""))


@dataclass(slots=True)
class _Baseline:
    """Whether something was there at the first run that covered it, which makes it no news."""

    covered: Area
    former: str | None
    _former: Area | None = None

    @property
    def first_run(self) -> bool:
        return self.former is None

    def host(self, name: str) -> bool:
        if self.first_run:
            return True
        return self.covered.host(name) and not self._before().host(name)

    def service(self, name: str, transport: str, port: int) -> bool:
        if self.first_run:
            return True
        of = Transport(transport)
        return self.covered.service(name, of, port) and not self._before().service(name, of, port)

    def _before(self) -> Area:
        if self._former is None:
            self._former = area(from_text(self.former or "[]"))
        return self._former


@dataclass(slots=True)
class _Subjects:
    """Gives each fresh sighting its subject, making it where there is none."""

    keeper: Keeper
    identities: Identities
    owners: dict[str, str]
    baseline: _Baseline

    def of(self, key: str) -> str:
        what = place(key)
        if what.kind == HOST:
            ident = self.owners[key]
        elif what.kind == SERVICE:
            owner = self.identities.of_address(what.name) or self.identities.resolve(what.name, "", ())
            if owner in self.identities.devices.made:
                self.keeper.touch(HOST, owner)
            found = address(what.name)
            ident = self.identities.devices.service(
                owner,
                plain(what.name),
                6 if found is not None and found.version == 6 else 4,
                what.transport,
                what.port,
                baseline=self.baseline.service(what.name, what.transport, what.port),
            )
        elif what.kind == SITE:
            ident = self._site(what.name)
        else:
            ident = self.identities.agent
        self.keeper.touch(key, ident)
        return ident

    def _site(self, name: str) -> str:
        made = self.identities.devices
        found = made.turn.rows(
            "SELECT id FROM site WHERE county = ? AND unit = ? AND name = ?", (made.county, made.unit, name)
        )
        if found:
            return str(found[0][0])
        ident = new_id(made.now)
        made.turn.run(
            "INSERT INTO site (county, id, unit, name, outcome, aaaa, ipv4, ipv6, standing, baseline, first_seen, "
            "confirmed, section) VALUES (?, ?, ?, ?, 'unknown', NULL, 'unknown', 'unknown', 'no_list', ?, ?, ?, ?)",
            (made.county, ident, made.unit, name, self.baseline.first_run, made.seen_at, made.seen_at, made.section),
        )
        made.made.add(ident)
        return ident
