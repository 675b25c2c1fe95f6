"""What a scan of a unit without targets looks at: the agent's own scope where it is small, else what is known there."""

import json
from dataclasses import fields

from sqlalchemy import select

from collector.core import Core
from collector.errors import Conflict
from collector.memory.directory import AgentIdentity
from collector.sightings.addresses import Address, Network, address, network
from collector.sightings.picture import HOST, place
from collector.store.tables import sighting
from probes.kit import registry
from probes.kit.errors import UnknownProbe
from probes.kit.scope.targets import plain_prefixes
from wire.text import Text

MAX_ADDRESSES = 4_096
"""Largest scope that is scanned address by address; of a larger one only the known addresses are."""
MAX_TARGETS = 1_000
THIS_MACHINE = ("127.0.0.1", "::1")


def takes_targets(probe: str) -> bool:
    """Tell whether a probe of this release has targets; one that only its agent knows gets what was asked for."""
    try:
        return any(item.name == "targets" for item in fields(registry.load(probe).options))
    except (UnknownProbe, ImportError):
        return False


def targets_for(core: Core, agent: AgentIdentity) -> tuple[str, ...]:
    """Give prefixes and addresses; the agent's own machine is always among them.

    An IPv6 prefix is never enumerated: of it, too, only known addresses count. Raises Conflict where so much is known
    that one scan would have to leave some of it out.
    """
    state = core.sections.agents().get(agent.id)
    small: list[Network] = []
    large: list[Network] = []
    for entry in json.loads(state.scope) if state else []:
        found = network(str(entry.get("value", "")))  # None: a domain
        if found is not None and not found.is_loopback:
            (small if found.num_addresses <= MAX_ADDRESSES else large).append(found)
    if sum(found.num_addresses for found in small) > MAX_ADDRESSES:
        small, large = [], [*small, *large]
    known = [place for place in _known(core, agent) if any(place in wide for wide in large)] if large else []
    targets = tuple(dict.fromkeys((*THIS_MACHINE, *map(str, small), *plain_prefixes(known))))
    if len(targets) > MAX_TARGETS:
        raise Conflict(
            Text(
                f"{agent.name} 的授权范围内有 {len(known)} 个已知地址，一次扫描容纳不下；请指定目标，如其中一个网段",
                f"{len(known)} addresses are known within the scope of {agent.name}, more than one scan takes; "
                "name targets, such as one of its prefixes",
            )
        )
    return targets


def _known(core: Core, agent: AgentIdentity) -> list[Address]:
    """Give the addresses at which this unit's agents see something now."""
    records = core.directory.agents
    sections = [state.id for state in core.sections.states() if records[state.agent].identity.unit == agent.unit]
    query = select(sighting.c.key).where(
        sighting.c.county == agent.county,
        sighting.c.section.in_(sections),
        sighting.c.state == "present",
        sighting.c.missed_from == 0,
    )
    with core.store.reader() as connection:
        places = [place(key) for key in connection.execute(query).scalars()]
    found = {address(what.name) for what in places if what.kind == HOST}
    return sorted((seen for seen in found if seen is not None), key=lambda seen: (seen.version, int(seen)))
