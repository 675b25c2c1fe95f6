"""Whitelists."""

from typing import Literal

from collector import views
from collector.core import Core
from collector.registry.people import Person


def import_entries(core: Core, person: Person, data: bytes, filename: str, unit: str | None) -> views.ImportResult:
    """Import entries; raises BadFile, Forbidden, NotFound."""
    raise NotImplementedError


def list_entries(core: Core, person: Person, unit: str | None) -> list[views.WhitelistItem]:
    """Give the entries of a subtree."""
    raise NotImplementedError


def export(core: Core, person: Person, unit: str | None, form: Literal["csv", "xlsx"]) -> bytes:
    """Give the entries as a file that imports to the same."""
    raise NotImplementedError


def review(core: Core, person: Person, unit: str | None, days: int) -> views.WhitelistReview:
    """Give what needs a look."""
    raise NotImplementedError
