"""Numbers about IPv6 for Prometheus: the whole tree in a few series, none of them by site."""

from sqlalchemy import Connection

from collector.core import Core
from collector.ipv6.ratios import METRICS
from collector.ipv6.reports.survey import survey
from probes.kit.ipv6.ladder import Ratio

STATES = ("passed", "unknown", "failed")
SCHOOLS = "schools"


def by_state(core: Core, connection: Connection, now: float) -> dict[tuple[str, str], int]:
    """Give how many registered networks, websites and systems, and how many schools, are in each state."""
    found = survey(core, connection, "", now, with_verdicts=False)
    ratios = found.ratios("")
    parts: dict[str, Ratio] = {metric: getattr(ratios, metric) for metric in METRICS} | {SCHOOLS: found.schools("")}
    return {
        (name, state): number
        for name, ratio in parts.items()
        for state, number in zip(
            STATES, (ratio.passed, ratio.unknown, ratio.total - ratio.passed - ratio.unknown), strict=True
        )
    }
