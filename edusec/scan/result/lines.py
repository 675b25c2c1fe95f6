"""The result of a scan as lines: what `--json` prints, what `-o` writes and what the local file keeps.

Each line has `schema` (edusec.scan/1) and `type`: one `run` first, then `host`, `service` and `finding`, `drift` where
it was asked for, one `summary` last. Times are ISO 8601 UTC, durations seconds; unknown is null or the word `unknown`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import Any

from edusec.scan.request.asked import Asked
from edusec.scan.run.join import REFUSED
from probes.kit.makers.table import Makers
from rules.model import Judgement
from wire.codec import to_plain
from wire.coverage import pairs_of
from wire.ports import count, parse_ports
from wire.types import (
    Body,
    Observation,
    Outcome,
    ScopeEntry,
    Section,
    TargetKind,
    Transport,
    WhitelistEntry,
)
from wire.version import VERSION
from wire.whitelist import match_host, match_service

SCHEMA = "edusec.scan/1"
RUN, HOST, SERVICE, FINDING, DRIFT, SUMMARY = "run", "host", "service", "finding", "drift", "summary"

Line = Mapping[str, Any]
DEVICE = ("mac", "system")
"""What a host line says of the device where something was heard of it, else null."""


def run_line(identifier: str, asked: Asked, section: Section) -> Line:
    """Say what was run: under which authorisation, what it covered, what it did not."""
    body = section.body or Body()
    return {
        "schema": SCHEMA,
        "type": RUN,
        "id": identifier,
        "started": iso(section.started),
        "finished": iso(section.finished),
        "status": section.status.value,
        "reason": section.reason,
        "probe": section.probe,
        "targets": list(asked.targets),
        "exclude": list(asked.exclude),
        "profile": asked.profile,
        "vantage": asked.vantage,
        "ports": asked.ports,
        "udp_ports": asked.udp,
        "scope": [_scope(entry) for entry in asked.scope],
        "coverage": [_coverage(item) for item in body.coverage],
        "skipped": [to_plain(item) for item in body.skipped],
        "silent": [_coverage(item) for item in body.silent],
        "whitelist": asked.whitelist or None,
        "software": f"edusec/{VERSION}",
    }


def service_lines(section: Section, whitelist: Sequence[WhitelistEntry], today: date) -> list[Line]:
    """Give one line per observed port, in the order of addresses and ports, with what the whitelist says."""
    found = [item for item in (section.body or Body()).observations if item.target.kind is TargetKind.SERVICE]
    return [_service(item, whitelist, today) for item in sorted(found, key=_place)]


def host_lines(
    section: Section,
    services: Sequence[Line],
    asked: Asked,
    whitelist: Sequence[WhitelistEntry],
    today: date,
    makers: Makers,
) -> list[Line]:
    """Give one line per address that answered or was named: whether it is there, and its closed and filtered ports."""
    opened = Counter(line["address"] for line in services if line["state"] == Outcome.OPEN)
    body = section.body or Body()
    seen = {item.target.name: item for item in body.observations if item.target.kind is TargetKind.HOST}
    return [
        {
            "schema": SCHEMA,
            "type": HOST,
            "address": address,
            "name": asked.names.get(address, ""),
            "family": ip_address(address).version,
            "presence": "present" if address in opened or _is_seen(seen.get(address)) else "unknown",
            "open": opened[address],
            **{name: said.get(name, "") for name in REFUSED},
            **{name: said.get(name) for name in DEVICE},
            "maker": maker.plain() if maker else None,
            "standing": match_host(whitelist, [address], str(said.get("mac") or ""), today).standing.value,
        }
        for address in sorted({*(line["address"] for line in services), *seen}, key=address_order)
        for said in [seen[address].values if address in seen else {}]
        for maker in [makers.of(str(said.get("mac") or ""))]
    ]


def macs_of(section: Section) -> Iterator[str]:
    """Give the MACs that a scan saw."""
    observations = (section.body or Body()).observations
    return (
        str(mac) for item in observations if item.target.kind is TargetKind.HOST and (mac := item.values.get("mac"))
    )


def _is_seen(item: Observation | None) -> bool:
    return item is not None and item.outcome is Outcome.SEEN


def finding_line(judgement: Judgement) -> Line:
    """Say what a rule found, with its evidence and what to do."""
    rule, subject = judgement.rule, judgement.subject
    return {
        "schema": SCHEMA,
        "type": FINDING,
        "rule": rule.id,
        "colour": judgement.colour.value,
        "severity": rule.severity.name.lower(),
        "confidence": rule.confidence.value,
        "title": rule.title._asdict(),
        "basis": judgement.citation,
        "subject": {"kind": subject.kind.value, "id": subject.id, "label": subject.label},
        "evidence": to_plain(judgement.evidence),
        "remedy": rule.remedy._asdict(),
    }


def summary_line(section: Section, lines: Sequence[Line], fail_on: str, exposure_unknown: int) -> Line:
    """Count what was found; and services of which it matters, and is not known, whether the internet reaches them."""
    colours = Counter(line["colour"] for line in lines if line["type"] == FINDING)
    hosts = [line for line in lines if line["type"] == HOST]
    services = Counter(line["state"] for line in lines if line["type"] == SERVICE)
    for name, (_, state) in REFUSED.items():
        services[state] += sum(count(parse_ports(line[name])) for line in hosts)
    body = section.body or Body()
    services["open_filtered"] += sum(pairs_of(item) for item in body.silent if item.transport is Transport.UDP)
    return {
        "schema": SCHEMA,
        "type": SUMMARY,
        "hosts": sum(line["presence"] == "present" for line in hosts),
        "ports": {state: number for state, number in services.items() if number},
        "findings": dict(colours),
        "exposure_unknown": exposure_unknown,
        "not_covered": len(body.skipped),
        "fail_on": fail_on,
    }


def iso(seconds: float) -> str:
    """Write seconds since 1970 as ISO 8601 UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


IDENTITY = ("service", "product", "version", "vendor", "cpe", "device", "system", "confidence")
"""What identification says of a service; null where it said nothing. All else it heard is in `details`."""


def _service(item: Observation, whitelist: Sequence[WhitelistEntry], today: date) -> Line:
    target = item.target
    transport = target.transport or Transport.TCP
    port = target.port or 0
    match = match_service(whitelist, target.name, transport, port, today)
    return {
        "schema": SCHEMA,
        "type": SERVICE,
        "address": target.name,
        "family": ip_address(target.name).version,
        "transport": transport.value,
        "port": port,
        "state": item.outcome.value,
        "standing": match.standing.value,
        "expires": match.entry.expires.isoformat() if match.entry and match.entry.expires else None,
        **{name: item.values.get(name) for name in IDENTITY},
        "details": {name: value for name, value in item.values.items() if name not in IDENTITY},
        "method": item.method,
        "time": iso(item.time),
        "duration": item.duration,
    }


def _scope(entry: ScopeEntry) -> Line:
    until = entry.until.isoformat() if entry.until else None
    return {
        "value": entry.value,
        "ports": entry.ports,
        "until": until,
        "authoriser": entry.authoriser,
        "reason": entry.reason,
    }


def _coverage(item: Any) -> Line:
    return {"prefixes": list(item.prefixes), "family": item.family, "ports": item.ports, "transport": item.transport}


def _place(item: Observation) -> tuple[Any, ...]:
    return (*address_order(item.target.name), item.target.transport or "", item.target.port or 0)


def address_order(text: str) -> tuple[int, int]:
    """Give what addresses are sorted by: those of IPv4 first."""
    address = ip_address(text)
    return address.version, int(address)
