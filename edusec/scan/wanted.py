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
from edusec.scan.ports import NONE, read_ports
from edusec.scan.profiles import DEFAULT, PROFILES
from edusec.scan.target_files import read_words
from edusec.scan.targets import Targets, check_word, read_targets, require_ports
from edusec.scan.whitelist import read_whitelist
from probes.kit import options, registry
from probes.kit.scope import Scope
from probes.kit.scope_file import load_scope
from wire.ports import expand, parse_ports
from wire.types import ScopeEntry, Transport, Value, WhitelistEntry

PROBES: Mapping[Transport, str] = {Transport.TCP: "open_ports", Transport.UDP: "udp_ports"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed; `options` are those of the TCP probe that were given, `ports` and `udp` None where not given.

    `frequencies` is a file in the form of nmap-services; `files` are of targets, beside the `@FILE` among the words.
    """

    targets: tuple[str, ...]
    files: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    ports: str | None = None
    udp: str | None = None
    frequencies: Path | None = None
    profile: str = DEFAULT
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
    parts = _parts(wanted)
    words = read_words(wanted.targets, wanted.files, check_word)
    if not words:
        raise Stop(t("缺少目标，例如：edusec scan 127.0.0.1", "no target is given; for example: edusec scan 127.0.0.1"))
    exclude = read_words(wanted.exclude, (), check_word)
    allowed = None if elsewhere else load_scope(wanted.scope or scope_file(), today)
    targets = read_targets(words, allowed, today, exclude=exclude)
    if allowed is not None:
        _require_asked_ports(wanted, parts, targets, allowed, today)
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
        check_options(part.probe, {**part.options, "ports": part.ports})
    asked = Asked(
        targets=_as_typed(wanted.targets, wanted.files),
        names=targets.names,
        ports=_typed(wanted.ports, parts, Transport.TCP),
        udp=_typed(wanted.udp, parts, Transport.UDP),
        scope=entries,
        whitelist=str(wanted.whitelist or ""),
        exclude=wanted.exclude,
        profile=wanted.profile,
    )
    return Work(targets.prefixes, parts, entries, wanted.seconds, asked, whitelist, today)


def _parts(wanted: Wanted) -> tuple[Part, ...]:
    """Give the parts; what was typed wins over the profile, and an empty set of the profile is the probe's own."""
    profile = PROFILES.get(wanted.profile)
    if profile is None:
        names = ", ".join(PROFILES)
        raise Stop(t(f"--profile：须为 {names} 之一", f"--profile: must be one of {names}"))
    given = {**profile.options, **wanted.options}
    if given.get("identify", True):
        given["fingerprints"] = tuple(str(file.resolve()) for file in fingerprint_files())
    tcp = _ports("--ports", wanted.ports, profile.ports or _default_ports("open_ports"), Transport.TCP, wanted)
    udp = _ports("--udp", wanted.udp, profile.udp or NONE, Transport.UDP, wanted)
    parts = [Part(Transport.TCP, tcp, given), Part(Transport.UDP, udp, {})]
    if not tcp and not udp:
        raise Stop(t("没有端口可扫描", "no port is left to scan"))
    return tuple(part for part in parts if part.ports)


def _ports(flag: str, typed: str | None, otherwise: str, transport: Transport, wanted: Wanted) -> str:
    if typed is not None:
        return read_ports(flag, typed, transport, wanted.frequencies)
    return read_ports(flag, otherwise, transport)


def _typed(typed: str | None, parts: Sequence[Part], transport: Transport) -> str:
    """Give the ports of a transport if they were asked for, as numbers."""
    if typed is None:
        return ""
    return next((part.ports for part in parts if part.transport is transport), "")


def _as_typed(words: Sequence[str], named: Sequence[Path]) -> tuple[str, ...]:
    return (*words, *(f"@{file}" for file in named))


def _default_ports(probe: str) -> str:
    return next(str(item.default) for item in options.describe(registry.load(probe)) if item.name == "ports")


def _require_asked_ports(wanted: Wanted, parts: Sequence[Part], targets: Targets, allowed: Scope, today: date) -> None:
    """Refuse ports asked for by number that nobody authorised; of a set with a name the authorised ones are taken."""
    for part in parts:
        typed = wanted.ports if part.transport is Transport.TCP else wanted.udp
        if typed and typed[0].isdigit():
            require_ports(targets, expand(parse_ports(typed)), allowed, today)


def _limits(given: Mapping[str, Value]) -> Limits:
    """Let the runner's own caps follow what the operator asked for."""
    plain = Limits()
    rate = max(plain.rate, float(str(given.get("rate", 0))))
    connections, per_host = (int(str(given.get(name, 0))) for name in ("connections", "per_host"))
    return Limits(rate, max(plain.connections, connections), max(plain.per_host, per_host))
