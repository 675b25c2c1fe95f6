"""Scans that nmap wrote as XML (`-oX`), read into a section as an agent would report it; hostile files cost little.

Coverage comes from what the file itself says was scanned: the ports of its scaninfo on every host that was up, less
those whose state nobody can tell (`open|filtered`, `unfiltered`). A host that was down or timed out is not covered.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from xml.sax import SAXException, SAXParseException

from collector.ingest.nmap_xml import MAX_TEXT, SETTLED, Host, Reader, Run, parse_ports_long
from collector.sheets.reading import Problems
from probes.kit.scope.addresses import Address
from probes.kit.scope.targets import prefixes
from wire.coverage import port_texts
from wire.digest import section_digest
from wire.ports import format_ranges, merge_ranges, parse_ports, without
from wire.text import Text, TextError
from wire.types import (
    Body,
    Coverage,
    Observation,
    Outcome,
    RunStatus,
    Section,
    SectionKind,
    Target,
    TargetKind,
    Transport,
    Value,
)

METHOD = "nmap"
MAX_OBSERVATIONS = 45_000
_MAX_COVERAGE = 900
_OPEN_OR_FILTERED = "open|filtered"
_REFUSED = (
    ("closed", Transport.TCP, "closed"),
    ("filtered", Transport.TCP, "filtered"),
    ("closed_udp", Transport.UDP, "closed"),
    ("filtered_udp", Transport.UDP, "filtered"),
)
"""Values of a host that list its ports of a transport in a state."""
_OUTPUTS = re.compile(r"\s-o[A-Z]\s+(\"[^\"]*\"|\S+)")


def read_nmap(data: bytes, filename: str, max_bytes: int) -> Section:
    """Read a file into a section whose name stands for the scan's arguments.

    Raises BadFile with every fault as file:line:field: what.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.sax import parseString as parse  # noqa: N813

    problems = Problems(filename)
    if len(data) > max_bytes:
        problems.add(0, "file", Text(f"文件大于 {max_bytes} 字节", f"the file is larger than {max_bytes} bytes"))
        problems.check()
    reader = Reader(problems)
    try:
        parse(data, reader)
    except SAXParseException as error:
        said = str(error.getMessage())
        problems.add(error.getLineNumber() or 1, "xml", Text("不是完整的 XML", f"is not whole XML: {said}"))
    except DefusedXmlException as error:
        said = type(error).__name__
        problems.add(1, "xml", Text(f"不接受实体声明（{said}）", f"entities are not taken ({said})"))
    except TextError as error:
        problems.add(reader.line, "xml", error.text)
    except (SAXException, ValueError, LookupError) as error:
        problems.add(1, "xml", Text(f"不是 XML：{error}", f"is not XML: {error}"))
    problems.check()
    run = reader.run
    if run.start is None or run.finished is None:
        problems.add(
            1, "nmaprun", Text("缺少 start 或 runstats", "has no start, or no runstats: the scan was not finished")
        )
        problems.check()
    return _section(run, problems)


def _section(run: Run, problems: Problems) -> Section:
    started, finished = run.start or 0.0, run.finished or 0.0
    observations = list(_observations(run, finished))
    skipped = list(run.skipped)
    if len(observations) > MAX_OBSERVATIONS:
        most = MAX_OBSERVATIONS
        problems.add(0, "file", Text(f"多于 {most} 项，请拆分", f"more than {most} facts, split the scan"))
        problems.check()
    body = Body(tuple(observations), tuple(_coverage(run)), tuple(skipped), tuple(_silent(run)))
    status = RunStatus.PARTIAL if run.failed or skipped else RunStatus.DONE
    reason = run.failed[:MAX_TEXT]
    probe = "open_ports"
    return Section(
        name=series(run.args),
        probe=probe,
        kind=SectionKind.STATE,
        status=status,
        digest=section_digest(probe, status, reason, body),
        started=started,
        finished=max(started, finished),
        reason=reason,
        body=body,
    )


def series(args: str) -> str:
    """Name what is comparable: scans by the same arguments, wherever they were written to."""
    plain = " ".join(_OUTPUTS.sub("", args).split())
    return f"nmap-{hashlib.sha256(plain.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _observations(run: Run, now: float) -> Iterator[Observation]:
    for host in run.hosts:
        if not host.up or host.address is None:
            continue
        name = str(host.address)
        told = {"mac": host.mac, "name": host.name, "system": host.system}
        values: dict[str, Value] = {key: text for key, text in told.items() if text}
        if host.system:
            values["system_confidence"] = host.system_accuracy / 100
        for key, transport, state in _REFUSED:
            text = _state_text(host, transport, state)
            if text and len(text) <= MAX_TEXT:
                values[key] = text
        yield Observation("open_ports", METHOD, Target(TargetKind.HOST, name), Outcome.SEEN, now, values)
        for (transport, port), (state, facts) in sorted(host.ports.items()):
            if state == "open":
                target = Target(TargetKind.SERVICE, name, port, transport)
                yield Observation("open_ports", METHOD, target, Outcome.OPEN, now, facts)


def _state_text(host: Host, transport: Transport, state: str) -> str:
    single = [port for (of, port), (found, _) in host.ports.items() if (of, found) == (transport, state)]
    more = (span for text in host.rest.get((transport, state), ()) for span in parse_ports(text))
    return format_ranges(merge_ranges((*more, *((port, port) for port in single))))


def _coverage(run: Run) -> Iterator[Coverage]:
    # Hosts with the same ports left open to doubt are covered alike: what that is costs once, and is bounded.
    alike: dict[tuple[int, Transport, bool, frozenset[int]], list[Address]] = defaultdict(list)
    for host in run.hosts:
        if host.up and not host.timed_out and host.address is not None:
            for transport in run.asked:
                untold = transport in host.untold
                singles = frozenset(
                    port
                    for (of, port), (state, _) in host.ports.items()
                    if of is transport and (state in SETTLED) == untold
                )
                alike[host.address.version, transport, untold, singles].append(host.address)
    asked = {transport: parse_ports_long(text) for transport, text in run.asked.items()}
    groups: dict[tuple[int, Transport, str], list[Address]] = defaultdict(list)
    for (version, transport, untold, singles), found in alike.items():
        if len(groups) >= _MAX_COVERAGE:
            break
        for text in _covered_ports(asked[transport], singles, untold=untold):
            groups[version, transport, text] += found
    for (version, transport, ports), addresses in sorted(groups.items(), key=lambda item: item[0])[:_MAX_COVERAGE]:
        yield Coverage(prefixes(addresses)[:4096], 4 if version == 4 else 6, ports, transport)


def _silent(run: Run) -> Iterator[Coverage]:
    """Give the UDP ports that were asked and stayed silent: open or filtered, nobody can tell."""
    alike: dict[tuple[int, str], list[Address]] = defaultdict(list)
    for host in run.hosts:
        if host.up and not host.timed_out and host.address is not None:
            quiet = parse_ports_long(_state_text(host, Transport.UDP, _OPEN_OR_FILTERED))
            for text in filter(None, port_texts(quiet)):
                alike[host.address.version, text].append(host.address)
    for (version, ports), addresses in sorted(alike.items(), key=lambda item: item[0])[:_MAX_COVERAGE]:
        yield Coverage(prefixes(addresses)[:4096], 4 if version == 4 else 6, ports, Transport.UDP)


def _covered_ports(asked: Iterable[tuple[int, int]], singles: frozenset[int], *, untold: bool) -> Iterator[str]:
    """Give only `singles` where nobody can tell of the rest, else all that was asked but for them."""
    return filter(None, port_texts([(port, port) for port in singles] if untold else without(asked, singles)))
