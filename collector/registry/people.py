"""People, their roles, and the subtree that each may see."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.core import Core


class Role(StrEnum):
    """What a person may do; each role includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with a name, a role, and the unit at the root of what they see (None: the whole tree).

    `path` is that unit's path of codes, each followed by a slash; empty for the whole tree.
    """

    id: str
    name: str
    role: Role
    unit: str | None
    path: str = ""


def add_person(core: "Core", name: str, role: Role, unit: str | None) -> str:
    """Add a person bound to a unit's subtree and give their token; raises Conflict, NotFound or BadInput."""
    raise NotImplementedError


def authenticate(core: "Core", token: str) -> Person | None:
    """Give the person behind a token, None for an unknown one."""
    raise NotImplementedError
