"""A scan as XML in the form of nmap's `-oX`, valid against its DTD, for whatever reads that.

Text from the network has its control characters and marks of direction written out (`\\x1b`), as everywhere, so that
what XML 1.0 cannot hold at all is never in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from edusec.scan.result.drift import Covered
from edusec.scan.result.lines import HOST, RUN, SERVICE, Line
from edusec.terminal.render import safe
from wire.ports import count, expand, format_ports, format_ranges, merge_ranges, parse_ports

_STATES = {"open_filtered": "open|filtered"}
_REASONS = {
    ("tcp", "open"): "syn-ack", ("tcp", "closed"): "reset", ("tcp", "filtered"): "no-response",
    ("udp", "open"): "udp-response", ("udp", "closed"): "port-unreach", ("udp", "filtered"): "admin-prohibited",
    ("udp", "open|filtered"): "no-response",
}  # fmt: skip
_SCAN_TYPES = {"tcp": "connect", "udp": "udp"}


def as_xml(lines: Sequence[Line]) -> bytes:
    """Write a scan: what was covered as scaninfo, each address as a host, its silent ports as extraports."""
    return ("\n".join(_document(lines)) + "\n").encode("utf-8", "replace")


def _document(lines: Sequence[Line]) -> Iterator[str]:
    run = next(line for line in lines if line["type"] == RUN)
    hosts = [line for line in lines if line["type"] == HOST]
    services: dict[str, list[Line]] = {}
    for line in lines:
        if line["type"] == SERVICE:
            services.setdefault(line["address"], []).append(line)
    start, end = _seconds(run["started"]), _seconds(run["finished"])
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield "<!DOCTYPE nmaprun>"
    yield _tag(
        "nmaprun",
        {
            "scanner": "nmap",
            "args": " ".join([run["software"], "scan", *_words(run)]),
            "start": start,
            "version": run["software"],
            "xmloutputversion": "1.05",
        },
        close=False,
    )
    yield from _scaninfo(run, lines)
    yield _tag("verbose", {"level": 0})
    yield _tag("debugging", {"level": 0})
    silent = Covered(run["silent"])
    for host in hosts:
        yield from _host(host, services.get(host["address"], []), silent, start, end)
    up = sum(host["presence"] == "present" for host in hosts)
    success = "success" if run["status"] in ("done", "partial") else "error"
    yield "<runstats>"
    yield _tag(
        "finished",
        {"time": end, "elapsed": max(0, end - start), "summary": run["reason"] or run["status"], "exit": success},
    )
    yield _tag("hosts", {"up": up, "down": 0, "total": len(hosts)})
    yield "</runstats>"
    yield "</nmaprun>"


def _words(run: Line) -> Iterator[str]:
    """Give what was asked, as it is typed: whoever imports the file takes scans of the same words for one series."""
    yield from run["targets"]
    for flag, values in (
        ("--exclude", run["exclude"]),
        ("--profile", [run["profile"]]),
        ("--ports", [run["ports"]]),
        ("--udp", [run["udp_ports"]]),
    ):
        yield from (f"{flag} {value}" for value in values if value)


def _scaninfo(run: Line, lines: Sequence[Line]) -> Iterator[str]:
    covered: dict[str, list[str]] = {}
    for item in (*run["coverage"], *run["silent"]):
        covered.setdefault(item["transport"] or "tcp", []).append(item["ports"])
    syn = any(line["type"] == SERVICE and line["method"] == "syn" for line in lines)
    for transport, texts in sorted(covered.items()):
        ports = expand(merge_ranges(pair for text in texts for pair in parse_ports(text)))
        kind = "syn" if transport == "tcp" and syn else _SCAN_TYPES[transport]
        facts = {"type": kind, "protocol": transport, "numservices": len(ports), "services": format_ports(ports)}
        yield _tag("scaninfo", facts)


def _host(host: Line, services: Sequence[Line], silent: Covered, start: int, end: int) -> Iterator[str]:
    yield _tag("host", {"starttime": start, "endtime": end}, close=False)
    up = host["presence"] == "present"
    reason = _why_up(host, services) if up else "user-set"
    yield _tag("status", {"state": "up" if up else "unknown", "reason": reason, "reason_ttl": 0})
    yield _tag("address", {"addr": host["address"].partition("%")[0], "addrtype": f"ipv{host['family']}"})
    if host.get("mac"):
        vendor = (host.get("maker") or {}).get("name")
        yield _tag("address", {"addr": host["mac"].upper(), "addrtype": "mac", "vendor": vendor})
    yield "<hostnames>"
    if host["name"]:
        yield _tag("hostname", {"name": host["name"], "type": "user"})
    yield "</hostnames>"
    yield "<ports>"
    quiet = merge_ranges(pair for ports in silent.ports(host["address"], "udp") for pair in ports)
    for transport, state, text in (
        ("tcp", "closed", host["closed"]),
        ("tcp", "filtered", host["filtered"]),
        ("udp", "closed", host.get("closed_udp")),
        ("udp", "filtered", host.get("filtered_udp")),
        ("udp", "open|filtered", format_ranges(quiet)),
    ):
        if text:
            number = count(parse_ports(text))
            yield _tag("extraports", {"state": state, "count": number}, close=False)
            reason = _REASONS[transport, state]
            yield _tag("extrareasons", {"reason": reason, "count": number, "proto": transport, "ports": text})
            yield "</extraports>"
    for line in services:
        yield from _port(line)
    yield "</ports>"
    yield "</host>"


def _why_up(host: Line, services: Sequence[Line]) -> str:
    """Give what proved that a host is there, as nmap calls it; hosts that only discovery found answered there."""
    transports = {line["transport"] for line in services}
    if transports:
        return _REASONS["tcp" if "tcp" in transports else "udp", "open"]
    if host["closed"]:
        return _REASONS["tcp", "closed"]
    return _REASONS["udp", "closed"] if host.get("closed_udp") else "localhost-response"


def _port(line: Line) -> Iterator[str]:
    yield _tag("port", {"protocol": line["transport"], "portid": line["port"]}, close=False)
    state = _STATES.get(line["state"], str(line["state"]))
    reason = _REASONS.get((line["transport"], state), "unknown-response")
    yield _tag("state", {"state": state, "reason": reason, "reason_ttl": 0})
    if line["service"] or line["product"]:
        confidence = min(10, max(0, round(10 * (line["confidence"] or 0))))
        facts = {
            "name": line["service"] or "unknown",
            "product": line["product"],
            "version": line["version"],
            "ostype": line["system"],
            "devicetype": line["device"],
            "method": "probed",
            "conf": confidence,
        }
        yield _tag("service", facts, close=False)
        if line["cpe"]:
            yield f"<cpe>{escape(_plain(line['cpe']))}</cpe>"
        yield "</service>"
    said = {name: _said(value) for name, value in sorted(line["details"].items()) if value not in (None, "", [], ())}
    if said:
        # One element for all: ndiff cannot read a port with several.
        output = "\n".join(f"{_plain(name)}: {_plain(value)}" for name, value in said.items())
        yield f'<script id="edusec" output={quoteattr(output)}>'
        for name, value in said.items():
            yield f"<elem key={quoteattr(_plain(name))}>{escape(_plain(value))}</elem>"
        yield "</script>"
    yield "</port>"


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _tag(name: str, facts: Mapping[str, object], *, close: bool = True) -> str:
    said = "".join(f" {key}={quoteattr(_plain(value))}" for key, value in facts.items() if value is not None)
    return f"<{name}{said}/>" if close else f"<{name}{said}>"


def _plain(value: object) -> str:
    # U+FFFE and U+FFFF are no characters of XML 1.0; whatever else is not is a control and was written out.
    return safe(value).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
