"""Which device is it: MACs, addresses, the agent itself, and what happens when they disagree."""

from pathlib import Path

import pytest

from collector.errors import UnknownDigest
from collector.inventory.lists.assets import show_asset
from collector.settings import Settings
from tests.support.collectors import FAR_SCHOOL, INTERVAL, OTHER_SCHOOL, Clock, Desk, desk
from tests.support.reports import covers, host, service, state, unchanged
from wire.types import Observation, Outcome

MAC_A, MAC_B = "00:16:3e:00:00:0a", "00:16:3e:00:00:0b"
RANDOM_A, RANDOM_B = "02:00:00:00:00:0a", "7e:00:00:00:00:0b"


def seen(desk: Desk, agent: object, *said: Observation, task: str = "neighbours") -> None:
    at = desk.clock.forward(INTERVAL)
    desk.send(agent, state(task, *said, covers("10.0.0.0/16"), at=at))  # type: ignore[arg-type]


def test_one_mac_with_addresses_of_both_families_is_one_asset(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("2001:db8::5", mac=MAC_A), host("fe80::1%eth0", mac=MAC_A))
    (asset,) = desk.assets()
    assert asset.addresses == ("10.0.0.5", "2001:db8::5", "fe80::1%eth0")
    assert asset.macs == (MAC_A,)


@pytest.mark.parametrize("spelling", ["00-16-3E-00-00-0A", "0016.3e00.000a", "00163E00000a"])
def test_a_mac_is_the_same_however_it_is_written(desk: Desk, spelling: str) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    seen(desk, agent, host("10.0.0.9", mac=spelling))
    (asset,) = desk.assets()
    assert asset.macs == (MAC_A,)


def test_a_device_keeps_its_identity_when_its_address_changes(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    before = desk.asset(f"mac:{MAC_A}")
    seen(desk, agent, host("10.0.0.77", mac=MAC_A))
    after = desk.asset(f"mac:{MAC_A}")
    assert after.id == before.id
    assert after.addresses == ("10.0.0.77",)
    assert ("address", "", "10.0.0.77") in [
        (change.what, change.before, change.after) for change in show_asset(desk.core, desk.admin, after.id).changes
    ]


def test_another_device_at_the_same_address_is_another_asset(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), service("10.0.0.5", 22))
    seen(desk, agent, host("10.0.0.5", mac=MAC_B), service("10.0.0.5", 22))
    old, new = desk.asset(f"mac:{MAC_A}"), desk.asset(f"mac:{MAC_B}")
    assert old.id != new.id
    assert new.addresses == ("10.0.0.5",)
    assert [found.state for found in new.services] == ["open"]
    # The first one lost its address: nothing of it answers there any more, and where it is now nobody knows.
    assert [found.state for found in old.services] == ["closed"]
    assert (old.presence, old.addresses) == ("unknown", ())


def test_ports_that_another_task_saw_before_the_address_changed_hands_are_unknown(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as made:
        agent = made.agent()
        seen(made, agent, host("10.0.0.5", mac=MAC_A))
        scan = (host("10.0.0.5"), service("10.0.0.5", 6379, product="Redis"), host("10.0.0.6"), service("10.0.0.6", 80))
        seen(made, agent, *scan, task="ports")
        before = {alert.subject for alert in made.alerts(state="firing")}
        assert before
        seen(made, agent, host("10.0.0.5", mac=MAC_B))
        old, new = made.asset(f"mac:{MAC_A}"), made.asset(f"mac:{MAC_B}")
        assert [(found.port, found.state, found.product) for found in new.services] == [(6379, "unknown", None)]
        assert [found.state for found in old.services] == ["closed"]
        # Nobody is accused of what another device did.
        assert {alert.subject for alert in made.alerts(state="firing")} <= before
    # The next run is asked in full though it says what it said before, also after a restart; then it is known.
    with desk(tmp_path, clock=clock) as again:
        again.senders.update(made.senders)
        last = state("ports", *scan, covers("10.0.0.0/16"), at=clock.forward(INTERVAL))
        with pytest.raises(UnknownDigest, match="ports"):
            again.send(agent, unchanged(last, clock.now))
        again.send(agent, last)
        (found,) = again.asset(f"mac:{MAC_B}").services
        assert (found.state, found.product) == ("open", "Redis")
        assert [found.state for found in again.asset(f"mac:{MAC_A}").services] == ["closed"]
        assert [found.state for found in again.asset("ip:10.0.0.6").services] == ["open"]
        assert again.send(agent, unchanged(last, clock.forward(INTERVAL))).duplicate is False


def test_a_port_scan_without_news_in_the_report_that_tells_of_a_new_device_is_asked_again(desk: Desk) -> None:
    agent = desk.agent()
    scan = (host("10.0.0.5"), service("10.0.0.5", 80), covers("10.0.0.0/16"))
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    desk.send(agent, state("ports", *scan, at=desk.clock.forward(INTERVAL)))
    at = desk.clock.forward(INTERVAL)
    arrived = state("neighbours", host("10.0.0.5", mac=MAC_B), covers("10.0.0.0/16"), at=at)
    desk.send(agent, arrived, unchanged(state("ports", *scan), at - 1))
    assert [found.state for found in desk.asset(f"mac:{MAC_B}").services] == ["unknown"]
    with pytest.raises(UnknownDigest, match="ports"):
        desk.send(agent, unchanged(state("ports", *scan), desk.clock.forward(INTERVAL)))
    desk.send(agent, state("ports", *scan, at=desk.clock.forward(INTERVAL)))
    assert [found.state for found in desk.asset(f"mac:{MAC_B}").services] == ["open"]


def test_ports_that_a_later_look_saw_go_to_whoever_has_the_address(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    late = desk.clock.forward(INTERVAL)
    desk.send(agent, state("ports", host("10.0.0.5"), service("10.0.0.5", 80), covers("10.0.0.0/16"), at=late))
    # It waited in the spool: what it tells is older than what the scan saw.
    desk.send(agent, state("neighbours", host("10.0.0.5", mac=MAC_B), covers("10.0.0.0/16"), at=late - 60))
    assert [found.state for found in desk.asset(f"mac:{MAC_B}").services] == ["open"]


def test_an_address_without_mac_is_an_asset_of_its_unit(desk: Desk) -> None:
    one, other, far = desk.agent(), desk.agent(OTHER_SCHOOL), desk.agent(FAR_SCHOOL)
    for agent in (one, other, far):
        seen(desk, agent, host("192.168.1.1"))
    assert len({asset.unit for asset in desk.assets("ip:192.168.1.1")}) == 3
    again = desk.agent(name="second gateway of the first school")
    seen(desk, again, host("192.168.1.1"))
    assert len(desk.assets("ip:192.168.1.1")) == 3


def test_a_mac_learnt_later_completes_the_asset(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5"), service("10.0.0.5", 22), task="ports")
    before = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    after = desk.asset("ip:10.0.0.5")
    assert (after.id, after.macs, len(after.services)) == (before.id, (MAC_A,), 1)


def test_two_assets_that_turn_out_to_be_one_are_merged(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("2001:db8::5"), service("2001:db8::5", 443), task="ports")
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    first, second = desk.asset("ip:2001:db8::5"), desk.asset("ip:10.0.0.5")
    assert first.id != second.id
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("2001:db8::5", mac=MAC_A))
    (merged,) = desk.assets()
    assert merged.id == second.id
    assert merged.addresses == ("10.0.0.5", "2001:db8::5")
    assert merged.first_seen == first.first_seen
    assert [(found.port, found.state) for found in merged.services] == [(443, "open")]
    # Whoever kept the old id still finds the device, and the history says what happened.
    shown = show_asset(desk.core, desk.admin, first.id)
    assert shown.id == merged.id
    assert ("merged", first.id) in [(change.what, change.before) for change in shown.changes]


def test_a_merged_asset_leaves_no_alert_behind(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.9.9.9"), task="ports")
    seen(desk, agent, host("10.0.0.5", mac=MAC_A))
    desk.whitelist("host,10.8.0.0/16,,,o,r,a,\n")
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("10.0.0.6"))
    late = desk.asset("ip:10.0.0.6")
    assert late.id in [alert.subject.id for alert in desk.alerts("unlisted-asset")]
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("10.0.0.6", mac=MAC_A))
    assert late.id not in [alert.subject.id for alert in desk.alerts("unlisted-asset")]


def test_an_invented_mac_alone_is_no_identity(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A))
    seen(desk, agent, host("10.0.0.6", mac=RANDOM_A))
    assert len(desk.assets()) == 2


def test_an_invented_mac_seen_at_two_addresses_at_once_is_one_device(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A))
    before = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A), host("2001:db8::5", mac=RANDOM_A))
    (after,) = desk.assets()
    assert (after.id, after.addresses) == (before.id, ("10.0.0.5", "2001:db8::5"))


def test_an_invented_mac_on_two_new_addresses_at_once_is_one_device(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A), host("2001:db8::5", mac=RANDOM_A))
    assert len(desk.assets()) == 1


def test_a_second_invented_mac_at_an_address_is_another_device(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A))
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_B))
    assert len(desk.assets()) == 2
    assert desk.asset("ip:10.0.0.5").macs == (RANDOM_B,)


def test_a_router_that_answers_for_many_is_not_one_device(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, *(host(f"10.0.0.{number}", mac=MAC_A) for number in range(1, 40)))
    assert len(desk.assets()) == 39
    assert all(asset.macs == () for asset in desk.assets())


VRRP, HSRP, FGCP = "00:00:5e:00:01:01", "00:00:0c:9f:f0:01", "00:09:0f:09:00:01"


@pytest.mark.parametrize("shared", [VRRP, "00:00:5e:00:02:01", "00:00:0c:07:ac:01", HSRP, "00:07:b4:00:01:01", FGCP])
def test_a_mac_that_routers_share_joins_no_two_networks(desk: Desk, shared: str) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.1.1", mac=shared), host("10.0.2.1", mac=shared))
    seen(desk, agent, host("10.0.3.1", mac=shared), task="another look")
    before = {asset.addresses: asset.id for asset in desk.assets()}
    assert sorted(before) == [("10.0.1.1",), ("10.0.2.1",), ("10.0.3.1",)]
    assert [asset.macs for asset in desk.assets(f"mac:{shared}")] == [(shared,)] * 3
    # Whichever router has it, the address is the same group's.
    seen(desk, agent, host("10.0.1.1", mac=shared, n=1), host("10.0.2.1", mac=MAC_A))
    assert desk.asset("ip:10.0.1.1").id == before["10.0.1.1",]
    assert desk.asset("ip:10.0.2.1").macs == (MAC_A,)
    seen(desk, agent, host("10.0.1.1", mac=shared, n=1), host("10.0.2.1", mac=shared))
    assert desk.asset("ip:10.0.2.1").id == before["10.0.2.1",]


def test_two_gateways_that_share_a_mac_stay_two_machines_and_its_approval_holds(desk: Desk) -> None:
    one, other, looker = desk.agent(name="one"), desk.agent(name="other"), desk.agent(name="looker")
    desk.whitelist(f"host,{VRRP},,,o,r,a,\n")
    for gateway, own in ((one, "10.0.0.2"), (other, "10.0.0.3")):
        seen(desk, gateway, service("10.0.0.1", 53, Outcome.SEEN), service(own, 22, Outcome.SEEN))
        seen(desk, looker, host("10.0.0.1", mac=VRRP, n=own), host(own, mac=MAC_A if gateway is one else MAC_B))
    held = {name: asset.macs for asset in desk.assets() for name in asset.addresses}
    assert held == {"10.0.0.1": (MAC_B,), "10.0.0.2": (MAC_A,), "10.0.0.3": (MAC_B,)}
    seen(desk, looker, host("10.0.9.1", mac=VRRP))
    assert desk.asset("ip:10.0.9.1").standing == "listed"


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:12", "03:bf:0a:00:00:01"])
def test_a_mac_that_no_card_has_is_no_evidence(desk: Desk, mac: str) -> None:
    seen(desk, desk.agent(), host("10.0.0.5", mac=mac), host("10.0.0.6", mac=mac))
    assert sorted((asset.addresses, asset.macs) for asset in desk.assets()) == [
        (("10.0.0.5",), ()),
        (("10.0.0.6",), ()),
    ]


@pytest.mark.parametrize("mac", ["02:42:ac:11:00:02", "52:54:00:12:34:56", "02:bf:0a:00:00:01"])
def test_an_invented_mac_behind_two_interfaces_is_two_devices(desk: Desk, mac: str) -> None:
    said = [host(f"10.0.{net}.2", mac=mac, interface=f"vlan{net}") for net in (1, 2)]
    agent = desk.agent()
    for _ in range(2):
        seen(desk, agent, *said)
        assert sorted(asset.addresses for asset in desk.assets()) == [("10.0.1.2",), ("10.0.2.2",)]
        said = [host(f"10.0.{net}.2", mac=mac, interface=f"vlan{net}", n=1) for net in (1, 2)]


def test_the_bound_of_addresses_for_one_mac_is_a_setting(tmp_path: "object", clock: Clock) -> None:
    with desk(tmp_path, Settings(mac_addresses=50), clock) as wide:  # type: ignore[arg-type]
        agent = wide.agent()
        seen(wide, agent, *(host(f"10.0.0.{number}", mac=MAC_A) for number in range(1, 40)))
        assert len(wide.assets()) == 1


def test_loopback_is_the_machine_of_its_own_agent(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    for agent, port in ((one, 22), (other, 80)):
        seen(desk, agent, host("127.0.0.1"), service("127.0.0.1", port), service("::1", port))
    first, second = desk.assets()
    assert first.addresses == second.addresses == ("127.0.0.1", "::1")
    assert {found.port for found in first.services} ^ {found.port for found in second.services} == {22, 80}


def test_ports_that_an_agent_sees_on_itself_belong_to_its_machine(desk: Desk) -> None:
    one, other = desk.agent(name="one"), desk.agent(name="other")
    seen(desk, one, host("10.0.0.1", mac=MAC_A))
    seen(desk, other, host("127.0.0.1"), service("127.0.0.1", 22), task="ports")
    machine = desk.asset("ip:127.0.0.1")
    seen(
        desk,
        other,
        service("10.0.0.1", 53, Outcome.SEEN),
        service("0.0.0.0", 22, Outcome.SEEN),
        service("::", 22, Outcome.SEEN),
    )
    # What another agent saw from outside turns out to be this machine.
    (found,) = desk.assets()
    assert found.addresses == ("10.0.0.1", "127.0.0.1")
    assert found.macs == (MAC_A,)
    assert {(service.address, service.port) for service in found.services} == {
        ("127.0.0.1", 22),
        ("10.0.0.1", 53),
        ("0.0.0.0", 22),
        ("::", 22),
    }
    assert machine.first_seen >= found.first_seen


def test_evidence_says_why_it_is_one_device(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("10.0.0.6", mac=RANDOM_A))
    kinds = {
        tuple((proof.kind, proof.value) for proof in show_asset(desk.core, desk.admin, asset.id).evidence)
        for asset in desk.assets()
    }
    assert kinds == {
        (("address", "10.0.0.5"), ("mac", MAC_A)),
        (("address", "10.0.0.6"), ("local_mac", RANDOM_A)),
    }


def test_a_name_that_is_no_address_is_kept_apart(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("printer|of the | library"), service("printer|of the | library", 631))
    (asset,) = desk.assets()
    assert [found.port for found in asset.services] == [631]


def test_an_ipv4_address_in_ipv6_form_is_the_ipv4_address(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("::ffff:10.0.0.5"), service("10.0.0.5", 22))
    (asset,) = desk.assets()
    assert asset.addresses == ("10.0.0.5",)


def test_a_link_local_address_is_another_one_on_each_link_and_for_each_agent(desk: Desk) -> None:
    one, other = desk.agent(), desk.agent(name="second gateway")
    for agent, port in ((one, 80), (other, 443)):
        said = (host("fe80::1%lan"), service("fe80::1%lan", port), host("FE80:0::1%wlan"))
        seen(desk, agent, *said, host("fe80::1"), task="ports")
    assert sorted((asset.addresses, [found.port for found in asset.services]) for asset in desk.assets()) == [
        (("fe80::1",), []), (("fe80::1",), []),
        (("fe80::1%lan",), [80]), (("fe80::1%lan",), [443]),
        (("fe80::1%wlan",), []), (("fe80::1%wlan",), []),
    ]  # fmt: skip
    assert [len(desk.assets(q)) for q in ("ip:fe80::1", "ip:fe80::1%lan", "ip:fe80::1%other")] == [6, 2, 0]
    # A MAC of a maker moves one of them; the other agent's stays, with what answers there.
    seen(desk, one, host("fe80::1%lan", mac=MAC_A), task="arp")
    seen(desk, one, host("fe80::1%lan", mac=MAC_B), task="arp")
    moved = desk.asset(f"mac:{MAC_B}")
    assert (moved.addresses, [found.port for found in moved.services]) == (("fe80::1%lan",), [80])
    assert [(asset.macs, asset.addresses) for asset in desk.assets("port:443")] == [((), ("fe80::1%lan",))]


def test_a_link_local_address_was_looked_at_only_on_its_own_link(desk: Desk) -> None:
    agent = desk.agent()
    both = [host("fe80::1%lan"), host("fe80::1%wlan")]
    for said in (both, [], [], []):
        at = desk.clock.forward(INTERVAL)
        desk.send(agent, state("ports", *said, covers("fe80::1%lan/128"), at=at))
    assert desk.asset("ip:fe80::1%lan").presence == "absent"
    assert desk.asset("ip:fe80::1%wlan").presence == "unknown"


def test_a_name_told_by_the_device_is_shown(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", name="nas-library"))
    assert desk.asset("nas-lib").name == "nas-library"
    seen(desk, agent, host("10.0.0.5", name="nas-2"))
    asset = desk.asset("ip:10.0.0.5")
    assert asset.name == "nas-2"
    assert ("name", "nas-library", "nas-2") in [
        (change.what, change.before, change.after) for change in show_asset(desk.core, desk.admin, asset.id).changes
    ]


def test_what_answers_at_a_port_is_named_and_remembered(desk: Desk) -> None:
    agent = desk.agent()
    for said in (
        {"service": "http", "confidence": 0.7},
        {"service": "http", "product": "nginx", "version": "1.24.0"},
        {"service": "unknown", "banner": "?"},
        {"service": "http", "product": "nginx", "version": "1.26.1"},
    ):
        seen(desk, agent, host("10.0.0.5"), service("10.0.0.5", 80, **said))
    seen(desk, agent, host("10.0.0.6", name="a\x1b[31m\nb"))
    assert desk.asset("ip:10.0.0.6").name == "a?[31m?b"
    asset = desk.asset("product:nginx port:80")
    assert asset.services[0].product == "nginx 1.26.1"
    changes = show_asset(desk.core, desk.admin, asset.id).changes
    assert [(change.before, change.after) for change in changes if change.what.endswith("product")] == [
        ("nginx 1.24.0", "nginx 1.26.1"),
        ("http", "nginx 1.24.0"),
    ]


def test_whoever_was_merged_twice_is_still_found(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5"), task="ports")
    first = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.6", mac=MAC_A))
    second = desk.asset("ip:10.0.0.6")
    seen(desk, agent, host("10.0.0.6", mac=MAC_A), host("10.0.0.5", mac=MAC_A))
    # Its agent speaks up: the device with both addresses is its own machine.
    seen(desk, agent, service("10.0.0.6", 22, Outcome.SEEN), service("0.0.0.0", 22, Outcome.SEEN), task="sockets")
    (machine,) = desk.assets()
    assert {show_asset(desk.core, desk.admin, ident).id for ident in (first.id, second.id, machine.id)} == {machine.id}
    assert machine.addresses == ("10.0.0.5", "10.0.0.6")
