"""The contract between a probe and its runner.

A probe file ends with `PROBE = Probe(...)`; its file name is its name. `run` yields what it saw as it goes and raises
only CannotRun: a refusal or a timeout is an observation, never an error. The runner, not the probe, records duration,
success and isolation, and enforces time and memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from probes.kit import errors
from probes.kit.net import Net
from wire.text import Text
from wire.types import Coverage, Observation, Policy, SectionKind, Skipped

O = TypeVar("O")  # noqa: E741 (the options dataclass of a probe)

CannotRun = errors.CannotRun


class Privilege(StrEnum):
    """What a probe's process must hold beyond an ordinary user's rights."""

    NET_RAW = "net_raw"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, in work items of the probe's own choosing (address-port pairs, targets, bytes)."""

    done: int
    total: int
    note: str = ""


Yield = Observation | Coverage | Skipped | Progress


@dataclass(frozen=True, slots=True)
class Context:
    """What a runner gives to a probe.

    `net` is the only door to the network. `policy` is what the collector handed down, or an empty one. `deadline` is
    on time.monotonic(): a probe that sees it near ends its round, yields coverage for what it finished and Skipped for
    the rest.
    """

    net: Net
    policy: Policy
    deadline: float


@dataclass(frozen=True, slots=True)
class Probe(Generic[O]):
    """A probe: what it is for, how it runs, its options, and what it needs.

    `needs` names extras of the package (`raw`, `snmp`); `memory` is the limit of its process in bytes of address space.
    """

    summary: Text
    kind: SectionKind
    options: type[O]
    run: Callable[[O, Context], Iterator[Yield]]
    needs: tuple[str, ...] = ()
    privileges: frozenset[Privilege] = frozenset()
    memory: int = 256 << 20
