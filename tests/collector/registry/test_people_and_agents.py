"""Who may do what: tokens, credentials, roles, and subtrees that nobody sees out of."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from collector.alerts.queries import acknowledge, list_alerts, resolve, show_alert
from collector.errors import BadInput, CollectorError, Conflict, Forbidden, NotFound, Unauthorised
from collector.inventory.lists.assets import list_assets, show_asset
from collector.inventory.lists.measurements import list_measurements
from collector.inventory.lists.sites import list_sites
from collector.memory.people import Person, Role
from collector.registry import agents, people, units, whitelist
from collector.running import Running
from tests.support.collectors import COUNTY, DAY, FAR_SCHOOL, INTERVAL, OTHER_SCHOOL, SCHOOL, START, Clock, Desk, desk
from tests.support.reports import covers, host, measured, service, site, state
from wire.types import EnrolmentRequest


def enrol(core: Running, secret: str, now: float, name: str = "gateway") -> str:
    return agents.enrol(core, EnrolmentRequest(secret, name, "test"), now).credential


def test_a_token_is_spent_once(desk: Desk) -> None:
    token = agents.create_token(desk.core, desk.admin, SCHOOL, 3600)
    assert token.unit_name == "第一小学"
    assert token.expires.timestamp() == START + 3600
    made = agents.enrol(desk.core, EnrolmentRequest(token.secret, "gateway", "test"), START)
    assert (made.unit, made.unit_name, made.kind) == (SCHOOL, "第一小学", "bearer")
    with pytest.raises(Unauthorised):
        enrol(desk.core, token.secret, START)
    assert [agent.id for agent in agents.list_agents(desk.core, desk.admin)] == [made.agent]


def test_of_many_who_try_one_token_one_succeeds(desk: Desk) -> None:
    token = agents.create_token(desk.core, desk.admin, SCHOOL, 3600)

    def attempt(number: int) -> bool:
        try:
            enrol(desk.core, token.secret, START, f"gateway {number}")
        except Unauthorised:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(24))) == 1
    assert len(agents.list_agents(desk.core, desk.admin)) == 1


def test_an_expired_or_invented_token_is_refused_in_the_same_words(desk: Desk) -> None:
    token = agents.create_token(desk.core, desk.admin, SCHOOL, 60)
    said = set()
    for secret, now in ((token.secret, START + 60), ("invented", START), ("", START), ("\ud800", START)):
        with pytest.raises(Unauthorised) as caught:
            enrol(desk.core, secret, now)
        said.add(str(caught.value))
    assert len(said) == 1
    enrol(desk.core, token.secret, START + 59)


@pytest.mark.parametrize("ttl", [0, -1, 0.5, 31 * 86_400, float("nan"), float("inf")])
def test_the_life_of_a_token_has_bounds(desk: Desk, ttl: float) -> None:
    with pytest.raises(BadInput, match="ttl_seconds"):
        agents.create_token(desk.core, desk.admin, SCHOOL, ttl)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[0m"])
def test_the_name_of_an_agent_is_plain(desk: Desk, name: str) -> None:
    token = agents.create_token(desk.core, desk.admin, SCHOOL, 60)
    with pytest.raises(BadInput, match="name"):
        enrol(desk.core, token.secret, START, name)
    enrol(desk.core, token.secret, START)


def test_only_hashes_of_secrets_are_stored(desk: Desk, tmp_path: Path) -> None:
    token = agents.create_token(desk.core, desk.admin, SCHOOL, 60)
    credential = enrol(desk.core, token.secret, START)
    person = people.add_person(desk.core, "wang", Role.VIEWER, None)
    desk.core.store.write(lambda turn: turn.rows("SELECT 1"))
    stored = b"".join(found.read_bytes() for found in tmp_path.iterdir())
    for secret in (token.secret, credential, person):
        assert secret.encode() not in stored
        assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored


def test_a_credential_identifies_its_agent_until_it_is_revoked(desk: Desk) -> None:
    token = agents.create_token(desk.core, desk.admin, SCHOOL, 60)
    credential = enrol(desk.core, token.secret, START, "gateway 1")
    identity = agents.authenticate(desk.core, credential)
    assert identity is not None
    assert (identity.name, identity.unit, identity.county) == ("gateway 1", SCHOOL, COUNTY)
    for wrong in ("", credential[:-1], credential + "x", token.secret):
        assert agents.authenticate(desk.core, wrong) is None
    agents.revoke(desk.core, desk.admin, identity.id)
    assert agents.authenticate(desk.core, credential) is None
    assert agents.list_agents(desk.core, desk.admin)[0].state == "revoked"
    agents.revoke(desk.core, desk.admin, identity.id)


def test_credentials_and_revocations_hold_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as first:
        tokens = [agents.create_token(first.core, first.admin, SCHOOL, 60) for _ in range(2)]
        credentials = [enrol(first.core, token.secret, START) for token in tokens]
        revoked = agents.authenticate(first.core, credentials[1])
        assert revoked is not None
        agents.revoke(first.core, first.admin, revoked.id)
        person = people.add_person(first.core, "wang", Role.OPERATOR, COUNTY)
    with desk(tmp_path, clock=clock) as second:
        assert agents.authenticate(second.core, credentials[0]) is not None
        assert agents.authenticate(second.core, credentials[1]) is None
        found = people.authenticate(second.core, person)
        assert found is not None
        assert (found.name, found.role, found.unit, found.path) == (
            "wang",
            Role.OPERATOR,
            COUNTY,
            "640000/640100/640104/",
        )


def test_what_a_revoked_agent_said_is_unknown_and_raises_nothing_more(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, state("ports", host("10.0.0.5"), covers("10.0.0.0/24"), at=START))
    agents.revoke(desk.core, desk.admin, agent.id)
    desk.clock.forward(1)
    assert desk.asset("ip:10.0.0.5").presence == "unknown"
    desk.clock.forward(100 * INTERVAL)
    desk.core.tick()
    assert desk.alerts("agent-silent") == []


def test_an_agent_is_new_then_active_then_silent(desk: Desk) -> None:
    agent = desk.agent()

    def now() -> str:
        return agents.list_agents(desk.core, desk.admin)[0].state

    assert now() == "new"
    desk.send(agent)
    assert now() == "active"
    desk.clock.forward(3 * INTERVAL)
    assert now() == "active"
    desk.clock.forward(1)
    assert now() == "silent"
    assert desk.counts().agents == {"new": 0, "active": 0, "silent": 1, "revoked": 0}
    assert desk.counts().oldest_report == START


def test_while_the_collector_was_down_nobody_was_silent(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as before:
        well, lost, gone = (before.agent(name=name) for name in ("well", "lost", "gone"))
        before.send(gone)
        clock.forward(4 * INTERVAL)
        before.send(well)
        before.send(lost)
        before.core.tick()
        assert [alert.subject.id for alert in before.alerts("agent-silent")] == [gone.id]
    clock.forward(DAY)
    with desk(tmp_path, clock=clock) as after:
        after.senders = before.senders
        after.core.due.agents.extend(after.core.directory.agents)  # as at every start
        for _ in range(3):
            after.core.tick()
            # That one was silent before; the others have not had the time to report yet.
            assert [alert.subject.id for alert in after.alerts("agent-silent")] == [gone.id]
            after.send(well)
            clock.forward(INTERVAL)
        after.core.tick()
        assert {alert.subject.id for alert in after.alerts("agent-silent")} == {gone.id, lost.id}
        after.send(gone)
        after.core.tick()
        assert [alert.subject.id for alert in after.alerts("agent-silent")] == [lost.id]


def test_a_silent_agent_is_one_alert_that_ends_with_its_next_report(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, state("ports", *(host(f"10.0.0.{n}") for n in range(1, 50)), covers("10.0.0.0/24"), at=START))
    desk.clock.forward(4 * INTERVAL)
    desk.core.tick()
    assert [(alert.rule, alert.subject.id) for alert in desk.alerts()] == [("agent-silent", agent.id)]
    first = desk.alerts()[0].first_seen
    desk.clock.forward(10 * INTERVAL)
    desk.core.tick()
    assert [alert.first_seen for alert in desk.alerts()] == [first]
    desk.send(agent)
    desk.core.tick()
    assert desk.alerts() == []


def test_an_agent_that_dropped_observations_is_told_of(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, dropped=5)
    desk.core.tick()
    assert [alert.rule for alert in desk.alerts()] == ["spool-dropped"]


def test_a_token_of_a_person_opens_what_their_role_allows(desk: Desk) -> None:
    token = people.add_person(desk.core, "wang", Role.OPERATOR, COUNTY)
    person = people.authenticate(desk.core, token)
    assert person is not None
    assert person.role is Role.OPERATOR
    for wrong in ("", token[:-1], token.upper()):
        assert people.authenticate(desk.core, wrong) is None
    with pytest.raises(Conflict, match="wang"):
        people.add_person(desk.core, "wang", Role.ADMIN, None)
    with pytest.raises(NotFound):
        people.add_person(desk.core, "li", Role.VIEWER, "999999")
    for name in ("", " ", "x" * 65, "a\x00"):
        with pytest.raises(BadInput, match="name"):
            people.add_person(desk.core, name, Role.VIEWER, None)


def test_roles_are_checked_below_the_web_too(desk: Desk) -> None:
    viewer, operator = desk.person(Role.VIEWER, None), desk.person(Role.OPERATOR, None)
    agent = desk.agent()
    with pytest.raises(Forbidden):
        agents.create_token(desk.core, viewer, SCHOOL, 60)
    with pytest.raises(Forbidden):
        agents.revoke(desk.core, operator, agent.id)
    assert agents.create_token(desk.core, operator, SCHOOL, 60).secret


# Every question that a person can ask about something with an id or below a unit.
BY_UNIT: list[Callable[[Running, Person, str], object]] = [
    units.list_units,
    list_assets,
    list_sites,
    list_measurements,
    list_alerts,
    whitelist.list_entries,
    lambda core, person, unit: whitelist.export(core, person, unit, "csv"),
    whitelist.review,
    lambda core, person, unit: agents.create_token(core, person, unit, 60),
]
ALL: list[Callable[[Running, Person], object]] = [
    units.list_units,
    lambda core, person: list_assets(core, person).items,
    list_sites,
    list_measurements,
    lambda core, person: list_alerts(core, person, None, "all"),
    whitelist.list_entries,
    agents.list_agents,
]


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """The same network in three schools of two counties, so that every answer could show too much."""
    for unit in (SCHOOL, OTHER_SCHOOL, FAR_SCHOOL):
        agent = desk.agent(unit)
        desk.send(
            agent,
            state("ports", host("10.0.0.5"), service("10.0.0.5", 23), covers("10.0.0.0/24"), at=START),
            state("sites", site("https://www.example.edu.cn/"), at=START, probe="ipv6_reachability"),
            measured("line", "bandwidth", {"download_bps": 1.0}, at=START),
        )
        desk.whitelist("host,10.9.9.9,,,o,r,a,\n", unit)
    return desk


@pytest.mark.parametrize("home", [SCHOOL, FAR_SCHOOL, COUNTY])
def test_nobody_sees_out_of_their_subtree(busy: Desk, home: str) -> None:
    person = busy.person(Role.ADMIN, home)
    inside = {code for code, node in busy.core.directory.units.items() if node.path.startswith(person.path)}
    for ask in ALL:
        found = ask(busy.core, person)
        assert isinstance(found, list | tuple)
        assert found
        assert {getattr(item, "unit", None) or item.code for item in found} <= inside  # type: ignore[union-attr]
    for unit in busy.core.directory.units:
        for question in BY_UNIT:
            if unit in inside:
                question(busy.core, person, unit)
            else:
                with pytest.raises(NotFound):
                    question(busy.core, person, unit)


def test_what_has_an_id_is_not_found_from_outside(busy: Desk) -> None:
    person = busy.person(Role.ADMIN, SCHOOL)
    everything = list_assets(busy.core, busy.admin).items
    for asset in everything:
        if asset.unit == SCHOOL:
            assert show_asset(busy.core, person, asset.id).id == asset.id
        else:
            with pytest.raises(NotFound):
                show_asset(busy.core, person, asset.id)
    for alert in busy.alerts(state="all"):
        if alert.unit == SCHOOL:
            assert show_alert(busy.core, person, alert.id).id == alert.id
            continue
        for act in (show_alert, partial(acknowledge, note="x"), partial(resolve, note="x")):
            with pytest.raises(NotFound):
                act(busy.core, person, alert.id)
    for agent in agents.list_agents(busy.core, busy.admin):
        if agent.unit != SCHOOL:
            with pytest.raises(NotFound):
                agents.revoke(busy.core, person, agent.id)


def test_what_is_unknown_is_not_found_in_the_same_words(busy: Desk) -> None:
    person = busy.person(Role.ADMIN, SCHOOL)
    (outside,) = [asset.id for asset in list_assets(busy.core, busy.admin).items if asset.unit == FAR_SCHOOL]

    def said(ident: str) -> str:
        with pytest.raises(CollectorError) as caught:
            show_asset(busy.core, person, ident)
        return str(caught.value).replace(ident, "ID")

    assert said(outside) == said("no-such-asset")


def test_a_token_that_was_lost_is_taken_back(tmp_path: Path) -> None:
    with desk(tmp_path) as first:
        token = people.add_person(first.core, "wang", Role.OPERATOR, COUNTY)
        other = people.add_person(first.core, "li", Role.OPERATOR, COUNTY)
        people.remove_person(first.core, "wang")
        assert people.authenticate(first.core, token) is None
        with pytest.raises(NotFound):
            people.remove_person(first.core, "wang")
        again = people.add_person(first.core, "wang", Role.VIEWER, COUNTY)
    with desk(tmp_path) as second:
        known = [people.authenticate(second.core, word) for word in (token, other, again)]
        assert [person and (person.name, person.role) for person in known] == [
            None,
            ("li", Role.OPERATOR),
            ("wang", Role.VIEWER),
        ]


def test_an_invented_token_takes_no_turn_of_the_writer(desk: Desk) -> None:
    started, let_go = threading.Event(), threading.Event()

    def hold(_turn: object) -> None:
        started.set()
        let_go.wait(60)

    held = desk.core.store.submit(hold)
    try:
        started.wait(60)
        with pytest.raises(Unauthorised):
            enrol(desk.core, "invented", START)
        assert not held.done()
    finally:
        let_go.set()
    held.result()
