"""What the rules say of one scan; facts that a single scan cannot know (unit, baseline) stay unknown.

So does the exposure of what is open, unless the scan was made from the internet (from inside nobody can tell), or the
collector knows it from an agent that looks from there.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from ipaddress import ip_address

from edusec.scan.result.lines import Line
from rules.derive import is_private
from rules.evaluate import judge
from rules.facts import INTERNET, UNKNOWN, FactValue, Subject, SubjectKind
from rules.heard import heard
from rules.loader import load_packs
from rules.model import Judgement, Verdict
from wire.ports import contains, parse_ports
from wire.types import Outcome

_EXPOSURE = "exposure"
Exposures = Mapping[tuple[str, str, int], str]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What matched, and how many services would be found if it were known that the internet reaches them."""

    matched: tuple[Judgement, ...]
    exposure_unknown: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scan was made: its vantage, and the addresses of the machine, of which it sees nothing from outside.

    `exposures` are what the collector knows of services, by address, transport and port.
    """

    vantage: str = UNKNOWN
    own: Container[str] = ()
    exposures: Exposures = field(default_factory=dict)

    def exposure(self, line: Line) -> str | None:
        """Give the exposure of a service; None where it is not known."""
        address = line["address"]
        told = self.exposures.get((address, line["transport"], line["port"]))
        if told is not None and line["state"] == Outcome.OPEN:
            return told
        outside = self.vantage == INTERNET and address not in self.own and not is_private(ip_address(address))
        return INTERNET if outside and line["state"] == Outcome.OPEN else None


def judge_scan(hosts: Sequence[Line], services: Sequence[Line], today: date, place: Place | None = None) -> Verdicts:
    """Give what matched, in the order of the subjects; `place` is where the scan was made, None for nobody knows."""
    rules, matched, unknown = load_packs(), list[Judgement](), 0
    for subject in (*_services(services, hosts, today, place or Place()), *_hosts(hosts)):
        said = judge(rules, subject)
        matched += [found for found in said if found.verdict is Verdict.MATCH]
        undecided = [found.rule for found in said if found.verdict is Verdict.UNKNOWN]
        if undecided and subject.facts.get("state") == Outcome.OPEN and _EXPOSURE not in subject.facts:
            reached = replace(subject, facts={**subject.facts, _EXPOSURE: INTERNET})
            unknown += any(found.verdict is Verdict.MATCH for found in judge(undecided, reached))
    return Verdicts(tuple(matched), unknown)


def _services(services: Sequence[Line], hosts: Sequence[Line], today: date, place: Place) -> Iterator[Subject]:
    by_address = {line["address"]: line for line in hosts}
    by_name: dict[str, list[Line]] = defaultdict(list)
    for line in hosts:
        by_name[line["name"]].append(line)
    opened = {(line["address"], line["port"]) for line in services}
    for line in services:
        facts: dict[str, FactValue] = {
            name: line[name]
            for name in ("address", "family", "transport", "port", "state", "standing", "product")
            if line[name] is not None
        }
        if line["standing"] == "expired" and line["expires"]:
            facts["whitelist_expired_days"] = (today - date.fromisoformat(line["expires"])).days
        exposure = place.exposure(line)
        if exposure is not None:
            facts[_EXPOSURE] = exposure
        facts |= heard({**line, **line["details"]}, today)
        facts[f"state_v{line['family']}"] = line["state"]
        for twin in _twins(by_address[line["address"]], by_name):
            state = _state(twin, line["port"], opened)
            if state is not None:
                facts[f"state_v{twin['family']}"] = state
        label = f"{line['address']} {line['port']}/{line['transport']}"
        yield Subject(SubjectKind.SERVICE, label, "", label, facts)


def _twins(host: Line, by_name: Mapping[str, Sequence[Line]]) -> Iterator[Line]:
    """Give the other family's addresses of a host; only a name that stands for both says that they are one host."""
    return (line for line in by_name[host["name"]] if line["family"] != host["family"]) if host["name"] else iter(())


def _state(host: Line, port: int, opened: Container[tuple[str, int]]) -> str | None:
    if (host["address"], port) in opened:
        return "open"
    return next((state for state in ("closed", "filtered") if contains(parse_ports(host[state]), port)), None)


def _hosts(hosts: Sequence[Line]) -> Iterator[Subject]:
    for line in hosts:
        facts: dict[str, FactValue] = {
            "standing": line["standing"],
            "presence": line["presence"],
            "addresses": (line["address"],),
        }
        yield Subject(SubjectKind.ASSET, line["address"], "", line["address"], facts)
