"""From where a service can be reached: said by those who look from there, denied by what they covered, else unknown."""

import sqlite3
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

from collector.answers.views import Service
from collector.inventory.exposure import exposed
from collector.inventory.lists.assets import show_asset
from collector.memory.directory import AgentIdentity
from collector.registry import agents
from collector.settings import Settings
from rules.facts import VANTAGES
from tests.support.collectors import (
    COUNTY,
    DAY,
    FAR_SCHOOL,
    INTERVAL,
    OTHER_SCHOOL,
    SCHOOL,
    Clock,
    Desk,
    old_schema,
)
from tests.support.reports import covers, host, service, state, unchanged
from wire.types import Coverage, Observation, Outcome, Section, Target, TargetKind, Transport, Value

PUBLIC, INSIDE = "198.18.0.5", "10.0.0.5"
NEVER, RESOLVER = "high-risk-port-internet", "open-resolver"
ALL = covers("198.18.0.0/24", "10.0.0.0/24", ports="1-65535")
EMPTY = (host("198.18.0.77"),)


def look(desk: Desk, agent: AgentIdentity, *said: Observation, covered: Coverage | None = ALL) -> Section:
    at = desk.clock.forward(INTERVAL)
    names = dict.fromkeys(item.target.name for item in said)
    parts = () if covered is None else (covered,)
    section = state("ports", *map(host, names), *said, *parts, at=at)
    desk.send(agent, section)
    desk.core.tick()
    return section


def ports(desk: Desk, where: str, under: str | None = SCHOOL) -> dict[int, Service]:
    return {found.port: found for asset in desk.assets("", under) for found in asset.services if found.address == where}


def exposure(desk: Desk, where: str = PUBLIC, port: int = 3389, under: str | None = SCHOOL) -> str:
    return ports(desk, where, under)[port].exposure


def labels(desk: Desk, rule: str) -> list[str]:
    return sorted(alert.subject.label for alert in desk.alerts(rule))


def test_what_answers_inside_is_not_thereby_on_the_internet_and_not_thereby_off_it(desk: Desk) -> None:
    look(desk, desk.agent(), service(PUBLIC, 3389))
    assert exposure(desk) == "unknown"
    assert desk.alerts(NEVER) == []


def test_open_as_seen_from_the_internet_is_exposed_and_says_who_saw_it_when(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(PUBLIC, 3389), service(PUBLIC, 445))
    look(desk, outside, service(PUBLIC, 3389))
    found = ports(desk, PUBLIC)
    assert {port: one.exposure for port, one in found.items()} == {3389: "internet", 445: "not_internet"}
    rdp = found[3389]
    assert rdp.exposure_by == "outside"
    assert rdp.exposure_confirmed is not None
    assert rdp.exposure_confirmed.timestamp() == desk.clock.now
    (alert,) = desk.alerts(NEVER)
    assert (alert.subject.label, alert.colour) == (f"{PUBLIC}:3389/tcp", "red")
    assert alert.evidence["exposure_by"] == "outside"


def test_it_takes_as_many_covering_runs_to_be_gone_as_anything_else(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(PUBLIC, 3389))
    look(desk, outside, service(PUBLIC, 3389))
    found = []
    for number in range(3):
        look(desk, outside, service("198.18.0.77", 80 + number))
        found.append((exposure(desk), labels(desk, NEVER)))
    there = ("internet", [f"{PUBLIC}:3389/tcp"])
    assert found == [there, there, ("not_internet", [])]


def test_a_run_that_leaves_it_out_makes_it_unknown_and_resolves_nothing(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(PUBLIC, 3389))
    look(desk, outside, service(PUBLIC, 3389))
    look(desk, outside, service("198.18.0.77", 80), covered=covers("198.18.0.77/32", ports="80"))
    assert exposure(desk) == "unknown"
    assert labels(desk, NEVER) == [f"{PUBLIC}:3389/tcp"]


@pytest.mark.parametrize(("seen", "told"), [(3389, "internet"), (80, "not_internet")])
def test_it_fades_to_unknown_with_whoever_looked(desk: Desk, seen: int, told: str) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    kept = look(desk, inside, service(PUBLIC, 3389))
    look(desk, outside, service(PUBLIC, seen))
    assert exposure(desk) == told
    for _ in range(4):
        desk.send(inside, unchanged(kept, desk.clock.forward(DAY)))
        desk.core.tick()
    service_now = ports(desk, PUBLIC)[3389]
    assert (service_now.state, service_now.exposure, service_now.exposure_by) == ("open", "unknown", "")
    assert desk.counts().exposed == {}


def test_coverage_of_a_later_run_is_taken_in_though_nothing_was_seen(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(PUBLIC, 3389))
    found = []
    for ports_ in ("80", "1-4000", "80-90"):
        look(desk, outside, service("198.18.0.77", 80), covered=covers("198.18.0.0/24", ports=ports_))
        found.append(exposure(desk))
    assert found == ["unknown", "not_internet", "unknown"]


def test_a_private_address_is_never_on_the_internet_by_anybodys_word(desk: Desk) -> None:
    """The same prefix is used at home by half the world: what an outside machine sees there is a machine of its own."""
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(INSIDE, 3389))
    look(desk, outside, service(INSIDE, 3389))
    assert exposure(desk, INSIDE) == "unknown"
    assert desk.alerts(NEVER) == []


def test_what_the_outside_machine_sees_of_itself_is_not_seen_from_outside(desk: Desk) -> None:
    outside = desk.agent(name="outside", vantage="internet")
    own = Observation(
        "asset_whitelist", "sockets", Target(TargetKind.SERVICE, PUBLIC, 3389, Transport.TCP), Outcome.SEEN, 0.0
    )
    at = desk.clock.forward(INTERVAL)
    desk.send(outside, state("own", own, at=at), state("ports", service(PUBLIC, 3389), ALL, at=at))
    desk.core.tick()
    assert exposure(desk) == "unknown"


def test_the_countys_outside_machine_speaks_for_the_schools_below_and_no_others(desk: Desk) -> None:
    for school in (SCHOOL, OTHER_SCHOOL, FAR_SCHOOL):
        gateway = desk.agent(school)
        look(desk, gateway, service(PUBLIC, 3389), service(INSIDE, 3389))
    look(desk, desk.agent(COUNTY, "outside", "internet"), service(PUBLIC, 3389), service(INSIDE, 3389))
    told = {
        (school, where): exposure(desk, where, under=school)
        for school in (SCHOOL, OTHER_SCHOOL, FAR_SCHOOL)
        for where in (PUBLIC, INSIDE)
    }
    assert [key for key, value in told.items() if value == "internet"] == [(SCHOOL, PUBLIC), (OTHER_SCHOOL, PUBLIC)]
    assert set(told.values()) == {"internet", "unknown"}
    assert desk.counts().exposed == {SCHOOL: 1, OTHER_SCHOOL: 1, COUNTY: 1}


def test_the_widest_place_counts_and_the_next_only_once_that_one_is_settled(desk: Desk) -> None:
    on = {vantage: desk.agent(name=vantage, vantage=vantage) for vantage in VANTAGES}
    nothing = [service("198.18.0.77", 80)]
    look(desk, on["campus_lan"], service(PUBLIC, 3389))
    found = [exposure(desk)]
    look(desk, on["internet"], *nothing)
    found.append(exposure(desk))
    look(desk, on["edu_private_net"], *nothing)
    found.append(exposure(desk))
    look(desk, on["edu_private_net"], service(PUBLIC, 3389))
    found.append(exposure(desk))
    look(desk, on["internet"], service(PUBLIC, 3389))
    found.append(exposure(desk))
    assert found == ["unknown", "not_internet", "campus_lan", "edu_private_net", "internet"]


def test_the_private_net_of_the_schools_says_nothing_of_the_internet(desk: Desk) -> None:
    look(desk, desk.agent(vantage="edu_private_net"), service(INSIDE, 3389))
    assert exposure(desk, INSIDE) == "unknown"


def resolver(where: str, recursion: str | None, transport: Transport = Transport.UDP) -> Observation:
    said: dict[str, Value] = {"service": "domain"} | ({"dns.recursion": recursion} if recursion else {})
    target = Target(TargetKind.SERVICE, where, 53, transport)
    return Observation("udp_ports", "dns", target, Outcome.OPEN, 0.0, said)


@pytest.mark.parametrize(("outside_hears", "open_"), [("yes", True), ("no", False), (None, False)])
def test_a_resolver_is_open_by_what_it_says_to_the_internet(desk: Desk, outside_hears: str | None, open_: bool) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, outside, resolver(PUBLIC, outside_hears))
    look(desk, inside, resolver(PUBLIC, "yes"))
    assert exposure(desk, port=53) == "internet"
    assert labels(desk, RESOLVER) == ([f"{PUBLIC}:53/udp"] if open_ else [])


def test_silence_over_udp_settles_nothing(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, resolver(PUBLIC, "yes"))
    doubtful = Observation(
        "udp_ports", "dns", Target(TargetKind.SERVICE, PUBLIC, 53, Transport.UDP), Outcome.OPEN_FILTERED, 0.0
    )
    look(desk, outside, doubtful)
    assert exposure(desk, port=53) == "unknown"


def test_inside_and_outside_addresses_stay_two_assets_though_one_forwards_to_the_other(desk: Desk) -> None:
    key: dict[str, Value] = {"service": "ssh", "hostkey.ed25519": "SHA256:same", "ssh.hostkey": "SHA256:same"}
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(INSIDE, 22, **key))
    look(desk, outside, service(PUBLIC, 22, **key))
    assert desk.asset(f"ip:{PUBLIC}").id != desk.asset(f"ip:{INSIDE}").id
    assert (exposure(desk, PUBLIC, 22), exposure(desk, INSIDE, 22)) == ("internet", "unknown")


def test_where_an_agent_looks_from_can_be_declared_later_and_taken_back(desk: Desk) -> None:
    agent = desk.agent()
    look(desk, agent, service(PUBLIC, 3389))
    found = []
    for vantage in ("internet", "unknown", "internet"):
        agents.set_vantage(desk.core, desk.admin, agent.id, vantage)
        desk.core.tick()
        found.append((exposure(desk), agents.list_agents(desk.core, desk.admin)[0].vantage))
    assert found == [("internet", "internet"), ("unknown", "unknown"), ("internet", "internet")]


def test_a_revoked_machine_vouches_for_nothing(desk: Desk) -> None:
    outside = desk.agent(name="outside", vantage="internet")
    look(desk, outside, service(PUBLIC, 3389))
    agents.revoke(desk.core, desk.admin, outside.id)
    desk.clock.forward(1)
    desk.core.tick()
    assert exposure(desk) == "unknown"


def test_assets_are_searched_by_exposure(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(PUBLIC, 3389), service("198.18.0.6", 22), service(INSIDE, 22))
    look(desk, outside, service(PUBLIC, 3389))
    found = {
        word: [asset.addresses[0] for asset in desk.assets(f"exposure:{word}")]
        for word in ("internet", "not_internet", "edu_private_net", "unknown")
    }
    assert found == {
        "internet": [PUBLIC],
        "not_internet": ["198.18.0.6"],
        "edu_private_net": [],
        "unknown": [INSIDE],
    }
    assert desk.assets("exposure:internet port:22") == ()
    (shown,) = show_asset(desk.core, desk.admin, desk.asset("exposure:internet").id).services
    assert shown.exposure == "internet"


def test_open_services_are_gone_through_some_at_a_time_and_each_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposed, "CHUNK", 3)
    for unit in (SCHOOL, OTHER_SCHOOL, FAR_SCHOOL):
        look(desk, desk.agent(unit, name=unit), *(service(PUBLIC, 8000 + number) for number in range(5)))

    def pages(unit: str) -> list[list[str]]:
        path = desk.core.directory.units[unit].path
        return [[f"{one.port.unit} {one.port.port}" for one in page] for page in exposed.opened(desk.core, path)]

    assert sorted(chain.from_iterable(pages(SCHOOL))) == [f"{SCHOOL} {8000 + number}" for number in range(5)]
    found = pages(COUNTY)
    assert max(map(len, found)) == 3
    assert sorted(chain.from_iterable(found)) == sorted(
        f"{unit} {8000 + number}" for unit in (SCHOOL, OTHER_SCHOOL) for number in range(5)
    )


def test_a_restart_changes_nothing(desk: Desk) -> None:
    inside, outside = desk.agent(), desk.agent(name="outside", vantage="internet")
    look(desk, inside, service(PUBLIC, 3389), service(PUBLIC, 22))
    look(desk, outside, service(PUBLIC, 3389))
    before = {port: one.exposure for port, one in ports(desk, PUBLIC).items()}
    with desk.core.store.reader() as connection:
        desk.core.directory.load(connection)
        desk.core.sections.load(connection)
    assert {port: one.exposure for port, one in ports(desk, PUBLIC).items()} == before
    assert before == {3389: "internet", 22: "not_internet"}


_OLD = """
INSERT INTO unit VALUES ('2164000101', 'x', 'school', NULL, '2164000101/', '2164000101', '640104', 0);
INSERT INTO agent VALUES ('old', '2164000101', '2164000101', 'gateway', 'hash', 0, NULL, '');
INSERT INTO enrolment_token VALUES ('waiting', '2164000101', 'root', 0, 9e9, NULL, NULL);
INSERT INTO section VALUES ('2164000101', 1, 'old', 'ports', 'open_ports', 'state', 'done', '', 'd', 1.78e9, 1.78e9,
    1.78e9, 1.781e9, 1, NULL);
INSERT INTO section_detail VALUES ('2164000101', 1, '[[["198.18.0.0/24"],4,"1-65535","tcp"]]', '[]', '[]');
INSERT INTO asset VALUES ('2164000101', 'a', '2164000101', '', 'present', 'no_list', 1, 0, 0, 1, NULL);
INSERT INTO service VALUES ('2164000101', 's', '2164000101', 'a', '198.18.0.5', 4, 'tcp', 3389, 'open', 'no_list', NULL,
    1, 0, 0, 0, 1, NULL);
INSERT INTO sighting VALUES ('2164000101', 1, 's|198.18.0.5|tcp|3389', 's', 'open', '', 0, 0, 0);
"""


def test_what_an_older_release_stored_was_seen_from_nobody_knows_where(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "collector.db"
    old_schema(file, "0007")
    with closing(sqlite3.connect(file)) as old:
        old.executescript(_OLD)
    desk = Desk(file, Settings(), clock)
    with closing(desk.core):
        desk.core.tick()
        assert (exposure(desk), agents.list_agents(desk.core, desk.admin)[0].vantage) == ("unknown", "unknown")
        agents.set_vantage(desk.core, desk.admin, "old", "internet")
        desk.core.tick()
        assert exposure(desk) == "internet"
        with desk.core.store.reader() as connection:
            assert connection.exec_driver_sql("SELECT vantage FROM enrolment_token").scalar_one() == "unknown"
