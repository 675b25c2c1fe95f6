"""Measurements, kept as they came."""

from collector import views
from collector.core import Core
from collector.registry.people import Person


def list_measurements(
    core: Core, person: Person, unit: str | None = None, probe: str = "", since: float = 0.0, limit: int = 1000
) -> list[views.Measurement]:
    """Give samples, newest first; raises NotFound."""
    raise NotImplementedError
