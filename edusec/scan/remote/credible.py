"""What another machine says of its scan, as far as it is the result of one: an agent may be in strange hands."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address

from edusec.scan.result.lines import DEVICE, IDENTITY
from edusec.scan.run.join import REFUSED, made
from probes.kit.reasons import because
from wire.ports import parse_ports
from wire.types import Body, Coverage, Observation, Outcome, RunStatus, Section, Skipped, TargetKind, Value

_TEXTS = frozenset({*IDENTITY, *DEVICE})
_SHOWN = frozenset({Outcome.OPEN, Outcome.OPEN_FILTERED})


def credible(section: Section) -> Section:
    """Leave out what no scan says, and say that something was left out."""
    body = section.body or Body()
    observations = tuple(map(_plain, filter(_is_found, body.observations)))
    coverage, silent = (tuple(filter(_is_area, items)) for items in (body.coverage, body.silent))
    told = (body.observations, body.coverage, body.silent)
    odd = sum(map(len, told)) - sum(map(len, (observations, coverage, silent)))
    if odd == 0 and observations == body.observations:
        return section
    more = (Skipped(f"{odd}", because("bad_output")),) if odd else ()
    status = RunStatus.PARTIAL if odd and section.status is RunStatus.DONE else section.status
    kept = Body(observations, coverage, (*body.skipped, *more), silent)
    return made(section.probe, status, section.reason, kept, (section.started, section.finished))


def _is_found(item: Observation) -> bool:
    if item.target.kind not in (TargetKind.HOST, TargetKind.SERVICE):
        return True
    try:
        plain = str(ip_address(item.target.name)) == item.target.name
    except ValueError:
        return False
    return plain and (item.target.kind is TargetKind.HOST or item.outcome in _SHOWN)


def _plain(item: Observation) -> Observation:
    """Take from the values what is not of the kind that its name says."""
    values = {name: value for name, value in item.values.items() if _fits(name, value)}
    return item if len(values) == len(item.values) else replace(item, values=values)


def _fits(name: str, value: Value) -> bool:
    if name == "confidence":
        return isinstance(value, float | int) and 0 <= value <= 1
    if name not in REFUSED:
        return name not in _TEXTS or value is None or isinstance(value, str)
    try:
        return isinstance(value, str) and parse_ports(value) is not None
    except ValueError:
        return False


def _is_area(item: Coverage) -> bool:
    try:
        return [(IPv4Network if item.family == 4 else IPv6Network)(prefix) for prefix in item.prefixes] != []
    except ValueError:
        return False
