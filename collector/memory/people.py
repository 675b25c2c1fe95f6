"""People and their roles, each of which includes those before it."""

from dataclasses import dataclass
from enum import StrEnum


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
