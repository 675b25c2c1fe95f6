"""Alerts as people see and handle them."""

from collector import views
from collector.core import Core
from collector.registry.people import Person


def list_alerts(
    core: Core, person: Person, under: str | None = None, state: str | None = None, rule: str | None = None
) -> list[views.Alert]:
    """Give alerts; without a state those that stand (firing, acknowledged), `all` for every one; raises NotFound."""
    raise NotImplementedError


def show_alert(core: Core, person: Person, alert_id: str) -> views.Alert:
    """Give one alert; raises NotFound."""
    raise NotImplementedError


def acknowledge(core: Core, person: Person, alert_id: str, note: str) -> views.Alert:
    """Take note of a firing alert; raises NotFound, Forbidden, Conflict."""
    raise NotImplementedError


def resolve(core: Core, person: Person, alert_id: str, note: str) -> views.Alert:
    """Close an alert with a reason; raises NotFound, Forbidden, BadInput, Conflict."""
    raise NotImplementedError
