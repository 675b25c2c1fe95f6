"""Self-check: what is wrong on this machine, and the exact command that mends it."""

from collections.abc import Callable, Iterator

from edusec.checks import authority, centre, gateway, machine
from edusec.checks.line import Line

CHECKS: tuple[Callable[[], Iterator[Line]], ...] = (
    machine.python,
    machine.packages,
    machine.extras,
    authority.scope,
    gateway.agents,
    centre.collector,
    machine.privileges,
    machine.ipv6,
    machine.disk,
    machine.limits,
)


def examine() -> Iterator[Line]:
    """Run every check, one after another."""
    for check in CHECKS:
        yield from check()
