"""What an operator asked for, checked as a whole before anything is sent, and what follows from it: the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from agent.job import Job, Limits
from edusec.exits import Stop
from edusec.flags import check_options
from edusec.lang import t
from edusec.places import fingerprint_files, scope_file
from edusec.scan.lines import Asked
from edusec.scan.targets import Targets, read_targets, require_ports
from edusec.scan.whitelist import read_whitelist
from probes.kit import options, registry
from probes.kit.scope import Scope
from probes.kit.scope_file import load_scope
from wire.ports import expand, format_ports, parse_ports
from wire.types import ScopeEntry, Transport, Value, WhitelistEntry

NO_PORTS = "none"
"""What to type for no TCP ports at all."""
PROBES: Mapping[Transport, str] = {Transport.TCP: "open_ports", Transport.UDP: "udp_ports"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed; `options` are those of the TCP probe that were given, `ports` and `udp` None where not given."""

    targets: tuple[str, ...]
    ports: str | None = None
    udp: str | None = None
    options: Mapping[str, Value] = field(default_factory=dict)
    whitelist: Path | None = None
    scope: Path | None = None
    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Part:
    """The ports of one transport, and the options of its probe without targets and ports."""

    transport: Transport
    ports: str
    options: Mapping[str, Value]

    @property
    def probe(self) -> str:
        """Name the probe that does it."""
        return PROBES[self.transport]


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: every part on all addresses of `prefixes`, within `seconds`; and what to judge it by."""

    prefixes: tuple[str, ...]
    parts: tuple[Part, ...]
    entries: tuple[ScopeEntry, ...]
    seconds: float
    asked: Asked
    whitelist: tuple[WhitelistEntry, ...]
    today: date

    def job(self, part: Part, prefixes: Sequence[str], ports: str, seconds: float) -> Job:
        """Give the job of some of the addresses and ports of a part."""
        given = {**part.options, "targets": tuple(prefixes), "ports": ports}
        return Job("scan", part.probe, seconds, given, self.entries, limits=_limits(part.options))


def prepare(wanted: Wanted, *, elsewhere: bool = False) -> Work:
    """Check everything; raises Stop, and OptionError, with what to change. Only names of domains are asked for.

    With `elsewhere` an agent will do the work: its own scope holds there, and names mean what they mean to it.
    """
    today = datetime.now(UTC).date()
    allowed = None if elsewhere else load_scope(wanted.scope or scope_file(), today)
    targets = read_targets(wanted.targets, allowed, today)
    parts = _parts(wanted)
    if allowed is not None:
        _require_asked_ports(wanted, targets, allowed, today)
    whitelist = read_whitelist(wanted.whitelist) if wanted.whitelist else ()
    entries = allowed.entries if allowed is not None else ()
    if targets.domains:
        if allowed is None:
            raise Stop(
                t(
                    f"{targets.domains[0]}：由单位的探针扫描时，目标须为地址",
                    f"{targets.domains[0]}: what an agent is to scan must be given by address",
                )
            )
        from edusec.scan.names import resolve

        resolved = resolve(targets, allowed, today)
        targets, entries = resolved.targets, (*entries, *resolved.lent)
    for part in parts:
        check_options(part.probe, {**part.options, "targets": targets.prefixes, "ports": part.ports})
    typed = "" if wanted.ports == NO_PORTS else wanted.ports or ""
    asked = Asked(wanted.targets, targets.names, typed, wanted.udp or "", entries, str(wanted.whitelist or ""))
    return Work(targets.prefixes, parts, entries, wanted.seconds, asked, whitelist, today)


def _parts(wanted: Wanted) -> tuple[Part, ...]:
    parts = []
    if wanted.ports != NO_PORTS:
        given = dict(wanted.options)
        if given.get("identify", True):
            given["fingerprints"] = tuple(str(file.resolve()) for file in fingerprint_files())
        parts.append(Part(Transport.TCP, _read("--ports", wanted.ports or _default_ports("open_ports")), given))
    if wanted.udp is not None:
        parts.append(Part(Transport.UDP, _read("--udp", wanted.udp or _default_ports("udp_ports")), {}))
    if not parts:
        raise Stop(t("--ports none 须与 --udp 同用", "--ports none leaves nothing to do without --udp"))
    return tuple(parts)


def _read(flag: str, ports: str) -> str:
    try:
        return format_ports(expand(parse_ports(ports)))
    except ValueError as error:
        raise Stop(f"{flag}: {error}") from None


def _default_ports(probe: str) -> str:
    return next(str(item.default) for item in options.describe(registry.load(probe)) if item.name == "ports")


def _require_asked_ports(wanted: Wanted, targets: Targets, allowed: Scope, today: date) -> None:
    for ports in (wanted.ports, wanted.udp):
        if ports and ports != NO_PORTS:
            require_ports(targets, expand(parse_ports(ports)), allowed, today)


def _limits(given: Mapping[str, Value]) -> Limits:
    """Let the runner's own caps follow what the operator asked for."""
    plain = Limits()
    rate, connections = given.get("rate", plain.rate), given.get("connections", plain.connections)
    return Limits(rate=max(plain.rate, float(str(rate))), connections=max(plain.connections, int(str(connections))))
