"""The door to a SYN scan: start the helper for one job, and read what it says."""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial

from probes.kit.evidence import normal_mac
from probes.kit.raw.helper.client import hear, unreadable
from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.packets.states import unpack_states
from probes.kit.raw.syn.messages import MOST_STATES, Done, Hosts, Job, Said, read_opened


@dataclass(frozen=True, slots=True)
class Opened:
    """A port that answered with a SYN-ACK, soon after it did; `seconds` is the round trip where it is certain."""

    address: str
    port: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class HostStates:
    """All that is known of one host at the end: a `State` byte per port of the job, ascending.

    `seconds` is its shortest round trip. Where it is not `certain`, packets got lost on the way to the end, or the time
    was over, and silence proves nothing. `mac` is its hardware address where it is on the link, else empty.
    """

    address: str
    states: bytes
    seconds: float | None
    certain: bool
    mac: str = ""


Event = Opened | Progress | HostStates | Done


def run(job: Job) -> Generator[Event, None, None]:
    """Start the helper for a job and yield what it says; closing the iterator ends the helper.

    One HostStates per target comes near the end, then Done. Raises CannotRun when it fails. The helper dies with the
    thread that started it.
    """
    from probes.kit.raw.syn.work import work

    with contextlib.closing(hear(partial(work, job), job.seconds, Said)) as lines:
        for said in lines:
            yield from _events(said)


def _events(said: Said) -> Iterator[Event]:
    try:
        for text in said.opened:
            yield Opened(*read_opened(text))
        if said.hosts is not None:
            yield from _hosts(said.hosts)
    except ValueError as error:
        raise unreadable(error) from None
    if said.progress is not None:
        yield said.progress
    if said.done is not None:
        yield said.done


def _hosts(hosts: Hosts) -> Iterator[HostStates]:
    states = unpack_states(hosts.states, MOST_STATES)
    count, rest = divmod(len(states), len(hosts.names) or 1)
    if rest:
        raise ValueError("the states do not belong to the hosts")
    told = zip(hosts.names, hosts.seconds, hosts.certain, hosts.macs, strict=True)
    for number, (name, seconds, certain, mac) in enumerate(told):
        row = states[number * count : (number + 1) * count]
        yield HostStates(name, row, seconds if seconds >= 0 else None, certain, normal_mac(bytes.fromhex(mac)))
