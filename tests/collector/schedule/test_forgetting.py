"""What was not seen for long is forgotten: addresses that come and go, never what people or a card vouch for."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import func, select

from collector.alerts.queries import acknowledge
from collector.errors import NotFound
from collector.ingest.corrections import merge_assets, split_asset
from collector.inventory.lists.assets import show_asset
from collector.inventory.lists.drift import list_drift
from collector.memory.directory import AgentIdentity
from collector.registry import agents
from collector.schedule import forgetting
from collector.settings import Settings
from collector.store import tables
from tests.support.collectors import DAY, Clock, Desk, desk
from tests.support.reports import covers, host, service, state, unchanged
from wire.types import Observation

CARD, PHONE, PHONE_2 = "00:16:3e:00:00:0a", "7e:00:00:00:00:0b", "7e:00:00:00:00:0c"
AREA, AREA6 = covers("10.0.0.0/24"), covers("2001:db8::/64")
KEEPER = host("10.0.0.1", mac="00:16:3e:00:00:01")
"""Goes on being seen, so that time passes for its section."""


def look(made: Desk, agent: AgentIdentity, *said: Observation, days: float = 1.0, task: str = "discovery") -> None:
    at = made.clock.forward(days * DAY)
    made.send(agent, state(task, KEEPER, *said, AREA, at=at))


def later(made: Desk, agent: AgentIdentity, days: int = 91) -> None:
    """Let some weeks go by in which only KEEPER is seen."""
    for number in range(4):
        look(made, agent, host("10.0.0.2", mac="00:16:3e:00:00:02", n=number), days=days / 4)
    made.core.tick()


def held(made: Desk, agent: AgentIdentity) -> int:
    return made.core.sections.stored(agent.id)


def rows(made: Desk, table: str) -> int:
    with made.core.store.reader() as connection:
        return int(connection.execute(select(func.count()).select_from(getattr(tables, table))).scalar_one())


def test_temporary_addresses_of_a_device_are_forgotten_and_the_device_stays(desk: Desk) -> None:
    agent = desk.agent()
    for number in range(1, 6):
        temporary = f"2001:db8::{number:x}:1234:5678:9abc"
        look(desk, agent, host("10.0.0.5", mac=CARD), host(temporary, mac=CARD), service(temporary, 22))
    before = desk.asset(f"mac:{CARD}")
    start = desk.clock.now
    for number in range(4):
        look(desk, agent, host("10.0.0.5", mac=CARD, n=number), days=23)
    full = held(desk, agent)
    desk.core.tick()
    shown = show_asset(desk.core, desk.admin, before.id)
    assert (shown.presence, shown.addresses, shown.first_seen) == ("present", ("10.0.0.5",), before.first_seen)
    assert sorted((proof.kind, proof.value) for proof in shown.evidence) == [("address", "10.0.0.5"), ("mac", CARD)]
    assert held(desk, agent) == full - 10
    assert [change.before for change in shown.changes if change.what == "forgotten"] != []
    # What was forgotten is neither drift nor a state, and what happened to it before is still told.
    assert {item.what for item in list_drift(desk.core, desk.admin, None, start)} <= {"changed"}
    assert {found.state for found in shown.services} == {"unknown"}


def test_a_phone_that_made_up_its_mac_is_forgotten_with_its_room_and_its_history_stays(desk: Desk) -> None:
    agent = desk.agent()
    look(desk, agent)
    empty = held(desk, agent)
    look(desk, agent, host("10.0.0.9", mac=PHONE, hostname="phone"), host("fe80::9%lan", mac=PHONE))
    phone = desk.asset(f"mac:{PHONE}")
    start = desk.clock.now - 1
    for _ in range(3):
        look(desk, agent)
    told = [item.what for item in list_drift(desk.core, desk.admin, None, start)]
    assert told.count("new") == 1
    later(desk, agent)
    assert desk.assets(f"mac:{PHONE}") == ()
    with pytest.raises(NotFound):
        show_asset(desk.core, desk.admin, phone.id)
    assert held(desk, agent) == empty + 1
    assert [item.what for item in list_drift(desk.core, desk.admin, None, start) if item.asset == phone.id] == [
        "vanished",
        "new",
    ]
    # It comes back as somebody new; the digest that the section had goes on being understood.
    look(desk, agent, host("10.0.0.9", mac=PHONE, hostname="phone"))
    assert desk.asset(f"mac:{PHONE}").id != phone.id


def test_phones_that_lost_their_lease_to_others_are_forgotten(desk: Desk) -> None:
    agent = desk.agent()
    for number in range(10):
        look(desk, agent, host("10.0.0.9", mac=f"7e:00:00:00:00:{number:02x}"))
    assert len(desk.assets()) == 11
    later(desk, agent)
    assert [asset.macs for asset in desk.assets() if asset.macs[0].startswith("7e")] == []


def test_before_its_time_nothing_is_forgotten(desk: Desk) -> None:
    agent = desk.agent()
    look(desk, agent, host("10.0.0.9", mac=PHONE))
    later(desk, agent, days=88)
    assert len(desk.assets(f"mac:{PHONE}")) == 1


def test_while_a_gateway_is_away_nothing_behind_it_grows_old(desk: Desk) -> None:
    agent, other = desk.agent(), desk.agent(name="other")
    look(desk, agent, host("10.0.0.9", mac=PHONE))
    look(desk, agent)
    for _ in range(4):
        look(desk, other, host("10.0.0.77", mac=PHONE_2), days=50)
    desk.core.tick()
    assert desk.asset(f"mac:{PHONE}").presence == "unknown"
    look(desk, agent, host("10.0.0.9", mac=PHONE))
    assert desk.asset(f"mac:{PHONE}").presence == "present"


def test_a_device_with_a_card_keeps_its_last_word(desk: Desk) -> None:
    agent = desk.agent()
    look(desk, agent, host("10.0.0.9", mac=CARD))
    look(desk, agent, host("10.0.0.10", mac=CARD), host("2001:db8::10", mac=CARD))
    before = desk.asset(f"mac:{CARD}")
    later(desk, agent)
    after = desk.asset(f"mac:{CARD}")
    assert (after.id, after.presence, after.addresses) == (before.id, "absent", ("10.0.0.10",))


@pytest.mark.parametrize("approved", [PHONE, "10.0.0.9"])
def test_what_an_approval_names_is_never_forgotten(desk: Desk, approved: str) -> None:
    agent = desk.agent()
    desk.whitelist(f"host,{approved},,,o,r,a,\nhost,10.0.0.0/24,,,o,r,a,\n")
    look(desk, agent, host("10.0.0.9", mac=PHONE), host("10.0.0.8", mac=PHONE_2))
    later(desk, agent)
    assert desk.asset(f"mac:{PHONE}").standing == "listed"
    assert desk.assets(f"mac:{PHONE_2}") == ()  # that its network is approved names nobody


@pytest.mark.parametrize("taken_back", [False, True])
def test_what_a_person_merged_or_took_apart_is_never_forgotten(desk: Desk, *, taken_back: bool) -> None:
    agent = desk.agent()
    look(desk, agent, host("10.0.0.8", mac=PHONE), host("10.0.0.9", mac=PHONE_2))
    old, new = desk.asset(f"mac:{PHONE}").id, desk.asset(f"mac:{PHONE_2}").id
    merge_assets(desk.core, desk.admin, old, new, "one phone")
    if taken_back:
        split_asset(desk.core, desk.admin, old, "two after all")
    later(desk, agent)
    assert {asset.macs for asset in desk.assets() if asset.id in (old, new)} == (
        {(PHONE,), (PHONE_2,)} if taken_back else {(PHONE, PHONE_2)}
    )
    if not taken_back:
        assert split_asset(desk.core, desk.admin, old, "two after all").macs == (PHONE,)


def test_what_has_an_acknowledged_alert_is_not_forgotten(desk: Desk) -> None:
    agent = desk.agent()
    desk.whitelist("host,10.8.0.0/16,,,o,r,a,\n")
    look(desk, agent)
    look(desk, agent, host("10.0.0.9", mac=PHONE), host("2001:db8::8", mac=PHONE_2))
    for alert in desk.alerts("unlisted-asset"):
        if alert.subject.id == desk.asset(f"mac:{PHONE_2}").id:
            acknowledge(desk.core, desk.admin, alert.id, "we know")
    kept = desk.asset(f"mac:{PHONE_2}").id
    later(desk, agent)
    assert desk.assets(f"mac:{PHONE}") == ()
    assert desk.asset(f"mac:{PHONE_2}").id == kept
    assert kept in [alert.subject.id for alert in desk.alerts("unlisted-asset", "acknowledged")]


def test_ports_that_are_long_gone_make_room_and_are_the_same_when_they_return(desk: Desk) -> None:
    agent = desk.agent()
    gone = range(49_000, 49_020)
    area = covers("10.0.0.0/24", ports="1-65535")

    def run(*ports: int, days: float = 1.0) -> None:
        at = desk.clock.forward(days * DAY)
        desk.send(
            agent, state("ports", host("10.0.0.5", mac=CARD), *(service("10.0.0.5", p) for p in ports), area, at=at)
        )

    run(22, *gone)
    for days in (1, 1, 1, 91):
        run(22, days=days)
    full = held(desk, agent)
    desk.core.tick()
    assert held(desk, agent) == full - len(gone)
    states = {found.port: found.state for found in desk.asset(f"mac:{CARD}").services}
    assert states == {22: "open", **dict.fromkeys(gone, "filtered")}
    since = desk.clock.now
    run(22, 49_001)
    assert [(item.what, item.before, item.after) for item in list_drift(desk.core, desk.admin, None, since)] == [
        ("returned", "filtered", "open")
    ]


def test_a_merge_after_forgetting_closes_nothing_that_is_unknown(desk: Desk) -> None:
    agent = desk.agent()
    temporary = "2001:db8::1234:5678:9abc:1"
    look(desk, agent, host("10.0.0.5", mac=CARD), host(temporary, mac=CARD), service(temporary, 22))
    for number in range(5):
        look(desk, agent, host("10.0.0.5", mac=CARD, n=number), days=23)
    desk.core.tick()
    assert [found.state for found in desk.asset(f"mac:{CARD}").services] == ["unknown"]
    merge_assets(desk.core, desk.admin, desk.asset(f"mac:{CARD}").id, desk.asset("ip:10.0.0.1").id, "both cards")
    assert [found.state for found in desk.asset(f"mac:{CARD}").services] == ["unknown"]


def test_rows_go_when_their_history_is_over(tmp_path: Path) -> None:
    with desk(tmp_path, Settings(change_days=120), Clock()) as made:
        agent = made.agent()
        for number in range(5):
            look(made, agent, host("10.0.0.9", mac=f"7e:00:00:00:00:{number:02x}"), service("10.0.0.9", 22))
        later(made, agent)
        assert (len(made.assets()), rows(made, "asset"), rows(made, "service")) == (2, 7, 5)
        for _ in range(2):
            later(made, agent, days=130)
        assert (rows(made, "asset"), rows(made, "service")) == (2, 0)
        assert rows(made, "sighting") == 2


def test_a_section_whose_sightings_were_forgotten_goes_on_unchanged(desk: Desk) -> None:
    agent = desk.agent()
    look(desk, agent, host("10.0.0.9", mac=PHONE))
    section = state("discovery", KEEPER, AREA, at=desk.clock.forward(DAY))
    desk.send(agent, section)
    for _ in range(4):
        at = desk.clock.forward(23 * DAY)
        desk.send(agent, unchanged(section, at))
    desk.core.tick()
    assert [asset.addresses for asset in desk.assets()] == [("10.0.0.1",)]
    desk.send(agent, unchanged(section, desk.clock.forward(DAY)))
    assert desk.asset("ip:10.0.0.1").presence == "present"
    assert held(desk, agent) == 1


@pytest.mark.parametrize("alerted", [False, True])
def test_the_word_of_a_task_that_runs_no_more_is_forgotten_unless_an_alert_is_open(
    desk: Desk, *, alerted: bool
) -> None:
    agent = desk.agent()
    look(desk, agent)
    look(desk, agent, task="asked once")
    if alerted:
        desk.whitelist("host,10.8.0.0/16,,,o,r,a,\n")
    look(desk, agent, host("10.0.0.9", mac=PHONE), task="asked once")
    phone = desk.asset(f"mac:{PHONE}").id
    later(desk, agent)
    assert len(desk.assets(f"mac:{PHONE}")) == alerted
    assert (phone in [alert.subject.id for alert in desk.alerts("unlisted-asset", "firing")]) == alerted


def test_what_a_revoked_agent_saw_grows_old_while_others_of_its_unit_look(desk: Desk) -> None:
    old, new = desk.agent(), desk.agent(name="its heir")
    look(desk, old, host("10.0.0.9", mac=PHONE))
    agents.revoke(desk.core, desk.admin, old.id)
    desk.core.tick()
    assert len(desk.assets(f"mac:{PHONE}")) == 1
    later(desk, new)
    assert desk.assets(f"mac:{PHONE}") == ()
    assert len(desk.assets("mac:00:16:3e:00:00:01")) == 1


def test_more_than_a_page_is_forgotten_over_several_rounds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "PAGE", 7)
    monkeypatch.setattr(forgetting, "PAGES", 2)
    agent = desk.agent()
    look(desk, agent, *(host(f"10.0.0.{number}", mac=f"7e:00:00:00:00:{number:02x}") for number in range(10, 60)))
    later(desk, agent)
    left = len(desk.assets("mac:7e"))
    assert 30 < left < 50  # two pages of seven, but the first of the day found nothing yet
    for _ in range(6):
        desk.clock.forward(3601)
        desk.core.tick()
    assert desk.assets("mac:7e") == ()


def test_a_round_looks_at_so_many_tasks_and_the_next_goes_on_with_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "LOOKS", 3)
    agent = desk.agent()
    for number in range(8):
        look(desk, agent, host(f"10.0.0.{number + 9}", mac=f"7e:00:00:00:00:{number:02x}"), task=f"task {number}")
    for number in range(8):
        look(desk, agent, days=91 * (number == 0), task=f"task {number}")
    left = []
    for _ in range(12):
        desk.clock.forward(3601)
        desk.core.tick()
        left.append(len(desk.assets("mac:7e")))
    assert left[0] >= 5
    assert all(before - after <= 3 for before, after in itertools.pairwise(left))
    assert left[-1] == 0
