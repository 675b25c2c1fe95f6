"""The security light of registered networks: the worst alert whose subject lies within the network's prefix."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from collector.alerts.life import STANDING
from collector.core import Core
from collector.memory.directory import Node
from collector.sightings.addresses import Network, address, current_addresses, network
from collector.sightings.checks import check_of
from collector.sightings.picture import HOST, place, values_of
from collector.store.tables import alert, service, sighting
from rules.facts import AGENT_CHECKS, SubjectKind, check_fact
from wire.types import Outcome

LAN = "LAN-"
"""Checks of a link; what an agent says of itself lies in no network."""
_FACTS = {check_fact(check): check for check in AGENT_CHECKS if check.startswith(LAN)}
_WRONG = frozenset({Outcome.FAIL.value, Outcome.WARN.value})
Located = tuple[str, Network]
"""A colour, and where the subject of that alert lies."""


def located(core: Core, connection: Connection, node: Node) -> list[Located]:
    """Give where the standing alerts of a unit lie, as far as that is known.

    Services and assets lie where their addresses are, findings about a link where its prefixes are.
    """
    found: list[Located] = []
    mine = (alert.c.county == node.county, alert.c.unit == node.code, alert.c.state.in_(STANDING))
    for colour, where in connection.execute(
        select(alert.c.colour, service.c.address)
        .join(service, (service.c.county == alert.c.county) & (service.c.id == alert.c.subject))
        .where(*mine, alert.c.kind == SubjectKind.SERVICE.value)
    ):
        found += _at(colour, (where,))
    hosts: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    seen = (sighting.c.county == alert.c.county) & (sighting.c.subject == alert.c.subject)
    for colour, subject, key, state, missed in connection.execute(
        select(alert.c.colour, alert.c.subject, sighting.c.key, sighting.c.state, sighting.c.missed_from)
        .join(sighting, seen)
        .where(*mine, alert.c.kind == SubjectKind.ASSET.value)
    ):
        if place(key).kind == HOST:
            hosts.setdefault((colour, subject), []).append((place(key).name, state, missed))
    for (colour, _), names in hosts.items():
        found += _at(colour, current_addresses(names))
    for colour, rule, key, state, detail in connection.execute(
        select(alert.c.colour, alert.c.rule, sighting.c.key, sighting.c.state, sighting.c.detail)
        .join(sighting, seen)
        .where(*mine, alert.c.kind == SubjectKind.AGENT.value, sighting.c.missed_from == 0, sighting.c.detail != "")
    ):
        known = core.rules.by_id.get(rule)
        checks = {_FACTS[name] for name in known.reads if name in _FACTS} if known else set()
        if state in _WRONG and check_of(key) in checks:
            prefixes = values_of(detail).get("prefixes")
            found += _at(colour, map(str, prefixes) if isinstance(prefixes, list | tuple) else (key.split("|")[2],))
    return found


def colours_within(found: Iterable[Located], prefix: str) -> list[str]:
    """Give the colours of the alerts that lie within a prefix; a finding about a link, where the two overlap."""
    wanted = network(prefix)
    return [
        colour
        for colour, where in found
        if wanted is not None and where.version == wanted.version and where.overlaps(wanted)
    ]


def _at(colour: str, names: Iterable[str]) -> list[Located]:
    plain = (str(one) if (one := address(name)) is not None else name for name in names)
    return [(colour, where) for name in plain if (where := network(name)) is not None]
