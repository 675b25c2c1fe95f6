"""What an agent is handed down: the whitelist of its unit and of all above it, targets, tasks, the responder."""

import hashlib

from collector.core import Core
from collector.memory.directory import AgentIdentity
from collector.memory.registered import Kind, spelling
from wire.codec import encode
from wire.types import EntryKind, Policy, Responder

MAX_TARGETS = 1_000


def policy_for(core: Core, agent: AgentIdentity) -> Policy:
    """Give the policy of an agent as of now; its digest changes when anything in it does."""
    chain, settings = core.directory.chain(agent.unit), core.settings
    entries = core.whitelists.entries(chain)
    listed = (entry.value for entry in entries if entry.kind is EntryKind.DOMAIN and not entry.value.startswith("*"))
    registered = (
        entry.address
        for unit in core.register.watched(core.directory, agent.id)
        for entry in core.register.own(unit)
        if entry.kind is not Kind.NETWORK
    )
    # A website may be listed and registered, and be spelt in two ways: it is looked at once.
    sites: dict[str, str] = {}
    for site in (*registered, *settings.targets, *listed):
        sites.setdefault(spelling(site), site)
    responder = core.responder(agent.id)
    return Policy(
        digest=_digest(core, agent, responder),
        unit=agent.unit,
        unit_name=core.directory.units[agent.unit].name,
        report_interval=settings.report_interval,
        whitelist=entries,
        targets=tuple(sites.values())[:MAX_TARGETS],
        tasks=settings.tasks,
        responder=responder,
    )


def policy_digest(core: Core, agent: AgentIdentity) -> str:
    """Give the digest without building the policy: from the digests of its parts, cheap enough for every report."""
    return _digest(core, agent, core.responder(agent.id))


def _digest(core: Core, agent: AgentIdentity, responder: Responder | None) -> str:
    chain, settings = core.directory.chain(agent.unit), core.settings
    parts = (
        agent.unit,
        core.directory.units[agent.unit].name,
        repr(settings.report_interval),
        *settings.targets,
        *(encode(task).decode() for task in settings.tasks),
        core.whitelists.digest(chain),
        core.register.digest(core.register.watched(core.directory, agent.id)),
        "" if responder is None else encode(responder).decode(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
