"""What an operator asked for, checked as a whole before anything is sent, and what follows from it: the work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from agent.probing.job import Job, Limits
from edusec.declare.flags import check_options
from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.local.places import fingerprint_files
from edusec.local.scopes import scope_of
from edusec.scan.request.asked import Asked
from edusec.scan.request.ports import NONE, read_ports
from edusec.scan.request.profiles import DEFAULT, PROFILES
from edusec.scan.request.target_files import read_words
from edusec.scan.request.targets import Targets, check_word, read_targets, require_ports
from edusec.scan.request.whitelist import read_whitelist
from probes.kit import options, registry
from probes.kit.errors import CannotRun
from probes.kit.reasons import explain
from probes.kit.scope.model import Scope
from probes.kit.sending.pacing import QuietHours
from rules.facts import UNKNOWN
from wire.ports import expand, parse_ports
from wire.types import Transport, Value, WhitelistEntry

_MOST_QUIET_HOURS = 16
CAPS = ("rate", "connections", "per_host")
"""Options that bound all that a scan sends."""
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
    quiet_hours: tuple[str, ...] = ()
    vantage: str = UNKNOWN


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
    """What is to be done: every part on all addresses of `prefixes`, within `seconds`; and what to judge it by.

    `caps` (rate, connections, per_host) hold for all that it sends, whichever the probe.
    """

    prefixes: tuple[str, ...]
    parts: tuple[Part, ...]
    scope: Scope
    seconds: float
    asked: Asked
    whitelist: tuple[WhitelistEntry, ...]
    today: date
    quiet_hours: tuple[str, ...] = ()
    caps: Mapping[str, Any] = field(default_factory=dict)

    def job(self, part: Part, prefixes: Sequence[str], ports: str, seconds: float) -> Job:
        """Give the job of some of the addresses and ports of a part."""
        given = {**part.options, "targets": tuple(prefixes), "ports": ports}
        scope = self.scope
        return Job("scan", part.probe, seconds, given, scope.entries, limits=self.limits, scope_file=scope.file)

    @property
    def limits(self) -> Limits:
        """What every probe of this work may use."""
        return replace(Limits(quiet_hours=self.quiet_hours), **self.caps)


def prepare(wanted: Wanted, *, elsewhere: bool = False) -> Work:
    """Check everything; raises Stop with what to change. Only names of domains are asked for.

    With `elsewhere` an agent will do the work: its own scope holds there, and names mean what they mean to it.
    """
    today = datetime.now(UTC).date()
    given = _given(wanted)
    parts = _parts(wanted, given)
    words = read_words(wanted.targets, wanted.files, check_word)
    if not words:
        raise Stop(t("缺少目标，例如：edusec scan 127.0.0.1", "no target is given; for example: edusec scan 127.0.0.1"))
    exclude = read_words(wanted.exclude, (), check_word)
    allowed = None if elsewhere else scope_of(wanted.scope, today)
    targets = read_targets(words, allowed, today, exclude=exclude)
    if allowed is not None:
        require_engine(parts)
        _require_asked_ports(wanted, parts, targets, allowed, today)
    whitelist = read_whitelist(wanted.whitelist) if wanted.whitelist else ()
    scope = allowed or Scope()
    if targets.domains:
        if allowed is None:
            raise Stop(
                t(
                    f"{targets.domains[0]}：由单位的代理扫描时，目标须为地址",
                    f"{targets.domains[0]}: what an agent is to scan must be given by address",
                )
            )
        from edusec.scan.request.names import resolve

        resolved = resolve(targets, allowed, today)
        targets, scope = resolved.targets, Scope((*allowed.entries, *resolved.lent), allowed.file)
    for part in parts:
        check_options(part.probe, {**part.options, "ports": part.ports})
    caps = {name: given[name] for name in CAPS if name in given}
    check_options(PROBES[Transport.TCP], caps)  # also where no TCP port is asked
    asked = Asked(
        targets=_as_typed(wanted.targets, wanted.files),
        names=targets.names,
        ports=_typed(wanted.ports, parts, Transport.TCP),
        udp=_typed(wanted.udp, parts, Transport.UDP),
        scope=scope.entries if allowed is not None else (),
        whitelist=str(wanted.whitelist or ""),
        exclude=wanted.exclude,
        profile=wanted.profile,
        vantage=wanted.vantage,
    )
    quiet = _quiet_hours(wanted.quiet_hours)
    return Work(targets.prefixes, parts, scope, wanted.seconds, asked, whitelist, today, quiet, caps)


def _quiet_hours(spans: Sequence[str]) -> tuple[str, ...]:
    if len(spans) > _MOST_QUIET_HOURS:
        raise Stop(
            t(f"--quiet-hours：最多 {_MOST_QUIET_HOURS} 个", f"--quiet-hours: at most {_MOST_QUIET_HOURS} of them")
        )
    for text in spans:
        try:
            QuietHours.parse(text)
        except ValueError as error:
            raise Stop(
                t(
                    f"--quiet-hours {text}：须为本地时间的时段，如 07:30-12:00 或 22:00-06:00",
                    f"--quiet-hours: {error}",
                )
            ) from None
    return tuple(spans)


def _given(wanted: Wanted) -> dict[str, Value]:
    """Give the options of the TCP probe; what was typed wins over the profile."""
    profile = PROFILES.get(wanted.profile)
    if profile is None:
        names = ", ".join(PROFILES)
        raise Stop(t(f"--profile：须为 {names} 之一", f"--profile: must be one of {names}"))
    given = {**profile.options, **wanted.options}
    if given.get("identify", True):
        given["fingerprints"] = tuple(str(file.resolve()) for file in fingerprint_files())
    return given


def _parts(wanted: Wanted, given: Mapping[str, Value]) -> tuple[Part, ...]:
    """Give the parts; what was typed wins over the profile, and an empty set of the profile is the probe's own."""
    profile = PROFILES[wanted.profile]
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


def require_engine(parts: Iterable[Part]) -> None:
    """Refuse an engine that was asked for by name and cannot be had here; another would not be what was asked for."""
    wanted = {part.options.get("engine") for part in parts} - {None}
    if not wanted:
        return
    from probes.kit.scan.engine import SYN, choose

    try:
        if SYN in wanted:
            choose(SYN, 0)
    except CannotRun as error:
        raise Stop(explain(str(error), current()), ExitCode.PRIVILEGE) from None


def _require_asked_ports(wanted: Wanted, parts: Sequence[Part], targets: Targets, allowed: Scope, today: date) -> None:
    """Refuse ports asked for by number that nobody authorised; of a set with a name the authorised ones are taken."""
    for part in parts:
        typed = wanted.ports if part.transport is Transport.TCP else wanted.udp
        if typed and typed[0].isdigit():
            require_ports(targets, expand(parse_ports(typed)), allowed, today)
