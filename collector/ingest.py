"""Reports in, facts out."""

from concurrent.futures import Future

from collector.core import Core
from collector.registry.agents import AgentIdentity
from wire.types import Answer, Report


def submit(core: Core, agent: AgentIdentity, report: Report, received: float) -> Future[Answer]:
    """Queue a report."""
    raise NotImplementedError
