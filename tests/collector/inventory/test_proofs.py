"""Keys and names as proof of identity: what joins, what does not, and how a wrong merge is taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadInput, Conflict, Forbidden, NotFound
from collector.ingest.corrections import merge_assets, split_asset
from collector.inventory.identity.proof import gather
from collector.inventory.identity.weights import ENOUGH, WEIGHTS
from collector.inventory.lists.assets import show_asset
from collector.inventory.lists.drift import list_drift
from collector.memory.people import Role
from collector.sightings.picture import draw
from tests.support.collectors import FAR_SCHOOL, INTERVAL, OTHER_SCHOOL, SCHOOL, Desk
from tests.support.reports import covers, host, service, state
from wire.types import Observation

MAC_A, MAC_B = "00:16:3e:00:00:0a", "00:16:3e:00:00:0b"
RANDOM_A, RANDOM_B = "02:00:00:00:00:0a", "7e:00:00:00:00:0b"
KEY, CERT, UUID = "sha256:" + "k" * 43, "ab" * 32, "4d696e69-444c-164e-9d41-0016fe000001"


def seen(desk: Desk, agent: object, *said: Observation, task: str = "neighbours", area: str = "10.0.0.0/16") -> None:
    at = desk.clock.forward(INTERVAL)
    desk.send(agent, state(task, *said, covers(area), at=at))  # type: ignore[arg-type]


def changes(desk: Desk, ident: str, what: str) -> list[tuple[str, str]]:
    return [
        (change.before, change.after)
        for change in show_asset(desk.core, desk.admin, ident).changes
        if change.what == what
    ]


def test_no_proof_decides_alone() -> None:
    assert all(weight < ENOUGH for weight in WEIGHTS.values())


def test_both_families_with_one_host_key_are_one_device(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, service("10.0.0.5", 22, hostkey=KEY), service("2001:db8::5", 22, hostkey=KEY))
    (asset,) = desk.assets()
    assert asset.addresses == ("10.0.0.5", "2001:db8::5")
    assert ("hostkey", KEY.lower(), 0.7) in [
        (proof.kind, proof.value, proof.weight) for proof in show_asset(desk.core, desk.admin, asset.id).evidence
    ]


def test_a_certificate_of_a_whole_series_joins_nothing(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, service("10.0.0.5", 443, cert=CERT), service("2001:db8::5", 443, cert=CERT))
    assert len(desk.assets()) == 2


def test_clones_stay_apart(desk: Desk) -> None:
    agent = desk.agent()
    clone = {"hostname": "lab-pc", "uuid": UUID}
    seen(
        desk, agent, *(host(f"10.0.0.{number}", **clone) for number in (5, 6, 7)), *(
            service(f"10.0.0.{number}", 22, hostkey=KEY) for number in (5, 6, 7)
        )
    )  # fmt: skip
    assert len(desk.assets()) == 3
    # One of them is switched off: the two that are left must not be taken for it.
    seen(desk, agent, *(host(f"10.0.0.{number}", **clone) for number in (6, 7)))
    assert len(desk.assets()) == 3


def test_a_device_behind_a_router_is_known_again_at_a_new_address(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", hostname="nas"), service("10.0.0.5", 22, hostkey=KEY))
    before = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.9", hostname="NAS.school.example"), service("10.0.0.9", 22, hostkey=KEY))
    (after,) = desk.assets("ip:10.0.0.9")
    assert after.id == before.id
    assert len(desk.assets()) == 1
    assert after.addresses == ("10.0.0.9",)


def test_what_clones_showed_at_once_never_joins_them_later(desk: Desk) -> None:
    agent = desk.agent()
    clone = {"hostname": "debian", "uuid": UUID}
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A, **clone), host("10.0.0.6", **clone))
    first = desk.asset("ip:10.0.0.5").id
    seen(desk, agent, host("10.0.0.6", **clone))
    # Alone now, and with a card of its own: it is none of those that were there before.
    seen(desk, agent, host("10.0.0.9", mac=RANDOM_B, **clone))
    assert desk.asset("ip:10.0.0.9").id not in (first, desk.asset("ip:10.0.0.6").id)
    assert len(desk.assets()) == 3


def test_two_addresses_of_one_card_are_no_clones(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, *(host(f"10.0.0.{number}", mac=RANDOM_A, hostname="nas", uuid=UUID) for number in (5, 6)))
    before = desk.asset("ip:10.0.0.5").id
    seen(desk, agent, host("10.0.0.9", mac=RANDOM_B, hostname="nas", uuid=UUID))
    assert [asset.id for asset in desk.assets()] == [before]


def test_behind_a_router_an_address_that_says_otherwise_is_somebody_else(desk: Desk) -> None:
    agent = desk.agent()

    def there(address: str, who: str) -> tuple[Observation, ...]:
        return host(address, hostname=who), service(address, 22, hostkey=who), service(address, 443, cert=who * 9)

    def held() -> dict[str, str]:
        return {name: asset.id for asset in desk.assets() for name in asset.addresses}

    seen(desk, agent, *there("10.0.0.5", "one"), *there("10.0.0.6", "two"))
    one, two = held()["10.0.0.5"], held()["10.0.0.6"]
    seen(desk, agent, *there("10.0.0.5", "two"), *there("10.0.0.7", "one"))
    assert held() == {"10.0.0.5": two, "10.0.0.7": one}
    seen(desk, agent, *there("10.0.0.5", "new"), *there("10.0.0.7", "one"))
    new = held()["10.0.0.5"]
    assert new not in (one, two)
    # Neither silence nor a new certificate makes another device of it.
    seen(desk, agent)
    seen(desk, agent, host("10.0.0.5", hostname="new"), service("10.0.0.5", 443, cert="renewed"))
    seen(desk, agent, *there("10.0.0.5", "new"))
    assert held()["10.0.0.5"] == new


def test_a_device_that_tells_several_uuids_is_known_by_each(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", uuid=(UUID, UUID[:-1] + "2"), hostname="camera-hall"))
    before = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.9", uuid=(UUID,), hostname="camera-hall"))
    assert [asset.id for asset in desk.assets()] == [before.id]
    assert desk.asset("ip:10.0.0.9").id == before.id


def test_a_serial_number_counts_with_its_maker_and_not_beside_the_uuid_of_the_same_page(desk: Desk) -> None:
    agent = desk.agent()
    page = {"serial": "AG7-00123", "uuid": (UUID, UUID[:-1] + "2")}
    seen(desk, agent, host("10.0.0.5", vendor="Acme", hostname="gate", **page))
    before = desk.asset("ip:10.0.0.5")
    # Of a series whose maker gave all the same: nothing else says that it is this one.
    seen(desk, agent, host("10.0.0.8", vendor="Acme", **page))
    assert len(desk.assets()) == 2
    seen(desk, agent, host("10.0.0.9", vendor="Other", hostname="gate", serial="AG7-00123"))
    assert len(desk.assets()) == 3
    seen(desk, agent, host("10.0.0.7", vendor="Acme", hostname="gate", serial="AG7-00123"))
    assert desk.asset("ip:10.0.0.7").id == before.id


@pytest.mark.parametrize(
    "told",
    [
        {"serial": "To be filled by O.E.M.", "vendor": "Acme"},
        {"serial": "0123456789", "vendor": "Acme"},
        {"serial": "System Serial Number", "vendor": "Acme"},
        {"serial": "Default string", "vendor": "Acme"},
        {"uuid": "ffffffff-ffff-ffff-ffff-ffffffffffff"},
        {"uuid": "00000000-0000-0000-0000-000000000000"},
        {"uuid": "03000200-0400-0500-0006-000700080009"},
    ],
)
def test_what_firmware_holds_where_its_maker_set_nothing_is_no_proof(desk: Desk, told: dict[str, str]) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", hostname="pc-1", **told))
    seen(desk, agent, host("10.0.0.9", hostname="pc-1", **told))
    assert len(desk.assets()) == 2
    kinds = {proof.kind for asset in desk.assets() for proof in show_asset(desk.core, desk.admin, asset.id).evidence}
    assert kinds == {"address", "hostname"}


def test_a_name_alone_is_no_identity(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", hostname="android"))
    seen(desk, agent, host("10.0.0.9", hostname="android"))
    assert len(desk.assets()) == 2


def test_an_invented_mac_with_a_name_is_known_again_at_a_new_address(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A, hostname="teacher-phone"))
    before = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.9", mac=RANDOM_A, hostname="teacher-phone"))
    assert [asset.id for asset in desk.assets()] == [before.id]
    assert desk.asset("ip:10.0.0.9").id == before.id


def test_a_phone_that_invents_a_new_mac_keeps_its_dhcp_identifier(desk: Desk) -> None:
    agent = desk.agent()
    told = {"hostname": "pad-12", "dhcp_id": "ff:56:50:4d:98:00:02:00:00:ab:11:aa"}
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A, **told))
    before = desk.asset("ip:10.0.0.5")
    seen(desk, agent, host("10.0.0.9", mac=RANDOM_B, **told))
    (after,) = desk.assets()
    assert after.id == before.id
    assert after.macs == (RANDOM_A, RANDOM_B)


def test_a_dhcp_identifier_made_of_the_mac_adds_nothing(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=RANDOM_A, dhcp_id="01:02:00:00:00:00:0a"))
    asset = desk.asset("ip:10.0.0.5")
    assert {proof.kind for proof in show_asset(desk.core, desk.admin, asset.id).evidence} == {"address", "local_mac"}


def test_two_macs_of_makers_are_two_devices_whatever_they_say(desk: Desk) -> None:
    agent = desk.agent()
    told = {"hostname": "server", "uuid": UUID, "dhcp_id": "duid-1"}
    seen(desk, agent, host("10.0.0.5", mac=MAC_A, **told))
    seen(desk, agent, host("10.0.0.9", mac=MAC_B, **told))
    assert len(desk.assets()) == 2


@pytest.mark.parametrize("place", ["10.0.9.9", "2001:db8::9"])
def test_who_repeats_what_a_device_shouts_is_not_taken_for_it_and_does_not_get_its_approval(
    desk: Desk, place: str
) -> None:
    agent = desk.agent()
    desk.whitelist(f"host,{MAC_A},,,o,r,a,\n")
    shouted = {"uuid": UUID, "hostname": "boiler-1", "serial": "SN-4711", "vendor": "Acme"}
    seen(desk, agent, host("10.0.0.5", mac=MAC_A, **shouted), service("10.0.0.5", 22, hostkey=KEY))
    # It is switched off, and somebody of whom no card is seen, or an invented one, says the same.
    for card in ("", RANDOM_A):
        seen(desk, agent, host(place, **shouted, mac=card))
        assert [(asset.addresses, asset.standing) for asset in desk.assets()] == [
            (("10.0.0.5",), "listed"),
            ((place,), "unlisted"),
        ]
    # Its host key is more than a word: a run has seen it used.
    seen(desk, agent, host(place, **shouted), service(place, 22, hostkey=KEY), task="keys")
    assert len(desk.assets()) == 1


def test_what_another_task_sees_elsewhere_at_the_same_time_is_another_device(desk: Desk) -> None:
    agent = desk.agent()
    told = {"hostname": "server", "uuid": UUID}
    seen(desk, agent, host("10.0.0.5", **told), task="one", area="10.0.0.0/24")
    seen(desk, agent, host("10.0.1.9", **told), task="two", area="10.0.1.0/24")
    assert len(desk.assets()) == 2


def test_units_share_no_evidence(desk: Desk) -> None:
    for unit in (SCHOOL, OTHER_SCHOOL, FAR_SCHOOL):
        seen(desk, desk.agent(unit), host("10.0.0.5", hostname="nas"), service("10.0.0.5", 22, hostkey=KEY))
    assert len(desk.assets()) == 3


def _merged(desk: Desk) -> tuple[object, str, str]:
    """One asset that took over another one by its MAC: 10.0.0.5 with port 80, and 2001:db8::5 with port 443."""
    agent = desk.agent()
    seen(desk, agent, host("2001:db8::5"), service("2001:db8::5", 443), area="2001:db8::/64")
    old = desk.asset("ip:2001:db8::5").id
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), service("10.0.0.5", 80), task="ports")
    new = desk.asset("ip:10.0.0.5").id
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("2001:db8::5", mac=MAC_A), task="arp")
    (asset,) = desk.assets()
    assert asset.id == new
    return agent, old, new


@pytest.mark.parametrize("named", ["old", "new"])
def test_a_merge_can_be_taken_back(desk: Desk, named: str) -> None:
    agent, old, new = _merged(desk)
    first_seen = {asset.id: asset.first_seen for asset in desk.assets()}
    shown = split_asset(desk.core, desk.admin, old if named == "old" else new, "two machines behind one bridge")
    assert shown.id == old
    one, other = desk.asset("ip:2001:db8::5"), desk.asset("ip:10.0.0.5")
    assert (one.id, other.id) == (old, new)
    assert [(found.port, found.state) for found in one.services] == [(443, "open")]
    assert [(found.port, found.state) for found in other.services] == [(80, "open")]
    assert (one.addresses, other.addresses) == (("2001:db8::5",), ("10.0.0.5",))
    assert other.first_seen > one.first_seen == first_seen[new]
    assert changes(desk, old, "split") == changes(desk, new, "split") == [(new, old)]
    # What led to the merge goes on being seen, and is not taken for a reason again.
    seen(desk, agent, host("10.0.0.5", mac=MAC_A, n=1), host("2001:db8::5", mac=MAC_A, n=1), task="arp")
    assert {desk.asset("ip:2001:db8::5").id, desk.asset("ip:10.0.0.5").id} == {old, new}


def test_a_person_may_join_what_was_apart_and_the_other_way_round(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("10.0.0.9", mac=MAC_B), service("10.0.0.9", 22))
    old, new = desk.asset("ip:10.0.0.9").id, desk.asset("ip:10.0.0.5").id
    for _ in range(2):
        shown = merge_assets(desk.core, desk.admin, old, new, "both cards of the media server")
        assert shown.id == new
        assert set(shown.macs) == {MAC_A, MAC_B}
        assert [found.port for found in shown.services] == [22]
        assert split_asset(desk.core, desk.admin, old, "no, they are two").id == old
    assert desk.asset("ip:10.0.0.9").id == old


def test_merges_are_taken_back_in_order(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, *(host(f"10.0.0.{number}") for number in (1, 2, 3)))
    one, two, three = (desk.asset(f"ip:10.0.0.{number}").id for number in (1, 2, 3))
    merge_assets(desk.core, desk.admin, one, two, "x")
    merge_assets(desk.core, desk.admin, two, three, "x")
    with pytest.raises(Conflict, match=f"split {two}"):
        split_asset(desk.core, desk.admin, one, "x")
    split_asset(desk.core, desk.admin, two, "x")
    split_asset(desk.core, desk.admin, one, "x")
    assert {desk.asset(f"ip:10.0.0.{number}").id for number in (1, 2, 3)} == {one, two, three}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_after_two_splits_an_asset_is_as_old_as_it_was(desk: Desk, order: tuple[int, int]) -> None:
    agent = desk.agent()
    for number in (1, 2, 3):
        seen(desk, agent, host(f"10.0.0.{number}"), task=f"task {number}")
    one, two, own = (desk.asset(f"ip:10.0.0.{number}") for number in (1, 2, 3))
    for other in (two, one):
        merge_assets(desk.core, desk.admin, other.id, own.id, "x")
    assert desk.asset("ip:10.0.0.3").first_seen == one.first_seen
    for number in order:
        split_asset(desk.core, desk.admin, (one, two)[number].id, "x")
        left = own.first_seen if number == order[1] else (two if number == 0 else one).first_seen
        assert desk.asset("ip:10.0.0.3").first_seen == left
    assert [desk.asset(f"ip:10.0.0.{number}").first_seen for number in (1, 2, 3)] == [
        asset.first_seen for asset in (one, two, own)
    ]


def test_two_that_were_taken_apart_go_on_moving(desk: Desk) -> None:
    agent = desk.agent()
    seen(desk, agent, host("10.0.0.5", mac=MAC_A), host("10.0.0.9", mac=MAC_B))
    one, other = desk.asset("ip:10.0.0.5").id, desk.asset("ip:10.0.0.9").id
    merge_assets(desk.core, desk.admin, one, other, "x")
    split_asset(desk.core, desk.admin, one, "x")
    seen(desk, agent, host("10.0.0.5", mac=MAC_B), host("10.0.0.9", mac=MAC_A))
    assert (desk.asset("ip:10.0.0.5").id, desk.asset("ip:10.0.0.9").id) == (other, one)


def test_who_may_correct_and_what_is_refused(desk: Desk) -> None:
    agent, other = desk.agent(), desk.agent(OTHER_SCHOOL)
    seen(desk, agent, host("10.0.0.5"), host("10.0.0.6"))
    seen(desk, other, host("10.0.0.7"))
    one, two, far = (desk.asset(f"ip:10.0.0.{number}").id for number in (5, 6, 7))
    viewer, stranger = desk.person(Role.VIEWER, SCHOOL), desk.person(Role.OPERATOR, FAR_SCHOOL)
    for person, error in ((viewer, Forbidden), (stranger, NotFound)):
        with pytest.raises(error):
            merge_assets(desk.core, person, one, two, "x")
        with pytest.raises(error):
            split_asset(desk.core, person, one, "x")
    with pytest.raises(Conflict, match="one unit"):
        merge_assets(desk.core, desk.admin, one, far, "x")
    with pytest.raises(Conflict, match="already"):
        merge_assets(desk.core, desk.admin, one, one, "x")
    with pytest.raises(Conflict, match="never merged"):
        split_asset(desk.core, desk.admin, one, "x")
    with pytest.raises(BadInput, match="say why"):
        merge_assets(desk.core, desk.admin, one, two, " ")
    assert len(desk.assets()) == 3


def test_drift_is_told_for_each_host_port_and_product(desk: Desk) -> None:
    agent = desk.agent()
    area = covers("10.0.0.0/24", "1-1000")

    def run(*said: Observation) -> None:
        desk.send(agent, state("ports", *said, covers("10.0.0.0/24"), area, at=desk.clock.forward(INTERVAL)))

    run(host("10.0.0.5"), service("10.0.0.5", 80, product="nginx", version="1.24"), service("10.0.0.5", 22))
    start = desk.clock.now
    assert list_drift(desk.core, desk.admin, None, 0.0) == []  # the baseline is no news

    run(host("10.0.0.5"), service("10.0.0.5", 80, product="nginx", version="1.26"), service("10.0.0.5", 23))
    for _ in range(2):
        run(host("10.0.0.5"), service("10.0.0.5", 80, product="nginx", version="1.26"), service("10.0.0.5", 23))
    run(host("10.0.0.6"), *(service("10.0.0.5", port) for port in (23, 80)))
    found = list_drift(desk.core, desk.admin, None, start)
    told = [(item.what, item.subject.label, item.before, item.after) for item in found]
    assert set(told) == {
        ("new", "", "", ""),
        ("new", "10.0.0.5:23/tcp", "", ""),
        ("vanished", "10.0.0.5:22/tcp", "open", "filtered"),
        ("changed", "10.0.0.5:80/tcp", "nginx 1.24", "nginx 1.26"),
    }
    assert [item.time for item in found] == sorted((item.time for item in found), reverse=True)
    assert {item.what for item in list_drift(desk.core, desk.admin, SCHOOL, start, "vanished")} == {"vanished"}
    assert list_drift(desk.core, desk.admin, OTHER_SCHOOL, start) == []
    assert len(list_drift(desk.core, desk.admin, None, start, limit=2)) == 2
    with pytest.raises(BadInput, match="kind"):
        list_drift(desk.core, desk.admin, None, 0.0, "lost")


def test_drift_is_not_crowded_out_by_what_is_none_or_not_asked_for(desk: Desk) -> None:
    agent = desk.agent()
    ports = [service("10.0.0.5", port) for port in range(20, 30)]

    def run(*said: Observation) -> None:
        desk.send(agent, state("ports", *said, covers("10.0.0.0/24"), at=desk.clock.forward(INTERVAL)))

    run(host("10.0.0.5"), service("10.0.0.5", 19), *ports)
    start = desk.clock.now
    for _ in range(3):
        run(host("10.0.0.5"), *ports)
    # Nothing covers the ports any more: ten words become unknown, which is no drift.
    desk.send(agent, state("ports", host("10.0.0.5"), covers("10.9.0.0/24"), at=desk.clock.forward(INTERVAL)))
    (gone,) = list_drift(desk.core, desk.admin, None, start, "vanished", limit=3)
    assert gone.subject.label == "10.0.0.5:19/tcp"
    assert gone in list_drift(desk.core, desk.admin, None, start, limit=30)


_TEXT = st.text(max_size=300) | st.sampled_from([KEY, "localhost", " NAS ", "01:02:03:04:05:06:07", "a\x1bb", ""])
_VALUE = st.one_of(_TEXT, st.integers(), st.booleans(), st.none(), st.lists(_TEXT, max_size=3).map(tuple))
_NAMES = st.sampled_from(["10.0.0.5", "10.0.0.6", "2001:db8::5", "fe80::1%eth0", "::1", "camera | hall"])


@given(
    st.lists(st.tuples(_NAMES, st.dictionaries(st.sampled_from([*WEIGHTS, "mac"]), _VALUE, max_size=4)), max_size=6),
    st.booleans(),
)
def test_whatever_devices_say_of_themselves_is_bounded(said: list[tuple[str, dict[str, object]]], ports: bool) -> None:
    observations = [service(name, 22, **values) if ports else host(name, **values) for name, values in said]
    proofs = gather(draw(observations))
    for found in proofs.of.values():
        assert all(kind in WEIGHTS and value.isprintable() and 0 < len(value) <= 256 for kind, value in found)
        assert 0 < proofs.worth(found) < 10
