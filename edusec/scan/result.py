"""The lines of a finished scan: what was run, what was found, what the rules say of it."""

from collections.abc import Sequence
from datetime import date

from edusec.scan import lines
from edusec.scan.judge import judge_scan
from edusec.scan.lines import Asked, Line
from wire.types import Section, WhitelistEntry


def judged(
    identifier: str, section: Section, asked: Asked, whitelist: Sequence[WhitelistEntry], today: date, threshold: str
) -> list[Line]:
    """Give the lines of a run, judged by whitelist and rules; `threshold` is that of --fail-on."""
    run = lines.run_line(identifier, asked, section)
    services = lines.service_lines(section, whitelist, today)
    hosts = lines.host_lines(section, services, asked, whitelist, today)
    judgements = judge_scan(hosts, services, today)
    found = [run, *hosts, *services, *map(lines.finding_line, judgements)]
    return [*found, lines.summary_line(section, found, threshold)]
