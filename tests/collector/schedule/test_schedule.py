"""The thread that judges what only time changes, and the plans of the statements that must stay quick."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from collector.alerts.queries import acknowledge, list_alerts, resolve
from collector.inventory.lists.assets import list_assets, show_asset
from collector.inventory.lists.measurements import list_measurements
from collector.inventory.lists.sites import list_sites
from collector.registry import agents, units
from collector.registry.whitelist import import_entries
from collector.running import open_core
from collector.settings import Settings
from tests.support.collectors import COUNTY, INTERVAL, OTHER_SCHOOL, SCHOOL, START, TREE, Clock, Desk, desk
from tests.support.processes import wait_until
from tests.support.reports import covers, host, measured, service, site, state, unchanged


def test_the_thread_judges_by_itself(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as made:
        agent = made.agent()
        made.send(agent, state("ports", host("10.0.0.5"), covers("10.0.0.0/24"), at=START))
        admin = made.admin
    core = open_core(tmp_path / "collector.db", Settings(judge_interval=0.02), clock=clock)
    try:
        clock.forward(10 * INTERVAL)
        wait_until(lambda: bool(list_alerts(core, admin)), "the silence was judged")
        # A list is judged soon after its import; nobody asks for it here.
        text = "kind,value,owner,reason,approver\nhost,10.9.9.9,o,r,a\n"
        import_entries(core, admin, text.encode(), "list.csv", SCHOOL)
        wait_until(lambda: bool(list_assets(core, admin, q="standing:unlisted").items), "the list was judged")
        assert core.healthy()
    finally:
        core.close()
    assert not core.healthy()
    assert not [thread for thread in threading.enumerate() if thread.name in ("judge", "store-writer")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_schedule_is_not_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("collector.schedule.rounds.Schedule.tick", fails)
    core = open_core(tmp_path / "collector.db", Settings())
    try:
        wait_until(lambda: not core.healthy(), "the collector says that it is ill")
    finally:
        core.close()


def test_a_mark_set_while_a_unit_is_judged_is_not_lost(desk: Desk) -> None:
    desk.send(desk.agent(), state("ports", host("10.0.0.5"), covers("10.0.0.0/24"), at=START))
    text = "kind,value,owner,reason,approver\nhost,10.9.9.9,o,r,a\n"
    import_entries(desk.core, desk.admin, text.encode(), "list.csv", SCHOOL)
    judge = desk.core.schedule._judge

    def judged(subjects: Any, now: float) -> None:
        judge(subjects, now)
        desk.core.schedule._judge = judge  # type: ignore[method-assign]
        again = "kind,value,owner,reason,approver\nhost,10.0.0.5,o,r,a\n"
        import_entries(desk.core, desk.admin, again.encode(), "list.csv", SCHOOL)

    desk.core.schedule._judge = judged  # type: ignore[method-assign]
    desk.core.tick()
    desk.core.tick()
    assert desk.asset("ip:10.0.0.5").standing == "listed"


@pytest.fixture
def statements(desk: Desk) -> Iterator[set[str]]:
    """Every statement that reaches the database, with its values."""
    seen: set[str] = set()
    writer = desk.core.store._connection  # type: ignore[attr-defined]
    writer.set_trace_callback(seen.add)

    def traced(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.set_trace_callback(seen.add)

    engine = desk.core.store._engine  # type: ignore[attr-defined]
    event.listen(engine, "checkout", traced)
    yield seen
    writer.set_trace_callback(None)
    event.remove(engine, "checkout", traced)


SMALL = r"unit|person|agent|enrolment_token|whitelist|audit|mark|dirty_unit|agent_state|spool|section|section_detail"
# What looks at all of a county, or of the store, does so rarely and says so where it is written.
RARE = re.compile(r"DELETE FROM|count\(|resolved_by|stale_at|due <=|FROM baseline_match|dirty_unit")


def test_no_frequent_statement_walks_through_a_county(desk: Desk, statements: set[str]) -> None:
    for unit in (SCHOOL, OTHER_SCHOOL):
        agent = desk.agent(unit)
        for turn in range(5):
            at = desk.clock.forward(INTERVAL)
            ports = state(
                "ports",
                host("10.0.0.5", mac="00:16:3e:00:00:01", closed=[80] if turn % 2 else []),
                host(f"10.0.0.{20 + turn}", mac="00:16:3e:00:00:02"),
                *([] if turn % 2 else [service("10.0.0.5", 80)]),
                service("10.0.0.5", 23),
                covers("10.0.0.0/24"),
                at=at,
            )
            desk.send(
                agent,
                ports,
                state("sites", site("https://a.example.cn/", turn=turn), at=at, probe="ipv6_reachability"),
                measured("vitals", "host_vitals", {"cpu_ratio": 0.5}, at=at),
                measured("line", "bandwidth", {"download_bps": 1e6, "upload_bps": 1e6, "limited_by": "line"}, at=at),
            )
            desk.send(agent, unchanged(ports, at))
        desk.core.tick()
    shown = list_assets(desk.core, desk.admin, COUNTY, "ip:10.0.0.5 port:23", 10).items
    show_asset(desk.core, desk.admin, shown[0].id)
    list_sites(desk.core, desk.admin, COUNTY)
    list_measurements(desk.core, desk.admin, COUNTY, "bandwidth", START, 10)
    alert = desk.alerts()[0]
    acknowledge(desk.core, desk.admin, alert.id, "x")
    resolve(desk.core, desk.admin, alert.id, "x")
    agents.list_agents(desk.core, desk.admin)
    units.import_units(desk.core, desk.admin, TREE, "tree.csv")
    walks = set()
    connection = desk.core.store._connection  # type: ignore[attr-defined]
    connection.set_trace_callback(None)
    frequent = {text for text in statements if re.match("SELECT|UPDATE|INSERT|WITH", text) and not RARE.search(text)}
    assert len(frequent) > 100
    for text in frequent:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}"):
            whole = re.match(r"SCAN (\w+)", step)
            if whole and not re.fullmatch(f"{SMALL}|CONSTANT|sqlite_master|other|one", whole[1]):
                walks.add((step, text[:200]))
            if re.search(r"\(county=\?\)$", step) and not re.search(rf"SEARCH ({SMALL}) ", step):
                walks.add((step, text[:200]))
    assert walks == set()
