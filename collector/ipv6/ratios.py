"""The ratios of a policy: networks, websites and systems that came far enough, of all that are registered. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collector.ipv6.levels import SYSTEM, systems
from collector.ipv6.results import NETWORK_PART, SITE, Key
from collector.memory.registered import Entry, Kind
from probes.kit.ipv6.ladder import UNCLEAR, Level, Ratio, Rung

NETWORKS, WEBSITES, SYSTEMS = "networks", "websites", "systems"
METRICS = (NETWORKS, WEBSITES, SYSTEMS)
NEEDED: Mapping[str, Rung] = {NETWORKS: Rung.REACHABLE, WEBSITES: Rung.SUPPORTED, SYSTEMS: Rung.SUPPORTED}
"""How far each has to come to count: a network with clients that use it, a website or system that is supported."""
NOTHING = Ratio(0, 0)


@dataclass(frozen=True, slots=True)
class Ratios:
    """The three ratios of a unit, or of all units of a subtree together."""

    networks: Ratio = NOTHING
    websites: Ratio = NOTHING
    systems: Ratio = NOTHING

    def __add__(self, other: "Ratios") -> "Ratios":
        """Sum what is counted; percentages are never averaged."""
        return Ratios(*(joined(getattr(self, name), getattr(other, name)) for name in METRICS))

    def meet(self, target: float) -> bool | None:
        """Tell whether all that is registered meets a target (0 to 1) for certain, misses it for certain, or neither.

        No network registered leaves it open: a unit has one. A unit may well have no website or system.
        """
        found = [self.networks.meets(target)]
        found += [ratio.meets(target) for ratio in (self.websites, self.systems) if ratio.total]
        return False if False in found else None if None in found else True


def joined(one: Ratio, other: Ratio) -> Ratio:
    """Sum two counts."""
    return Ratio(one.passed + other.passed, one.total + other.total, one.unknown + other.unknown)


def count(levels: Iterable[Level], needed: Rung) -> Ratio:
    """Count what is far enough for certain, and what might be."""
    found = list(levels)
    passed = sum(level.confirmed >= needed for level in found)
    unknown = sum(level.confirmed < needed <= level.possible for level in found)
    return Ratio(passed, len(found), unknown)


def tally(found: Iterable[bool | None]) -> Ratio:
    """Count yes, no and unknown (None)."""
    answers = list(found)
    return Ratio(sum(answer is True for answer in answers), len(answers), sum(answer is None for answer in answers))


def ratios_of(entries: Iterable[Entry], levels: Mapping[Key, Level]) -> Ratios:
    """Give the ratios of one unit; what is registered and was never looked at is unknown."""
    registered = tuple(entries)
    parts: dict[str, list[Key]] = {
        NETWORKS: [(NETWORK_PART, entry.key) for entry in registered if entry.kind is Kind.NETWORK],
        WEBSITES: [(SITE, entry.key) for entry in registered if entry.kind is Kind.WEBSITE],
        SYSTEMS: [(SYSTEM, name) for name in systems(registered)],
    }
    return Ratios(*(count((levels.get(key, UNCLEAR) for key in parts[name]), NEEDED[name]) for name in METRICS))
