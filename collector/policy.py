"""What an agent is handed down."""

from collector.core import Core
from collector.registry.agents import AgentIdentity
from wire.types import Policy


def policy_for(core: Core, agent: AgentIdentity) -> Policy:
    """Give the policy of an agent."""
    raise NotImplementedError
