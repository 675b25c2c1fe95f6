"""Sites as people see them."""

from collector import views
from collector.core import Core
from collector.registry.people import Person


def list_sites(core: Core, person: Person, under: str | None = None) -> list[views.Site]:
    """Give the sites of a subtree; raises NotFound."""
    raise NotImplementedError
