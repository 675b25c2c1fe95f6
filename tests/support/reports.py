"""Reports as an agent would send them, made short for tests of the collector."""

import itertools
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wire.digest import section_digest
from wire.ports import format_ports
from wire.types import (
    Body,
    Coverage,
    Observation,
    Outcome,
    Report,
    RunStatus,
    Section,
    SectionKind,
    Skipped,
    Target,
    TargetKind,
    Transport,
    Value,
)

PORTS = "1-1024"


def host(name: str, /, *, closed: Iterable[int] = (), outcome: Outcome = Outcome.SEEN, **values: Value) -> Observation:
    """A host that answered."""
    shut = format_ports(closed)
    said = {**values, **({"closed": shut} if shut else {})}
    return Observation("open_ports", "connect", Target(TargetKind.HOST, name), outcome, 0.0, said)


def service(name: str, port: int, outcome: Outcome = Outcome.OPEN, /, **values: Value) -> Observation:
    """A TCP port."""
    target = Target(TargetKind.SERVICE, name, port, Transport.TCP)
    return Observation("open_ports", "connect", target, outcome, 0.0, values)


def site(name: str, outcome: Outcome = Outcome.PASS, /, **values: Value) -> Observation:
    """A web site."""
    return Observation("ipv6_reachability", "http", Target(TargetKind.SITE, name), outcome, 0.0, values)


def sample(probe: str, outcome: Outcome = Outcome.MEASURED, **values: Value) -> Observation:
    """What a measuring probe found."""
    return Observation(probe, "test", Target(TargetKind.AGENT, "self"), outcome, 0.0, values)


def covers(*prefixes: str, ports: str = PORTS) -> Coverage:
    """Coverage of TCP ports of some prefixes of one family."""
    return Coverage(prefixes, 6 if ":" in prefixes[0] else 4, ports, Transport.TCP)


def state(
    name: str,
    *said: Observation | Coverage | Skipped,
    at: float = 0.0,
    status: RunStatus = RunStatus.DONE,
    reason: str = "",
    probe: str = "open_ports",
    kind: SectionKind = SectionKind.STATE,
) -> Section:
    """A section with its body."""
    body = Body(
        tuple(item for item in said if isinstance(item, Observation)),
        tuple(item for item in said if isinstance(item, Coverage)),
        tuple(item for item in said if isinstance(item, Skipped)),
    )
    return Section(name, probe, kind, status, section_digest(probe, status, reason, body), at - 1, at, reason, body)


def ports(at: float, *open_ports: int) -> Section:
    """Make the open ports of 10.0.0.5 (22 unless told otherwise), its network covered."""
    return state(
        "ports",
        host("10.0.0.5"),
        *(service("10.0.0.5", port) for port in open_ports or (22,)),
        covers("10.0.0.0/24"),
        at=at,
    )


def unchanged(section: Section, at: float) -> Section:
    """The same section a run later, as its digest alone."""
    return Section(
        section.name, section.probe, section.kind, section.status, section.digest, at - 1, at, section.reason
    )


def measured(name: str, probe: str, values: Mapping[str, Value], *, at: float = 0.0) -> Section:
    """A section of a measuring probe."""
    return state(name, sample(probe, **values), at=at, probe=probe, kind=SectionKind.MEASUREMENT)


@dataclass
class Sender:
    """Numbers the reports of one agent."""

    agent: str
    spool: str = field(default_factory=lambda: secrets.token_hex(8))
    sequence: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def report(self, *sections: Section, created: float, **fields: object) -> Report:
        """The next report."""
        plain: dict[str, object] = {
            "agent": self.agent,
            "spool": self.spool,
            "sequence": next(self.sequence),
            "batch": secrets.token_hex(8),
            "created": created,
            "software": "test",
            "sections": sections,
            **fields,
        }
        return Report(**plain)  # type: ignore[arg-type]
