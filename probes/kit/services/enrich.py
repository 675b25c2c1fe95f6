"""Tell of open services who they are: takes a scan's observations and gives them back with what was heard."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from probes.kit.contract import Progress, Yield
from probes.kit.fingerprint.bounded import Patience
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.fingerprint.own import built_in
from probes.kit.net import Net
from probes.kit.services import identity
from probes.kit.services.drive import Drive
from probes.kit.services.talk import Heard
from wire.types import Observation, Outcome, TargetKind, Value

KEPT = (
    "authentication",
    "banner",
    "cert",
    "cluster",
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
    "http.status",
    "http.title",
    "ldap.root",
    "mdns.services",
    "model",
    "ntp.stratum",
    "onvif",
    "protocol",
    "realm",
    "refusal",
    "security",
    "signing",
    "tls.cipher",
    "tls.issuer",
    "tls.key",
    "tls.names",
    "tls.not_after",
    "tls.self_signed",
    "tls.subject",
    "tls.version",
)
"""Facts that travel with an observation; what changes from one look to the next (dates, cookies) stays here."""
MOST_CUT = 10
"""Searches that one host's answers may have cut short in a run, each some 0.2 s; then fingerprints are not asked."""
SHARE = 0.4
"""How much of a run's time is kept back for identification."""


def identified(
    scan: Iterable[Yield],
    net: Net,
    deadline: float,
    *,
    fingerprints: Sequence[Fingerprint] = (),
    probes: Sequence[ServiceProbe] = (),
) -> Iterator[Yield]:
    """Pass a scan on, with its open services identified at the end; coverage comes last, behind what it speaks for.

    Everything but progress waits until then: the scan's sockets would wait for us in between and take it for silence.
    """
    held: list[Yield] = []
    total = 0
    for item in scan:
        if isinstance(item, Progress):
            total = item.total
            yield item
        else:
            held.append(item)
    services = {
        (item.target.name, item.target.port): place
        for place, item in enumerate(held)
        if isinstance(item, Observation) and item.target.kind is TargetKind.SERVICE and item.outcome is Outcome.OPEN
    }
    pairs = [(name, port) for name, port in services if port is not None]
    known = by_key((*built_in(), *fingerprints)) if pairs else {}
    patience = patience_of_hosts()
    shown = time.monotonic()
    for done, result in enumerate(Drive(net, probes=probes).run(pairs, deadline), 1):
        place = services[result.address, result.port]
        item = held[place]
        if result.heard is not None and isinstance(item, Observation):
            held[place] = replace(
                item, values={**item.values, **values_of(result.heard, known, patience[result.address])}
            )
        if time.monotonic() - shown > 0.5:
            shown = time.monotonic()
            yield Progress(total, total, f"{done}/{len(pairs)} services")
    yield from held


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
