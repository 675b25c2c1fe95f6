"""The unit tree."""

from collector import views
from collector.core import Core
from collector.registry.people import Person


def import_units(core: Core, person: Person, data: bytes, filename: str) -> views.ImportResult:
    """Import units; raises BadFile, Forbidden."""
    raise NotImplementedError


def list_units(core: Core, person: Person, under: str | None = None) -> list[views.Unit]:
    """Give the units of a subtree, parents first; raises NotFound."""
    raise NotImplementedError
