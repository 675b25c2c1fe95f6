"""Jobs for the SYN engine and what came of them, for the tests of this folder."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from probes.kit.raw.packets.states import State
from probes.kit.raw.syn import client
from probes.kit.raw.syn.client import HostStates, Opened
from probes.kit.raw.syn.messages import Done, Job
from tests.support.netns import Namespace
from tests.support.processes import wait_until
from wire.ports import expand, parse_ports
from wire.types import ScopeEntry

LAB = ("198.18.0.0/15", "2001:db8::/32", "fe80::/64")


def scope(*values: str, ports: str = "") -> tuple[ScopeEntry, ...]:
    """Authorise prefixes until tomorrow: midnight may pass while a test runs."""
    tomorrow = datetime.now(UTC).date() + timedelta(1)
    return tuple(ScopeEntry(value, "a person", "the lab", tomorrow, ports) for value in values)


def job(targets: Iterable[str], ports: str, **more: object) -> Job:
    """A job as fast as it goes, in the scope of the whole lab, unless said otherwise."""
    settings: dict[str, object] = {"scope": scope(*LAB), "rate": 1e7, "host_rate": 1e7, "seconds": 60.0, **more}
    return Job(tuple(targets), ports, **settings)  # type: ignore[arg-type]


@dataclass
class Result:
    """Everything that one run said."""

    ports: tuple[int, ...]
    opened: list[Opened] = field(default_factory=list)
    hosts: dict[str, HostStates] = field(default_factory=dict)
    done: Done | None = None

    def states(self, address: str) -> dict[int, State]:
        """State of each port of a host."""
        return {port: State(state) for port, state in zip(self.ports, self.hosts[address].states, strict=True)}

    def count(self) -> Counter[State]:
        """How many pairs are in which state."""
        return Counter(state for address in self.hosts for state in self.states(address).values())

    def open(self) -> set[tuple[str, int]]:
        """Pairs that are open in the end, which must be those that were told as they came."""
        found = {
            (address, port)
            for address in self.hosts
            for port, state in self.states(address).items()
            if state == State.OPEN
        }
        assert found == {(item.address, item.port) for item in self.opened}
        return found


def run(wanted: Job) -> Result:
    """Run a job to its end."""
    result = Result(expand(parse_ports(wanted.ports)))
    for said in client.run(wanted):
        if isinstance(said, Opened):
            result.opened.append(said)
        elif isinstance(said, HostStates):
            result.hosts[said.address] = said
        elif isinstance(said, Done):
            result.done = said
    assert result.done is not None
    return result


def usable(*spaces: Namespace) -> None:
    """Wait until the kernel uses IPv6 on links that were made just now, which takes it up to a second."""
    for space in spaces:
        wait_until(partial(_is_usable, space), "IPv6 in use")


def _is_usable(space: Namespace) -> bool:
    links = space.run(["ip", "-brief", "link", "show", "up"]).stdout.count("\n") - 1  # all but loopback
    addresses = space.run(["ip", "-6", "address"]).stdout
    return "tentative" not in addresses and addresses.count("inet6 fe80:") >= links


def scan(space: Namespace, targets: Iterable[str], ports: str, **more: object) -> Result:
    """Run a job inside a namespace."""
    return space.call(run, job(targets, ports, **more))


def expected(ports: Iterable[int], truth: Mapping[State, Iterable[int]], rest: State) -> dict[int, State]:
    """What a host's states must be."""
    named = {port: state for state, some in truth.items() for port in some}
    return {port: named.get(port, rest) for port in ports}
