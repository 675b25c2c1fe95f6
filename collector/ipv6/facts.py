"""What rules read about IPv6 levels and ratios; what is not certain either way is left out."""

from collections.abc import Iterable
from datetime import date

from collector.ipv6.levels import SYSTEM
from collector.ipv6.ratios import METRICS
from collector.ipv6.results import SITE
from collector.ipv6.targets import target_of
from collector.ipv6.weeks import ratios_below
from collector.memory.directory import Directory, Node
from collector.memory.registered import Entry, Kind, Register, spelling
from collector.settings import Settings
from collector.store.contract import Statements
from probes.kit.ipv6.ladder import Ratio, Rung
from rules.facts import FactValue

NEEDED = int(Rung.SUPPORTED)


def site_facts(
    statements: Statements,
    settings: Settings,
    directory: Directory,
    register: Register,
    unit: str,
    name: str,
    today: date,
) -> dict[str, FactValue]:
    """Give the level of a website: that of the unit that registered it, or else of the unit where it was found."""
    key = spelling(name)
    owner = next((code for code in reversed(directory.chain(unit)) if register.holds_site(code, key)), "")
    node = directory.units[owner or unit]
    return {"registered": bool(owner), **_level_facts(statements, settings, node, SITE, key, today)}


def system_facts(
    statements: Statements, settings: Settings, node: Node, name: str, entries: Iterable[Entry], today: date
) -> dict[str, FactValue]:
    """Give the addresses of a registered system, its level, and the highest protection level that an entry names."""
    own = [entry for entry in entries if entry.system == name and entry.kind is not Kind.NETWORK]
    return {
        "addresses": tuple(dict.fromkeys(entry.address for entry in own)),
        "mlps_level": max((entry.mlps_level for entry in own if entry.mlps_level is not None), default=None),
        **_level_facts(statements, settings, node, SYSTEM, name, today),
    }


def _level_facts(
    statements: Statements, settings: Settings, node: Node, kind: str, key: str, today: date
) -> dict[str, FactValue]:
    facts: dict[str, FactValue] = {}
    for low, high, held in statements.rows(
        "SELECT confirmed, possible, held FROM ipv6_level WHERE county = ? AND unit = ? AND kind = ? AND key = ?",
        (node.county, node.code, kind, key),
    ):
        # Where it may stand anywhere between two levels, only what both say is a fact.
        facts["ipv6_level"] = low if low == high else None
        facts["ipv6_level_lost"] = held - high if high < held else 0 if low >= held else None
        if target_of(settings, node, today) is not None:
            facts["ipv6_level_gap"] = NEEDED - high if high < NEEDED else 0 if low >= NEEDED else None
    return facts


def unit_facts(
    statements: Statements, settings: Settings, directory: Directory, node: Node, now: float, today: date
) -> dict[str, FactValue]:
    """Give the three ratios of a unit with all below it, and by how much each misses the target that is in force."""
    ratios, target = ratios_below(directory, statements, node.path, now), target_of(settings, node, today)
    facts: dict[str, FactValue] = {
        "ipv6_target_ratio": None if target is None else target.value,
        "ipv6_target_source": None if target is None else target.item.cite().strip(),
    }
    for metric in METRICS:
        ratio: Ratio = getattr(ratios, metric)
        if ratio.total:
            facts[f"ipv6_{metric}"] = f"{ratio.text.en}: {ratio.range}"
            facts[f"ipv6_{metric}_gap"] = None if target is None else gap(ratio, target.value)
    return facts


def gap(ratio: Ratio, target: float) -> float | None:
    """Give by how much a target is missed even at best, 0 when it is met even at worst, None in between."""
    met = ratio.meets(target)
    return None if met is None else 0.0 if met else target - ratio.possible
