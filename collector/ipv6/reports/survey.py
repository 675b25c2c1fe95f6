"""One reading of everything that a report about a subtree needs: levels, verdicts, colours, who reported."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from sqlalchemy import Connection, select

from collector.alerts.life import STANDING
from collector.clock import day
from collector.core import Core
from collector.ipv6.levels import UNIT
from collector.ipv6.ratios import Ratios, ratios_of, tally
from collector.ipv6.results import COVER, NETWORK_PART, SITE, Key
from collector.ipv6.targets import target_of
from collector.memory.codes import Kind as UnitKind
from collector.memory.directory import Node
from collector.memory.registered import Kind
from collector.store import tables
from collector.store.tables import alert, ipv6_level
from probes.kit.ipv6.ladder import FORECAST, UNCLEAR, Level, Ratio, Rung, forecast, lowest
from probes.kit.ipv6.model import Verdict
from rules.model import Colour

REPORTED_WITHIN = 86_400.0
SCHOOLS = frozenset({UnitKind.SCHOOL.value, UnitKind.UNIVERSITY.value})
UNKNOWN_LIGHT = "unknown"
_RANK = {colour.value: rank for rank, colour in enumerate(Colour)}


@dataclass
class Survey:
    """What is known of a subtree at one moment."""

    core: Core
    path: str
    now: float
    levels: dict[str, dict[Key, Level]] = field(default_factory=dict)
    verdicts: dict[str, dict[Key, Mapping[str, Verdict]]] = field(default_factory=dict)
    colours: dict[str, str] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The day as of which targets are in force."""
        return day(self.now)

    @cached_property
    def nodes(self) -> list[Node]:
        """The units of the subtree, parents before their children."""
        found = (node for node in self.core.directory.units.values() if node.path.startswith(self.path))
        return sorted(found, key=lambda node: node.path)

    @cached_property
    def _own(self) -> dict[str, Ratios]:
        return {
            node.code: ratios_of(self.core.register.own(node.code), self.levels.get(node.code, {}))
            for node in self.nodes
        }

    @cached_property
    def _reported(self) -> set[str]:
        """Units with an agent that reported lately."""
        heard = self.core.sections.agents()
        return {
            record.identity.unit
            for ident, record in list(self.core.directory.agents.items())
            if record.revoked is None and ident in heard and self.now - heard[ident].received <= REPORTED_WITHIN
        }

    def below(self, path: str) -> Iterable[Node]:
        """Give the units of a smaller subtree."""
        return (node for node in self.nodes if node.path.startswith(path))

    def ratios(self, path: str) -> Ratios:
        """Sum the ratios of a smaller subtree."""
        return sum((self._own[node.code] for node in self.below(path)), Ratios())

    def level(self, path: str) -> Level:
        """Give the level of the weakest unit that registered something."""
        return lowest(
            self.levels.get(node.code, {}).get((UNIT, ""), UNCLEAR)
            for node in self.below(path)
            if self.core.register.own(node.code)
        )

    def compliant(self, node: Node) -> bool | None:
        """Tell whether what one unit registered meets its target; None too where there is none."""
        target = target_of(self.core.settings, node, self.today)
        return None if target is None else self._own[node.code].meet(target.value)

    def schools(self, path: str) -> Ratio:
        """Count the schools that comply, each by itself."""
        return tally(self.compliant(node) for node in self.below(path) if node.kind in SCHOOLS)

    def reporting(self, path: str) -> Ratio:
        """Count the schools with an agent that reported within a day; that it did not is known, too."""
        return tally(node.code in self._reported for node in self.below(path) if node.kind in SCHOOLS)

    def covered(self, path: str) -> Ratio:
        """Count the registered networks whose clients use IPv6."""
        return tally(
            _answer(self.verdicts.get(node.code, {}).get((NETWORK_PART, entry.key), {}).get(COVER))
            for node in self.below(path)
            for entry in self.core.register.own(node.code)
            if entry.kind is Kind.NETWORK
        )

    def forecast(self, path: str) -> list[Ratio]:
        """Estimate the national platform's indicators over the registered websites."""
        found = [
            forecast(self.verdicts.get(node.code, {}).get((SITE, entry.key), {}))
            for node in self.below(path)
            for entry in self.core.register.own(node.code)
            if entry.kind is Kind.WEBSITE
        ]
        return [tally(_answer(verdicts[place]) for verdicts in found) for place in range(len(FORECAST))]

    def light(self, path: str) -> str:
        """Give the worst colour of an alert that stands; unknown where nobody looked lately."""
        nodes = list(self.below(path))
        worst = worst_colour(self.colours[node.code] for node in nodes if node.code in self.colours)
        looked = any(node.code in self._reported for node in nodes)
        return worst if worst != Colour.NONE.value or looked else UNKNOWN_LIGHT


def survey(core: Core, connection: Connection, path: str, now: float, *, with_verdicts: bool = True) -> Survey:
    """Read a subtree; the verdicts behind the levels are what takes longest."""
    found = Survey(core, path, now)
    within = tables.under(path)
    query = (
        select(
            ipv6_level.c.unit, ipv6_level.c.kind, ipv6_level.c.key, ipv6_level.c.confirmed, ipv6_level.c.possible,
            ipv6_level.c.verdicts,
        )
        .join(tables.unit, tables.unit.c.code == ipv6_level.c.unit)
        .where(within)
    )  # fmt: skip
    for unit, kind, key, low, high, verdicts in connection.execute(query):
        found.levels.setdefault(unit, {})[kind, key] = Level(Rung(low), Rung(high))
        if with_verdicts and verdicts != "{}":
            found.verdicts.setdefault(unit, {})[kind, key] = read_verdicts(verdicts)
    colours = (
        select(alert.c.unit, alert.c.colour)
        .join(tables.unit, tables.unit.c.code == alert.c.unit)
        .where(within, alert.c.state.in_(STANDING))
        .distinct()
    )
    for unit, colour in connection.execute(colours):
        found.colours[unit] = worst_colour((colour, found.colours.get(unit, Colour.NONE.value)))
    return found


def worst_colour(colours: Iterable[str]) -> str:
    """Give the gravest of some colours; `none` of nothing."""
    return max(colours, key=lambda colour: _RANK.get(colour, 0), default=Colour.NONE.value)


def read_verdicts(text: str) -> dict[str, Verdict]:
    """Read the verdicts of a level back."""
    return {name: Verdict(word) for name, word in json.loads(text).items()}


def _answer(verdict: Verdict | None) -> bool | None:
    return {Verdict.PASS: True, Verdict.WARN: True, Verdict.FAIL: False}.get(verdict or Verdict.UNKNOWN)
