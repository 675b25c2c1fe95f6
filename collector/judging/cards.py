"""Whether the cards and addresses of a device are its own: who else claims them, who shows its MAC as well. Pure.

Anybody can send another's MAC, so an approval that names one holds for whoever shows it; what can be told is that two
machines show it at once.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

from collector.inventory.identity.weights import ENOUGH, HOST_KINDS, WEIGHTS, read_proofs
from collector.sightings.picture import HOST, place, values_of
from probes.kit.evidence import is_virtual_mac
from rules.facts import FactValue
from wire.types import Value

_OF_MACHINE = (*HOST_KINDS, "hostkey")
"""Kinds of which a machine shows the same at each of its addresses; a certificate goes by the name that was asked."""
MOST = 64
"""Addresses that are held against one another, and values that are shown."""


def card_facts(said: Iterable[tuple[str, str]], cards: Collection[str]) -> dict[str, FactValue]:
    """Give the facts about the cards of a device from its sightings just now (key, detail) and the MACs that it has.

    None where no sighting shows a MAC: nobody looked from the link.
    """
    heard = list(said)
    others = {
        mac
        for key, detail in heard
        if key[0] == HOST and '"other_macs"' in detail
        for mac in _many(values_of(detail).get("other_macs"))
        if mac not in cards and not is_virtual_mac(mac)
    }
    shown = any(key[0] == HOST and '"mac"' in detail for key, detail in heard)
    several = len({place(key).name for key, _ in heard}) > 1
    told: dict[str, dict[str, set[str]]] = {}
    for key, detail in heard if several else ():
        values = values_of(detail)
        for kind in _OF_MACHINE:
            for proof, value in read_proofs(kind, values):
                told.setdefault(place(key).name, {}).setdefault(proof, set()).add(value)
    if not shown:
        return {"address_claimed_twice": None, "card_shown_twice": None}
    places = sorted(told)[:MOST]
    twice = next((pair for pair in combinations(places, 2) if _differ(told[pair[0]], told[pair[1]])), ())
    return {
        "address_claimed_twice": bool(others),
        "other_cards": tuple(sorted(others))[:MOST],
        "card_shown_twice": bool(twice),
        "card_shown_at": twice,
    }


def _differ(one: Mapping[str, set[str]], other: Mapping[str, set[str]]) -> bool:
    """Tell whether two addresses tell, with enough weight, of two machines, and nothing of one."""
    both = one.keys() & other.keys()
    return not any(one[kind] & other[kind] for kind in both) and sum(WEIGHTS[kind] for kind in both) >= ENOUGH


def _many(value: Value | list[str] | None) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
