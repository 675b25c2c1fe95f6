"""The failures behind the levels, one line each, shaped like the second- and third-level link lists of the national
platform: source page, link, level, result, evidence, mend.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, select, tuple_

from collector.answers.cursors import read_cursor, write_cursor
from collector.answers.views import Words
from collector.clock import moment
from collector.core import Core
from collector.errors import BadInput
from collector.ipv6.reports import views
from collector.ipv6.reports.failure_files import rows_of
from collector.ipv6.reports.survey import read_verdicts
from collector.ipv6.results import CHECKS, SITE
from collector.memory.people import Person
from collector.memory.registered import spelling
from collector.sheets.writing import Form, write_sheet
from collector.sightings.picture import FACT, place, values_of
from collector.store import tables
from collector.store.tables import agent, ipv6_level, section, sighting, unit
from probes.kit.ipv6.catalogue.checks import why
from probes.kit.ipv6.model import Verdict
from wire.text import Text
from wire.types import TargetKind

MAX_ROWS = 200_000
"""Most lines of one file."""
LINKS = {"WEB-L2": 2, "WEB-L3": 3}
_FACT_OF_SITE = f"{FACT}|{TargetKind.SITE.value}|"


def list_failures(
    core: Core,
    person: Person,
    under: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    *,
    registered: bool = False,
) -> views.Ipv6FailurePage:
    """Give a page of the checks that fail as of now; raises NotFound, BadInput.

    The page is one of failed checks: a check of links has a line for each dead link, so that a page may have more lines
    than `limit`. With `registered`, only those of websites that are registered.
    """
    items: list[views.Ipv6Failure] = []
    taken, last = 0, None
    for key, found in _failures(core, person, under, cursor, registered=registered):
        if taken == limit:
            return views.Ipv6FailurePage(items=tuple(items), cursor=write_cursor(*last) if last else None)
        items += found
        taken, last = taken + 1, key
    return views.Ipv6FailurePage(items=tuple(items), cursor=None)


def export(
    core: Core,
    person: Person,
    under: str | None,
    form: Form,
    lang: Literal["zh", "en"] = "zh",
    *,
    registered: bool = False,
) -> bytes:
    """Give the failures of a subtree as a file for people; raises NotFound, BadInput."""
    found = (item for _, items in _failures(core, person, under, None, registered=registered) for item in items)
    items = list(islice(found, MAX_ROWS + 1))
    if len(items) > MAX_ROWS:
        raise BadInput(
            Text(
                f"under：超过 {MAX_ROWS} 项，一个文件放不下；请指定更小的单位",
                f"under: more than {MAX_ROWS} failures are too many for one file; name a smaller unit",
            )
        )
    return write_sheet(rows_of(items, lang), form, "IPv6")


def _failures(
    core: Core, person: Person, under: str | None, cursor: str | None, *, registered: bool
) -> Iterator[tuple[tuple[str, str], list[views.Ipv6Failure]]]:
    """Go through the failed checks, unit by unit, each with its lines; several agents may see one, it is told once."""
    reach = core.directory.reach(person, under)
    query, standing = _sightings(core, reach), _Standing(core)
    position = tuple_(unit.c.path, sighting.c.key)
    after = tuple_(*read_cursor(cursor, 2)) if cursor else None
    rest = query if after is None else query.where(position > after)
    told: set[tuple[str, str]] = set()
    with core.store.reader() as connection:

        def on_an_earlier_page(failed: _Failed) -> bool:
            """Tell whether a unit before the cursor sees the same; only of what is registered above can that be."""
            if after is None or failed.owner == failed.row.code:
                return False
            above = tables.under(core.directory.units[failed.owner].path)
            same = query.where(above, sighting.c.key == failed.row.key, position <= after)
            seen = (standing.of(connection, row) for row in connection.execute(same))
            return any(other is not None and other.owner == failed.owner for other in seen)

        for row in connection.execute(rest.order_by(unit.c.path, sighting.c.key, section.c.agent)):
            failed = standing.of(connection, row)
            if failed is None or (registered and not failed.registered) or (failed.owner, row.key) in told:
                continue
            told.add((failed.owner, row.key))
            if not on_an_earlier_page(failed):
                yield (row.path, row.key), list(_lines(failed, core.directory.units[failed.owner].name))


def _sightings(core: Core, reach: str) -> Select[Any]:
    """Select what agents of a subtree see now of checks that are not passed."""
    return (
        select(unit.c.path, unit.c.code, sighting.c.key, sighting.c.state, sighting.c.detail, section.c.confirmed)
        .select_from(sighting)
        .join(section, (section.c.county == sighting.c.county) & (section.c.id == sighting.c.section))
        .join(agent, agent.c.id == section.c.agent)
        .join(unit, unit.c.code == agent.c.unit)
        .where(
            tables.under(reach),
            sighting.c.county.in_(core.directory.counties(reach)),
            sighting.c.key >= _FACT_OF_SITE,
            sighting.c.key < f"{_FACT_OF_SITE[:-1]}}}",
            sighting.c.state.in_(("fail", "warn")),
            sighting.c.missed_from == 0,
            section.c.stale_at >= core.clock(),
        )
    )


@dataclass(frozen=True, slots=True)
class _Failed:
    """A check that fails, as one agent sees it; `owner` is the unit it counts for, `verdicts` all that stands there."""

    row: Row[Any]
    page: str
    check: str
    owner: str
    registered: bool
    verdicts: Mapping[str, Verdict]


@dataclass(slots=True)
class _Standing:
    """What stands of websites, read once for each unit that has them."""

    core: Core
    _levels: dict[str, dict[str, dict[str, Verdict]]] = field(default_factory=dict)

    def of(self, connection: Connection, row: Row[Any]) -> _Failed | None:
        """Give the failure behind a sighting; None unless it stands as failed where the website counts.

        Dead links are told as well where there are too few of them to fail the check.
        """
        page, check = place(row.key).name.partition("|")[2].rsplit("|", 1)
        if check not in CHECKS or (row.state == "warn" and check not in LINKS):
            return None
        key = spelling(page)
        chain = reversed(self.core.directory.chain(row.code))
        owner = next((code for code in chain if self.core.register.holds_site(code, key)), None)
        verdicts = self._verdicts(connection, owner or row.code).get(key, {})
        if row.state != "warn" and verdicts.get(check) is not Verdict.FAIL:
            return None
        return _Failed(row, page, check, owner or row.code, owner is not None, verdicts)

    def _verdicts(self, connection: Connection, code: str) -> dict[str, dict[str, Verdict]]:
        if code not in self._levels:
            column = ipv6_level.c
            query = select(column.key, column.verdicts).where(
                column.county == self.core.directory.units[code].county, column.unit == code, column.kind == SITE
            )
            self._levels[code] = {found.key: read_verdicts(found.verdicts) for found in connection.execute(query)}
        return self._levels[code]


def _lines(failed: _Failed, owner_name: str) -> Iterator[views.Ipv6Failure]:
    """Give a line for each dead link, or one for the page itself."""
    values = values_of(failed.row.detail)
    mend = why(str(values.get("code") or ""))
    found = values.get("evidence")
    evidence = [str(line) for line in found] if isinstance(found, list | tuple) else []
    links = [line.partition(": ") for line in evidence[1:]] if failed.check in LINKS else []
    if links:
        lines = [(url, LINKS[failed.check], said) for url, _, said in links]
    else:
        lines = [(failed.page, 0 if failed.check.startswith("DNS-") else 1, "; ".join(evidence))]
    for url, level, said in lines:
        yield views.Ipv6Failure(
            unit=failed.owner,
            unit_name=owner_name,
            page=failed.page,
            url=url,
            level=level,
            check=failed.check,
            aaaa=_aaaa(failed.check, failed.verdicts),
            ipv6="fail",
            evidence=said,
            mend=Words(zh=mend.zh, en=mend.en),
            registered=failed.registered,
            last_confirmed=moment(failed.row.confirmed),
        )


def _aaaa(method: str, verdicts: Mapping[str, Verdict]) -> str:
    """Say whether the page has an AAAA record; of the host behind a link only its own evidence tells."""
    if method in LINKS:
        return "unknown"
    return {Verdict.PASS: "yes", Verdict.FAIL: "no"}.get(verdicts.get("WEB-AAAA", Verdict.UNKNOWN), "unknown")
