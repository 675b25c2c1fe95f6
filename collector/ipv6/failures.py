"""The failures behind the levels, one line each, shaped like the second- and third-level link lists of the national
platform: source page, link, level, result, evidence, mend. As items, CSV or XLSX.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, select, tuple_

from collector.clock import moment
from collector.errors import BadInput
from collector.inventory.picture import FACT, place, values_of
from collector.ipv6 import views
from collector.ipv6.results import CHECKS, SITE
from collector.ipv6.survey import read_verdicts
from collector.registry.cursors import read_cursor, write_cursor
from collector.registry.people import Person
from collector.registry.register_files import spelling
from collector.registry.whitelist_files import FORMULA
from collector.store import tables
from collector.store.tables import agent, ipv6_level, section, sighting, unit
from collector.views import Words
from probes.kit.ipv6.catalogue import why
from probes.kit.ipv6.model import Verdict
from wire.text import Text
from wire.types import TargetKind

if TYPE_CHECKING:
    from collector.core import Core

MAX_ROWS = 200_000
"""Most lines of one file."""
MAX_CELL = 32_000
"""Excel takes 32,767 characters in a cell."""
LINKS = {"WEB-L2": 2, "WEB-L3": 3}
COLUMNS: tuple[tuple[str, Text], ...] = (
    ("unit", Text("单位编码", "unit")),
    ("unit_name", Text("单位名称", "unit name")),
    ("page", Text("来源页面", "source page")),
    ("url", Text("链接地址", "link URL")),
    ("level", Text("链接级别", "link level")),
    ("check", Text("检查项", "check")),
    ("aaaa", Text("AAAA 记录", "AAAA record")),
    ("ipv6", Text("IPv6 结果", "IPv6 result")),
    ("evidence", Text("证据", "evidence")),
    ("mend", Text("处理办法", "how to mend it")),
    ("registered", Text("已登记", "registered")),
    ("last_confirmed", Text("最近确认时间(UTC)", "last confirmed (UTC)")),
)
WORDS = {
    "yes": Text("有", "yes"),
    "no": Text("无", "no"),
    "pass": Text("通过", "pass"),
    "fail": Text("未通过", "fail"),
    "unknown": Text("未知", "unknown"),
    "true": Text("是", "yes"),
    "false": Text("否", "no"),
}
_FACT_OF_SITE = f"{FACT}|{TargetKind.SITE.value}|"


def list_failures(
    core: "Core",
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
    core: "Core",
    person: Person,
    under: str | None,
    form: Literal["csv", "xlsx"],
    lang: Literal["zh", "en"] = "zh",
    *,
    registered: bool = False,
) -> bytes:
    """Give the failures of a subtree as a file for people; raises NotFound, BadInput."""
    if form not in ("csv", "xlsx"):
        raise BadInput("format: must be csv or xlsx")
    found = (item for _, items in _failures(core, person, under, None, registered=registered) for item in items)
    items = list(islice(found, MAX_ROWS + 1))
    if len(items) > MAX_ROWS:
        raise BadInput(f"under: more than {MAX_ROWS} failures are too many for one file; name a smaller unit")
    rows = _rows(items, lang)
    return _csv(rows) if form == "csv" else _xlsx(rows)


def _failures(
    core: "Core", person: Person, under: str | None, cursor: str | None, *, registered: bool
) -> Iterator[tuple[tuple[str, str], list[views.Ipv6Failure]]]:
    """Go through the sightings of failed checks, unit by unit; only what stands as failed counts.

    Dead links are told as well where there are too few of them to fail the check.
    """
    reach, now = core.directory.reach(person, under), core.clock()
    order = (unit.c.path, sighting.c.key, section.c.agent)
    query = (
        select(*order, sighting.c.state, sighting.c.detail, section.c.confirmed, unit.c.code)
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
            section.c.stale_at >= now,
        )
        .order_by(*order)
    )
    if cursor:
        # Past all agents that saw the last one: it is one failure, and was told.
        query = query.where(tuple_(*order[:2]) > tuple_(*read_cursor(cursor, 2)))
    known = _Known(core)
    told: set[tuple[str, str]] = set()
    with core.store.reader() as connection:
        for row in connection.execute(query):
            name, method = place(row.key).name.partition("|")[2].rsplit("|", 1)
            if method not in CHECKS or (row.state == "warn" and method not in LINKS):
                continue
            key = spelling(name)
            owner, verdicts = known.of(connection, row.code, key)
            stands = row.state == "warn" or verdicts.get(method) is Verdict.FAIL
            # Several agents may have seen the same; it is one failure.
            if not stands or (registered and not owner) or (owner or row.code, row.key) in told:
                continue
            told.add((owner or row.code, row.key))
            node = core.directory.units[owner or row.code]
            yield (
                (row.path, row.key),
                [
                    views.Ipv6Failure(
                        unit=node.code,
                        unit_name=node.name,
                        page=name,
                        url=url,
                        level=level,
                        check=method,
                        aaaa=_aaaa(method, verdicts),
                        ipv6="fail",
                        evidence=evidence,
                        mend=mend,
                        registered=bool(owner),
                        last_confirmed=moment(row.confirmed),
                    )
                    for url, level, evidence, mend in _lines(name, method, row.detail)
                ],
            )


@dataclass(slots=True)
class _Known:
    """What stands of websites, read once for each unit that has them."""

    core: "Core"
    _levels: dict[str, dict[str, dict[str, Verdict]]] = field(default_factory=dict)

    def of(self, connection: Connection, unit: str, key: str) -> tuple[str, dict[str, Verdict]]:
        """Give the unit that registered a website, if one did (the nearest one up), and what stands of it."""
        chain = reversed(self.core.directory.chain(unit))
        owner = next((code for code in chain if self.core.register.holds_site(code, key)), "")
        code = owner or unit
        if code not in self._levels:
            column = ipv6_level.c
            query = select(column.key, column.verdicts).where(
                column.county == self.core.directory.units[code].county, column.unit == code, column.kind == SITE
            )
            self._levels[code] = {found.key: read_verdicts(found.verdicts) for found in connection.execute(query)}
        return owner, self._levels[code].get(key, {})


def _lines(name: str, method: str, detail: str) -> Iterator[tuple[str, int, str, Words]]:
    """Give (what failed, its level, evidence, mend): each dead link, or the page itself."""
    values = values_of(detail)
    text = why(str(values.get("code") or ""))
    mend = Words(zh=text.zh, en=text.en)
    found = values.get("evidence")
    lines = [str(line) for line in found] if isinstance(found, list | tuple) else []
    if method in LINKS:
        links = [line.partition(": ") for line in lines[1:]]
        if links:
            for url, _, told in links:
                yield url, LINKS[method], told, mend
            return
    yield name, 0 if method.startswith("DNS-") else 1, "; ".join(lines), mend


def _aaaa(method: str, verdicts: dict[str, Verdict]) -> str:
    """Say whether the page has an AAAA record; of the host behind a link only its own evidence tells."""
    if method in LINKS:
        return "unknown"
    return {Verdict.PASS: "yes", Verdict.FAIL: "no"}.get(verdicts.get("WEB-AAAA", Verdict.UNKNOWN), "unknown")


def _rows(items: Iterable[views.Ipv6Failure], lang: str) -> Iterator[list[str]]:
    def say(text: Text) -> str:
        return text.zh if lang == "zh" else text.en

    yield [say(head) for _, head in COLUMNS]
    for item in items:
        cells = {
            **{name: str(getattr(item, name)) for name, _ in COLUMNS},
            "aaaa": say(WORDS[item.aaaa]),
            "ipv6": say(WORDS[item.ipv6]),
            "mend": say(Text(item.mend.zh, item.mend.en)),
            "registered": say(WORDS[str(item.registered).lower()]),
            "last_confirmed": item.last_confirmed.strftime("%Y-%m-%d %H:%M") if item.last_confirmed else "",
        }
        yield [_cell(cells[name]) for name, _ in COLUMNS]


def _cell(text: str) -> str:
    """Make a cell of text from the network safe: no control characters, nothing that a spreadsheet would run."""
    plain = "".join(char if char.isprintable() else "?" for char in text[:MAX_CELL])
    return f"'{plain}" if plain.lstrip().startswith(FORMULA) else plain


def _csv(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8-sig", "replace")


def _xlsx(rows: Iterable[list[str]]) -> bytes:
    from xlsxwriter import Workbook  # type: ignore[import-untyped]

    packed = io.BytesIO()
    book = Workbook(packed, {"in_memory": True})
    sheet, as_text = book.add_worksheet("IPv6"), book.add_format({"num_format": "@"})
    for line, cells in enumerate(rows):
        for number, cell in enumerate(cells):
            sheet.write_string(line, number, cell, as_text)
    sheet.set_column(0, len(COLUMNS) - 1, 24)
    sheet.freeze_panes(1, 0)
    book.close()
    return packed.getvalue()
