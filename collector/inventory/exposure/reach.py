"""From where a service can be reached: the word of agents and imported scans whose vantage an operator declared.

Open as seen from the internet is exposed to it. Not so is only what a covering scan from there settled otherwise; all
else is unknown. An address that holds good everywhere is the same one for whoever looks, so an outside machine of the
county speaks for the schools below it; a private address is known to agents of its own unit alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from collector.memory.directory import Directory
from collector.memory.sections import Sections, SectionState
from collector.sightings.addresses import Address, address
from collector.sightings.picture import SERVICE, values_of
from collector.store.contract import Statements
from rules.derive import is_private
from rules.facts import INTERNET, NOT_INTERNET, UNKNOWN, VANTAGES, FactValue
from rules.heard import heard
from wire.types import Transport

WIDEST_FIRST = tuple(reversed(VANTAGES))
CAMPUS = VANTAGES[0]


class Exposure(NamedTuple):
    """From where a service can be reached, by the word of which section, and what the service said to that one."""

    place: str = UNKNOWN
    section: int | None = None
    said: str = ""


NOBODY_LOOKED = Exposure()


class Port(NamedTuple):
    """A service by where it is."""

    unit: str
    address: str
    transport: str
    port: int

    @property
    def key(self) -> str:
        """Give the key of its sightings."""
        return f"{SERVICE}|{self.address}|{self.transport}|{self.port}"


class _Word(NamedTuple):
    """What one section says of a port: open or not (None: it may be either), and what the service said to it."""

    open: bool | None
    state: SectionState
    said: str = ""


@dataclass(slots=True)
class Exposures:
    """Reads exposures inside one transaction; `heard` tells whether a section's agent still speaks."""

    statements: Statements
    sections: Sections
    directory: Directory
    heard: Callable[[int], bool]
    now: float

    def of(self, port: Port) -> Exposure:
        """Give the exposure of a service, UNKNOWN unless somebody of declared vantage looked."""
        place = address(port.address)
        if place is None or place.is_loopback or place.is_link_local:
            return NOBODY_LOOKED
        denied: list[_Word] = []
        for vantage in WIDEST_FIRST:
            words = [word for state in self._looking(vantage, port.unit, place) if (word := self._word(state, port))]
            seen = [word for word in words if word.open]
            if seen:
                best = max(seen, key=self._trust)
                # It rests on those who denied what is wider too: it counts no longer than any of them.
                first = min((best, *denied), key=lambda word: word.state.stale_at or 0.0)
                return Exposure(vantage, first.state.id, best.said)
            if not words or any(word.open is None for word in words):
                break
            denied.append(max(words, key=self._trust))
        return Exposure(NOT_INTERNET, denied[0].state.id) if denied else NOBODY_LOOKED

    def facts(self, exposure: Exposure, today: date) -> dict[str, FactValue]:
        """Give the facts that follow, none where nobody's word counts any more."""
        if exposure.section is None or not self.heard(exposure.section):
            return {}
        agent = self.directory.agents[self.sections.agent_of(exposure.section)].identity
        found: dict[str, FactValue] = {"exposure": exposure.place, "exposure_by": agent.name}
        if exposure.place == INTERNET:
            # Who may ask depends on from where one asks: what it does for its own network is no answer here.
            found["dns_recursion"] = heard(values_of(exposure.said), today).get("dns_recursion")
        return found

    def _looking(self, vantage: str, unit: str, place: Address) -> Iterator[SectionState]:
        """Give the fresh sections of a vantage that may know an address of a unit."""
        private = is_private(place)
        if private and vantage == INTERNET:
            return
        near = private or vantage == CAMPUS
        for code in (unit,) if near else self.directory.chain(unit):
            for agent in self.directory.vantages.get(code, {}).get(vantage, ()):
                yield from (state for state in self.sections.of_agent(agent) if state.fresh(self.now))

    def _word(self, state: SectionState, port: Port) -> _Word | None:
        """Give what a section says of a port; None where it did not look, or looked at its own machine."""
        for found, said, own in self.statements.rows(
            "SELECT g.state, g.detail, EXISTS (SELECT 1 FROM service s JOIN evidence e ON e.county = s.county "
            "AND e.asset = s.asset AND e.kind = 'agent' AND e.value = ? WHERE s.county = g.county "
            "AND s.id = g.subject) FROM sighting g WHERE g.county = ? AND g.section = ? AND g.key = ?",
            (state.agent, state.county, state.id, port.key),
        ):
            if own:
                return None
            if found in ("open", "closed", "filtered"):
                return _Word(found == "open", state, said)
            return _Word(None, state) if found == "open_filtered" else None
        covered = self.sections.covered(self.statements, state)
        return _Word(False, state) if covered.service(port.address, Transport(port.transport), port.port) else None

    def _trust(self, word: _Word) -> tuple[bool, bool, float]:
        return self.heard(word.state.id), bool(word.said), word.state.confirmed or 0.0
