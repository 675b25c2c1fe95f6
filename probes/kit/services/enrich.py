"""Tell of open services who they are: passes a scan on, and says of each service what was heard of it."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from probes.kit.contract import IDENTIFIED, Progress, Yield
from probes.kit.errors import READING
from probes.kit.fingerprint.bounded import Patience
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.fingerprint.own import built_in
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.scope.targets import plain_prefixes
from probes.kit.sending.net import Net
from probes.kit.services import identity
from probes.kit.services.drive import Drive
from probes.kit.services.talk import Heard
from wire.ports import format_ports
from wire.types import Observation, Outcome, Skipped, Value

KEPT = (
    "authentication",
    "banner",
    "cert",
    "cluster",
    "dhcp.dns",
    "dhcp.domain",
    "dhcp.router",
    "dhcp.server",
    "dns.recursion",
    "firmware",
    "host.dns_name",
    "host.domain",
    "host.mac",
    "host.name",
    "hostkey",
    "hostkey_type",
    "hostkey_unproven",
    "http.generator",
    "http.icon",
    "http.location",
    "http.login",
    "http.status",
    "http.title",
    "ldap.root",
    "mail.login",
    "mdns.services",
    "model",
    "ntp.stratum",
    "onvif",
    "protocol",
    "realm",
    "refusal",
    "rpc.programs",
    "security",
    "signing",
    "smb1",
    "starttls",
    "tls.cipher",
    "tls.issuer",
    "tls.key",
    "tls.names",
    "tls.not_after",
    "tls.not_before",
    "tls.outdated",
    "tls.self_signed",
    "tls.signature",
    "tls.subject",
    "tls.version",
)
"""Facts that travel with an observation; what changes from one look to the next (dates, cookies) stays here."""
MOST_CUT = 10
"""Searches that one host's answers may have cut short in a run, each some 0.2 s; then fingerprints are not asked."""
SHARE = 0.4
"""How much of a run's time is kept back for identification."""
_SHOW_SECONDS = 0.2


def identified(
    scan: Iterable[Yield],
    net: Net,
    deadline: float,
    *,
    fingerprints: Sequence[Fingerprint] = (),
    probes: Sequence[ServiceProbe] = (),
) -> Iterator[Yield]:
    """Pass a scan on as it comes, open services with a first word (`contract.Words`); ask them once the scan is over.

    The scan's sockets would wait for us in between and take it for silence. What comes of a service is said at once, so
    that whoever ends the run has it; of those that were not asked by the deadline a skipped part says so.
    """
    services: dict[tuple[str, int], Observation] = {}
    total = 0
    for item in scan:
        if isinstance(item, Progress):
            total = item.total
        elif isinstance(item, Observation) and item.outcome is Outcome.OPEN and item.target.port is not None:
            services[item.target.name, item.target.port] = item
            item = replace(item, values={**item.values, IDENTIFIED: False})
        yield item
    known = by_key((*built_in(), *fingerprints)) if services else {}
    patience = patience_of_hosts()
    count = len(services)
    refused: dict[tuple[str, int], str] = {}
    shown = time.monotonic()
    for result in Drive(net, probes=probes).steps(_in_turn(services), deadline):
        if result is not None and result.refused is not None:
            refused[result.address, result.port] = result.refused.skipped.reason
        elif result is not None:
            item = services.pop((result.address, result.port))
            fault = result.fault
            if result.heard is not None:
                try:
                    found = values_of(result.heard, known, patience[result.address])
                    item = replace(item, values={**item.values, **found})
                except READING as error:
                    fault = f"{type(error).__name__}: {error}"
            yield item
            if fault:
                yield Skipped(f"{result.address} ports {result.port}", because("not_read", fault))
        if time.monotonic() - shown > _SHOW_SECONDS:
            shown = time.monotonic()
            yield Progress(total, total, because("identifying", f"{count - len(services)}/{count}"))
    yield from _not_asked({pair: refused.get(pair, because("not_identified")) for pair in services})


def _not_asked(reasons: Mapping[tuple[str, int], str]) -> Iterator[Skipped]:
    """Say why services were not asked, those of the same ports and reason together."""
    ports: dict[tuple[str, str], list[int]] = defaultdict(list)
    for (name, port), reason in reasons.items():
        ports[name, reason].append(port)
    alike: dict[tuple[str, str], list[Address]] = defaultdict(list)
    for (name, reason), found in ports.items():
        alike[format_ports(found), reason].append(ip_address(name))
    for (text, reason), addresses in alike.items():
        for prefix in plain_prefixes(addresses):
            yield Skipped(f"{prefix} ports {text}"[:1024], reason)


def _in_turn(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Sort so that each host's first port comes before any host's second: one with thousands keeps none waiting."""
    turn: Counter[str] = Counter()

    def turn_of(pair: tuple[str, int]) -> int:
        turn[pair[0]] += 1
        return turn[pair[0]]

    return sorted(pairs, key=turn_of)


def patience_of_hosts() -> defaultdict[str, Patience]:
    """Give each host its patience: one whose answers take long to match, port by port, is soon asked about no more."""
    return defaultdict(lambda: Patience(MOST_CUT))


def values_of(
    heard: Heard, known: dict[str, tuple[Fingerprint, ...]], patience: Patience | None = None
) -> dict[str, Value]:
    """Give what an observation says of a service; names whose value is not known are left out."""
    found = identity.of(heard, known, patience)
    values: dict[str, Value] = {
        name: value
        for name in ("service", "product", "version", "vendor", "cpe", "device", "system", "application")
        if (value := getattr(found, name))
    }
    values |= {name: heard.facts[name] for name in KEPT if heard.facts.get(name)}
    values["confidence"] = round(found.confidence, 2)
    if found.evidence:
        values["evidence"] = found.evidence
    return values
