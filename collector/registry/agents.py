"""Agents and their enrolment."""

from dataclasses import dataclass

from collector import views
from collector.core import Core
from collector.registry.people import Person
from wire.types import Enrolment, EnrolmentRequest


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """An authenticated agent and where it stands."""

    id: str
    name: str
    unit: str
    county: str


def create_token(core: Core, person: Person, unit: str, ttl_seconds: float) -> views.TokenSecret:
    """Make a one-time enrolment token; raises NotFound, Forbidden, BadInput."""
    raise NotImplementedError


def enrol(core: Core, request: EnrolmentRequest, now: float) -> Enrolment:
    """Spend a token (its secret part) for a credential; raises Unauthorised."""
    raise NotImplementedError


def authenticate(core: Core, credential: str) -> AgentIdentity | None:
    """Give the agent behind a credential, None for an unknown or revoked one."""
    raise NotImplementedError


def list_agents(core: Core, person: Person) -> list[views.Agent]:
    """Give every agent of the person's subtree."""
    raise NotImplementedError


def revoke(core: Core, person: Person, agent_id: str) -> None:
    """End an agent's credential; raises NotFound, Forbidden."""
    raise NotImplementedError


def scrape_targets(core: Core) -> list[views.ScrapeTarget]:
    """Give the agents that told a metrics URL."""
    raise NotImplementedError
