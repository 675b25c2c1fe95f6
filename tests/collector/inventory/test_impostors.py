"""Who takes another's place: what an approval that rests on a MAC is worth, and when it is told that two show it."""

import pytest

from tests.support.collectors import INTERVAL, Desk
from tests.support.reports import covers, host, service, state
from wire.types import Observation, Value

CARD, OTHER, VIRTUAL = "00:16:3e:00:00:0a", "00:16:3e:00:00:0b", "00:00:5e:00:01:0a"
DEVICE: dict[str, Value] = {"mac": CARD, "hostname": "boiler-1", "uuid": ("4d696e69-444c-164e-9d41-0016fe000001",)}
IMPOSTOR: dict[str, Value] = {"mac": CARD, "hostname": "kali", "uuid": ("4d696e69-444c-164e-9d41-0016fe00ffff",)}


def seen(desk: Desk, agent: object, *said: Observation, rounds: int = 5) -> None:
    for _ in range(rounds):
        at = desk.clock.forward(INTERVAL)
        desk.send(agent, state("discovery", *said, covers("10.0.0.0/24"), at=at))  # type: ignore[arg-type]
        desk.core.tick()


def told(desk: Desk, rule: str) -> list[dict[str, object]]:
    return [dict(alert.evidence) for alert in desk.alerts(rule, "firing")]


def test_a_second_machine_that_shows_an_approved_mac_is_told(desk: Desk) -> None:
    agent = desk.agent()
    desk.whitelist(f"host,{CARD},,,o,r,a,\n")
    seen(desk, agent, host("10.0.0.5", **DEVICE))
    assert told(desk, "card-shown-twice") == []
    seen(desk, agent, host("10.0.0.5", **DEVICE), host("10.0.0.9", **IMPOSTOR))
    # By its card it is the device, and approved: nothing else could be said. But not in silence.
    assert [asset.standing for asset in desk.assets()] == ["listed"]
    (alert,) = desk.alerts("card-shown-twice", "firing")
    assert "10.0.0.9" in str(alert.evidence)
    seen(desk, agent, host("10.0.0.5", **DEVICE))
    assert told(desk, "card-shown-twice") == []


def test_host_keys_and_names_tell_two_machines_behind_one_mac_too(desk: Desk) -> None:
    agent = desk.agent()
    seen(
        desk,
        agent,
        *(host(f"10.0.0.{number}", mac=CARD, hostname=f"pc-{number}") for number in (5, 9)),
        *(service(f"10.0.0.{number}", 22, hostkey=f"sha256:{number:043d}") for number in (5, 9)),
    )
    assert len(desk.alerts("card-shown-twice", "firing")) == 1


@pytest.mark.parametrize(
    "second",
    [
        {"mac": CARD},  # a second address that says nothing
        {"mac": CARD, "hostname": "boiler-2"},  # a name alone
        {**DEVICE, "hostname": "boiler-2"},  # one service has a name of its own
    ],
)
def test_a_machine_with_two_addresses_is_no_impostor(desk: Desk, second: dict[str, Value]) -> None:
    seen(desk, desk.agent(), host("10.0.0.5", **DEVICE), host("10.0.0.6", **second))
    assert len(desk.assets()) == 1
    assert told(desk, "card-shown-twice") == []


def test_two_cards_that_claim_one_address_are_told_and_a_shared_mac_is_no_claim(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.1", mac=CARD), host("10.0.0.2", mac=OTHER, other_macs=(VIRTUAL,)))
    assert told(desk, "address-claimed-twice") == []
    seen(desk, agent, host("10.0.0.1", mac=CARD, other_macs=("00:16:3e:00:00:66",)), rounds=1)
    assert told(desk, "address-claimed-twice") == []  # a moment is no conflict
    seen(desk, agent, host("10.0.0.1", mac=CARD, other_macs=("00:16:3e:00:00:66",)))
    (alert,) = desk.alerts("address-claimed-twice", "firing")
    assert alert.subject.label == "10.0.0.1"
    assert "00:16:3e:00:00:66" in str(alert.evidence)
