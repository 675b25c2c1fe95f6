"""The security light of a network: alerts of what lies in it, and unknown where there are none."""

from collector.ipv6.reports import sites
from collector.registry import register
from tests.support.collectors import SCHOOL, Desk
from tests.support.reports import covers, host, service, state
from wire.types import Observation, Outcome, Target, TargetKind, Value

NETWORKS = ("10.1.0.0/16", "10.2.0.0/16", "2001:db8:1::/48", "2001:db8:2::/48")


def lights(desk: Desk) -> dict[str, str]:
    return {item.address: item.light for item in sites.list_sites(desk.core, desk.admin, SCHOOL, "network").items}


def registered(desk: Desk) -> None:
    sheet = "kind,address,owner\n" + "".join(f"network,{prefix},a\n" for prefix in NETWORKS)
    register.import_entries(desk.core, desk.admin, sheet.encode(), "r.csv", SCHOOL)
    desk.core.tick()


def test_a_device_or_port_colours_the_network_that_it_lies_in(desk: Desk) -> None:
    registered(desk)
    assert set(lights(desk).values()) == {"unknown"}
    agent = desk.agent()
    desk.whitelist("host,10.1.0.9,,,a,b,c,2027-01-01\n")
    desk.send(agent, state("ports", host("10.1.0.9"), covers("10.0.0.0/8"), at=desk.clock.now))
    at = desk.clock.forward(60)
    seen = (host("10.1.0.9"), service("10.1.0.9", 23), covers("10.0.0.0/8"))
    desk.send(agent, state("ports", *seen, at=at))
    desk.core.tick()
    assert [alert.subject.label for alert in desk.alerts("telnet-open")] == ["10.1.0.9:23/tcp"]
    found = lights(desk)
    assert found.pop("10.1.0.0/16") in {"blue", "yellow", "orange", "red"}
    assert set(found.values()) == {"unknown"}


def test_an_unknown_device_colours_its_network(desk: Desk) -> None:
    registered(desk)
    desk.whitelist("host,10.1.0.9,,,a,b,c,2027-01-01\n")
    agent = desk.agent()
    desk.send(agent, state("ports", host("10.1.0.9"), covers("10.0.0.0/8"), at=desk.clock.now))
    at = desk.clock.forward(60)
    desk.send(agent, state("ports", host("10.1.0.9"), host("10.2.0.7"), covers("10.0.0.0/8"), at=at))
    desk.core.tick()
    assert [alert.subject.label for alert in desk.alerts("unlisted-asset")] == ["10.2.0.7"]
    found = lights(desk)
    assert found["10.2.0.0/16"] not in {"unknown", "none"}
    assert found["10.1.0.0/16"] == "unknown"


def test_a_finding_about_a_link_colours_the_networks_on_it(desk: Desk) -> None:
    registered(desk)
    values: dict[str, Value] = {
        "code": "rogue_ra",
        "evidence": ("fe80::bad",),
        "prefixes": ("2001:db8:1:5::/64", "10.1.7.0/24"),
    }
    rogue = Observation(
        "lan_ipv6", "LAN-ROGUERA", Target(TargetKind.NETWORK, "br-lan"), Outcome.FAIL, desk.clock.now, values
    )
    fine = Observation(
        "lan_ipv6", "LAN-ROGUERA", Target(TargetKind.NETWORK, "guest"), Outcome.PASS, desk.clock.now,
        {**values, "prefixes": ("2001:db8:2:5::/64",)},
    )  # fmt: skip
    desk.send(desk.agent(), state("lan", rogue, fine, at=desk.clock.now, probe="lan_ipv6"))
    desk.core.tick()
    (alert,) = desk.alerts("rogue-ra")
    assert lights(desk) == {
        "10.1.0.0/16": alert.colour, "2001:db8:1::/48": alert.colour, "10.2.0.0/16": "unknown",
        "2001:db8:2::/48": "unknown",
    }  # fmt: skip
