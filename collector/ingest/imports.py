"""Scans of others in the inventory: a file of nmap becomes a section and goes the way of every section.

It is filed under an agent of the unit that nobody can speak as: made revoked, it is asked nothing and is never silent.
The same file twice is one scan, and a file older than what the same arguments brought last is refused.
"""

import secrets
from typing import NoReturn

from collector.answers import views
from collector.core import Core
from collector.ingest.nmap_file import read_nmap
from collector.ingest.reports import UNCHANGED, take_section
from collector.memory.directory import AgentIdentity, AgentRecord, require, secret_hash
from collector.memory.people import Person, Role
from collector.registry.agents import known_vantage
from collector.sheets.reading import Problems
from collector.store import audit
from collector.store.contract import Turn
from rules.facts import UNKNOWN
from wire.text import Text
from wire.types import Body

NAME = "nmap import"


def import_scan(
    core: Core, person: Person, data: bytes, filename: str, unit: str, vantage: str = UNKNOWN
) -> views.ImportResult:
    """Take a file of nmap's XML into a unit's inventory, all of it or nothing; `vantage` is where it was made.

    Raises BadFile, BadInput, NotFound, Forbidden.
    """
    require(person, Role.OPERATOR)
    known_vantage(vantage)
    node = core.directory.node(person, unit)
    section = read_nmap(data, filename, core.settings.import_bytes)
    now = core.clock()
    days = int(core.settings.backlog // 86_400)
    if section.finished < now - core.settings.backlog:
        _refuse(filename, Text(f"早于 {days} 天，不能说明现状", f"older than {days} days, which says nothing of today"))
    if section.finished > now:
        # Taken as of now, the same file would be another run each time.
        _refuse(filename, Text("时间在将来，请检查时钟", "is from the future; check the clock of either machine"))
    where = "" if vantage == UNKNOWN else f"-{vantage}"
    agent = AgentIdentity(f"import-{node.code}{where}", NAME, node.code, node.county)
    count = len((section.body or Body()).observations)

    def work(turn: Turn) -> views.ImportResult:
        if agent.id not in core.directory.agents:
            _make(core, turn, agent, vantage, now)
        before = core.sections.section(agent.id, section.name)
        if before is not None and before.digest == section.digest and before.finished == section.finished:
            return views.ImportResult(added=0, changed=0, unchanged=count)
        if before is not None and section.finished <= before.finished:
            _refuse(filename, Text("早于同参数的上次导入", "older than what the same arguments brought last"))
        what = take_section(core, turn, agent, section, now)
        detail = {"file": filename[:100], "section": section.name, "facts": count}
        audit.record(turn, now, person.name, "asset.import", node.code, detail)
        if what == UNCHANGED:
            return views.ImportResult(added=0, changed=0, unchanged=count)
        added = count if before is None else 0
        return views.ImportResult(added=added, changed=count - added, unchanged=0)

    result = core.store.write(work)
    core.due.wake()
    return result


def _make(core: Core, turn: Turn, agent: AgentIdentity, vantage: str, now: float) -> None:
    nobody = secret_hash(secrets.token_urlsafe(32))
    turn.run(
        "INSERT INTO agent (id, county, unit, name, credential_hash, enrolled, revoked, vantage) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (agent.id, agent.county, agent.unit, agent.name, nobody, now, now, vantage),
    )
    record = AgentRecord(agent, nobody, now, now, vantage=vantage)
    turn.after_commit(lambda: core.directory.put_agent(record))


def _refuse(filename: str, text: Text) -> NoReturn:
    problems = Problems(filename)
    problems.add(1, "runstats", text)
    problems.check()
    raise AssertionError
