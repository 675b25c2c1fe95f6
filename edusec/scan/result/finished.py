"""The lines of a finished scan: what was run, what was found, what the rules say of it."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import date

from edusec.local.makers import makers_of
from edusec.scan.request.asked import Asked
from edusec.scan.result import lines
from edusec.scan.result.judge import Exposures, Place, judge_scan
from edusec.scan.result.lines import Line
from wire.types import Section, WhitelistEntry


@dataclass(frozen=True, slots=True)
class Measure:
    """By what a scan is judged: a whitelist, the day, and what `--fail-on` says; `own` are addresses of who scanned.

    `exposures` are what the collector knows of services.
    """

    whitelist: Sequence[WhitelistEntry]
    today: date
    threshold: str
    own: Container[str] = ()
    exposures: Exposures = field(default_factory=dict)


def judged(identifier: str, section: Section, asked: Asked, by: Measure) -> list[Line]:
    """Give the lines of a run, judged by whitelist and rules."""
    run = lines.run_line(identifier, asked, section)
    services = lines.service_lines(section, by.whitelist, by.today)
    makers = makers_of(lines.macs_of(section))
    hosts = lines.host_lines(section, services, asked, by.whitelist, by.today, makers)
    verdicts = judge_scan(hosts, services, by.today, Place(asked.vantage, by.own, by.exposures))
    found = [run, *hosts, *services, *map(lines.finding_line, verdicts.matched)]
    return [*found, lines.summary_line(section, found, by.threshold, verdicts.exposure_unknown)]
