"""Assets as people see them."""

from collector import views
from collector.core import Core
from collector.registry.people import Person


def list_assets(
    core: Core, person: Person, under: str | None = None, q: str = "", limit: int = 100, cursor: str | None = None
) -> views.AssetPage:
    """Give a page of assets; raises NotFound, BadInput."""
    raise NotImplementedError


def show_asset(core: Core, person: Person, asset_id: str) -> views.AssetDetail:
    """Give one asset with its history; raises NotFound."""
    raise NotImplementedError
