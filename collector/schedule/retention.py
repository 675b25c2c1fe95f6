"""What the store forgets, and when: measurements, changes, resolved alerts, orders that are over, tokens."""

from collector.clock import day
from collector.core import Core
from collector.store.contract import Turn
from wire.types import SectionKind

CHUNK = 200
"""Statements in one piece of work, so that reports wait for a short time only."""
DAY = 86_400.0
TOKEN_DAYS = 30

_OLD_MEASUREMENTS = (
    "DELETE FROM measurement WHERE county = ? AND unit = ? AND probe = ? AND time < ? AND id IN "
    "(SELECT id FROM measurement WHERE county = ? AND unit = ? AND probe = ? ORDER BY time LIMIT 1000)"
)
_OLD_LEVELS = "DELETE FROM ipv6_history WHERE county = ? AND time < ?"
_OLD_DAYS = "DELETE FROM ipv6_day WHERE county = ? AND day < ?"
_OLD_CHANGES = "DELETE FROM change WHERE county = ? AND time < ?"
# Orders that are not over stay, however old; so does their scan.
_OLD_RESULTS = (
    "DELETE FROM scan_result WHERE county = ? AND scan_order IN "
    "(SELECT id FROM scan_order WHERE county = ? AND state = 'ended' AND changed < ?)"
)
_OLD_ORDERS = (
    "DELETE FROM scan_order WHERE county = ? AND id IN (SELECT id FROM scan_order WHERE county = ? "
    "AND state IN ('cancelled', 'expired', 'ended', 'lost') AND changed < ?)"
)
_OLD_SCANS = (
    "DELETE FROM scan WHERE county = ? AND created < ? AND id NOT IN (SELECT scan FROM scan_order WHERE county = ?)"
)


def sweep(core: Core, now: float) -> None:
    """Remove what is older than it is kept, a little at a time; returns when all of it is durable."""
    settings, agents = core.settings, core.directory.agents
    tasks = {
        (state.county, agents[state.agent].identity.unit, state.probe)
        for state in core.sections.states()
        if state.kind == SectionKind.MEASUREMENT and state.agent in agents
    }
    old_measurement, old_change = now - settings.measurement_days * DAY, now - settings.change_days * DAY
    old_scan = now - settings.scan_days * DAY
    steps: list[tuple[str, tuple[object, ...]]] = [
        (_OLD_MEASUREMENTS, (*task, old_measurement, *task)) for task in sorted(tasks)
    ]
    for county in sorted({node.county for node in core.directory.units.values()}):
        steps += [
            (_OLD_CHANGES, (county, old_change)),
            (_OLD_LEVELS, (county, old_change)),
            (_OLD_DAYS, (county, day(old_change).isoformat())),
            (_OLD_RESULTS, (county, county, old_scan)),
            (_OLD_ORDERS, (county, county, old_scan)),
            (_OLD_SCANS, (county, old_scan, county)),
        ]
    steps += [
        ("DELETE FROM alert WHERE state = 'resolved' AND resolved < ?", (now - settings.alert_days * DAY,)),
        ("DELETE FROM enrolment_token WHERE expires < ?", (now - TOKEN_DAYS * DAY,)),
    ]
    for start in range(0, len(steps), CHUNK):

        def work(turn: Turn, part: list[tuple[str, tuple[object, ...]]] = steps[start : start + CHUNK]) -> None:
            for sql, values in part:
                turn.run(sql, values)

        core.store.write(work)
