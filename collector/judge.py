"""From facts to verdicts."""

from collector import views
from collector.core import Core


def list_rules(core: Core) -> list[views.Rule]:
    """Give the loaded rules."""
    raise NotImplementedError
