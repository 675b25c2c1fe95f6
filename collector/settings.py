"""What an operator may tune about the collector; durations in seconds, sizes in bytes."""

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

from wire.types import Range, Task


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """An IPv6 ratio (0 to 1) that a unit and all below it are to reach from the day `due` on, where no plan says so.

    `source` names the paper that sets it; without `unit` it is for every unit.
    """

    value: Annotated[float, Range(0.01, 1)]
    due: date
    source: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Scraping:
    """Where agents' metrics may be without a person's word: at these ports, and of these prefixes too.

    With `source` the address that a report came from counts; not so behind a proxy, where that is the proxy's.
    """

    ports: str = "9917"
    networks: tuple[str, ...] = ()
    source: bool = True


@dataclass(frozen=True, slots=True)
class Room:
    """How many hosts, services and sites one agent and one unit may hold in all, and what stays free of the disk."""

    per_agent: Annotated[int, Range(1000, 1_000_000_000)] = 5_000_000
    per_unit: Annotated[int, Range(1000, 1_000_000_000)] = 20_000_000
    free_bytes: Annotated[int, Range(0, 1 << 50)] = 256 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and durations with defaults that fit a county; nothing here is a secret or a path."""

    report_interval: float = 300.0
    targets: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    ipv6_targets: tuple[LocalTarget, ...] = ()
    scraping: Scraping = field(default_factory=Scraping)
    room: Room = field(default_factory=Room)

    ipv6_equal_results: int = 3
    """So many equal results in a row change what stands for IPv6."""
    ipv6_traffic_fall: float = 0.3
    """A share of IPv6 in traffic that fell by more than this part of itself within a week has dropped."""
    absent_after: int = 3
    """N: covering runs in a row that must miss something before it counts as absent."""
    unknown_after: float = 86_400.0
    """A section not confirmed for this long, and for three of its own periods, vouches for nothing any more."""
    scan_holds: float = 3_600.0
    """What a scan on order saw counts for this long: nobody repeats it, so it must not outlive the regular tasks."""
    silent_after: float = 3.0
    """An agent that missed this many report intervals counts as silent."""
    mac_addresses: int = 8
    """A MAC seen with more IPv4 addresses than this is a proxy and identifies none of them."""

    clock_tolerance: float = 300.0
    """An agent's clock may differ by this much before its times are corrected."""
    backlog: float = 7 * 86_400.0
    """Times further in the past than this are a wrong clock, not a late report."""

    flap: float = 3_600.0
    """An alert that matches again within this time after it resolved by itself is the same alert."""
    reopen_after: float = 86_400.0
    """An alert that a person resolved opens again when it still matches after this time."""
    judge_interval: float = 5.0
    """How often the clock-dependent facts are judged."""

    measurement_days: int = 90
    alert_days: int = 365
    change_days: int = 365
    forget_days: int = 90
    """Addresses, and devices known by nothing that lasts, are forgotten when they were not seen for so long."""
    scan_days: int = 30
    """Scans that people asked for, and their results."""

    queue_size: int = 512
    """Reports and changes that may wait for the writer; more are refused as busy."""
    group_size: int = 32
    retry_after: float = 5.0

    import_bytes: int = 16 << 20
    import_rows: int = 200_000
    whitelist_entries: int = 20_000
    """Most whitelist entries that apply to one unit, those of its ancestors included (the wire's own bound)."""
    registered_entries: int = 1_000
    """Most websites, systems and networks that one unit may register; as many targets fit into a policy."""
    page_limit: int = 500
    sightings_in_memory: int = 100_000
    """Sightings kept at hand for comparing; those of sections that reported least recently make room."""
    new_at_once: int = 100_000
    """Hosts, services and the like that one agent may bring into the inventory at once; the first look at a whole
    university is below. What it may bring comes back at `new_per_second`."""
    new_per_second: float = 10.0
    kept_at_once: int = 500_000
    kept_per_second: float = 3.0
    """The same for changes and samples, which are forgotten after their time."""
    sections_per_agent: int = 1_000
    """Tasks that one agent may have reported under names of their own; its row and its memory stay for good."""
    spools: int = 16
    """Spools remembered for each agent; an agent makes a new one only when it lost the old one."""
