"""How much one agent and one unit may hold in all: what is seen stays for months, so a rate alone bounds nothing.

What an agent may hold follows from its scope, since a network of 250 addresses has no million hosts; the scope is the
agent's own word, so however large it is, the configuration's bound stays.
"""

import json
from ipaddress import ip_network

from collector.core import Core
from collector.errors import Full
from collector.memory.sections import AgentState, Sections
from collector.settings import Settings

ANYBODY = 200_000
"""Hosts, services and sites that any agent may hold: one host alone may show 65,535 open ports."""
FOR_ADDRESS = 1_000
"""How many more for each address of the scope: hosts take ever new IPv6 addresses, and each is a host of its own."""
MOST_ADDRESSES = 65_536
"""More addresses of one prefix do not count, as of every IPv6 network."""
REMEMBERED = 86_400.0


def room_of(settings: Settings, state: AgentState | None) -> int:
    """Give how many sightings an agent may hold, by the scope that its last report told."""
    return min(settings.room.per_agent, ANYBODY + FOR_ADDRESS * (_addresses(state.scope) if state is not None else 0))


def fullness(sections: Sections, settings: Settings, agent: str, now: float) -> float:
    """Give which part of its room an agent holds, at least 1 while something of it was refused within a day."""
    refused = sections.refused.get(agent)
    held = sections.stored(agent) / room_of(settings, sections.agents().get(agent))
    return max(held, 1.0) if refused is not None and now - refused < REMEMBERED else held


def require(core: Core, agent: str, unit: str, more: int, now: float) -> None:
    """Raise Full if an agent, or all agents of its unit together, would hold too much with so many sightings more.

    Only for the writer's thread, which sees what the work at hand has added already.
    """
    sections, most = core.sections, core.settings.room.per_unit
    held, room = sections.held(agent) + more, room_of(core.settings, sections.agent(agent))
    if held > room:
        why = f"this agent would hold {held} hosts, services and sites; by its scope it may hold {room}"
    elif (of_unit := sum(map(sections.held, core.directory.agents_of(unit))) + more) > most:
        why = f"the agents of unit {unit} would hold {of_unit} hosts, services and sites; all together may hold {most}"
    else:
        return
    sections.refused[agent] = now
    core.due.agents.append(agent)
    raise Full(f"{why}; where that is right, the collector's operator raises [room] in collector.toml")


def _addresses(scope: str) -> int:
    found = 0
    for entry in json.loads(scope):
        try:
            found += min(ip_network(entry["value"], strict=False).num_addresses, MOST_ADDRESSES)
        except (ValueError, KeyError, TypeError):
            found += 1  # a name
    return found
