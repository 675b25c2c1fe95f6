"""Asset lists: search, pages, and words that are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.answers.views import Asset
from collector.errors import BadInput
from collector.inventory.exposure.exposed import told_exposure
from collector.inventory.lists.assets import list_assets, show_asset
from collector.inventory.lists.search import conditions
from probes.kit.makers.table import Maker, Makers
from tests.support.collectors import COUNTY, FAR_SCHOOL, OTHER_SCHOOL, SCHOOL, START, Desk
from tests.support.reports import covers, host, service, state


@pytest.fixture(name="desk")
def _desk(desk: Desk) -> Desk:
    for unit, net in ((SCHOOL, "10.1.0"), (OTHER_SCHOOL, "10.2.0"), (FAR_SCHOOL, "192.168.1")):
        agent = desk.agent(unit)
        desk.send(
            agent,
            state(
                "ports",
                host(f"{net}.1", name=f"gateway-{unit}", mac="00:16:3e:00:00:01"),
                service(f"{net}.1", 22, product="OpenSSH 9.2"),
                service(f"{net}.1", 53, product="dnsmasq"),
                host(f"{net}.20", name="100%_nas", mac="02:16:3e:00:00:02"),
                service(f"{net}.20", 445),
                host(f"{net}.200"),
                host("2001:db8::1", mac="00:16:3e:00:00:01"),
                covers(f"{net}.0/24"),
                at=START,
            ),
        )
    return desk


@pytest.mark.parametrize(
    ("q", "count"),
    [
        ("", 9),
        ("ip:10.1.0.1", 1),
        ("ip:10.1.0.", 3),
        ("ip:10.1.0.2", 0),  # a beginning is one only when it is no address
        ("ip:10.0.0.0/8", 6),
        ("ip:10.1.0.0/16", 3),
        ("ip:192.168.1.0/24", 3),
        ("ip:2001:db8::1", 3),
        ("ip:2001:0db8:0::1", 3),
        ("mac:00:16:3e:00:00:01", 3),
        ("mac:00-16-3E-00-00-01", 3),
        ("mac:02:16", 3),
        ("name:gateway", 3),
        ("port:22", 3),
        ("port:22-60", 3),
        ("port:22,445", 6),
        ("port:80", 0),
        ("state:open", 6),
        ("state:closed", 0),
        ("port:22 state:closed", 0),
        ("product:openssh", 3),
        ("product:openssh port:53", 0),  # both are about one service
        ("presence:present", 9),
        ("standing:no_list", 9),
        (f"unit:{SCHOOL}", 3),
        (f"unit:{SCHOOL} port:22", 1),
        ("gateway", 3),
        ("GATEWAY", 3),
        ("10.1.0.20", 2),  # a bare word is found anywhere: .20 and .200
        ("00:16:3e", 3),
        ("fe80::1", 0),
        ("100%_", 3),
        ("1__%", 0),
        ("%", 3),
        ("' OR 1=1 --", 0),
        ("不存在", 0),
    ],
)
def test_all_words_and_fields_must_hold(desk: Desk, q: str, count: int) -> None:
    assert len(desk.assets(q)) == count


@pytest.mark.parametrize(
    ("q", "what"),
    [
        ("colour:red", "none of exposure, ip, mac"),
        ("port:x", "port"),
        ("port:99999", "port"),
        ("state:ajar", "state: must be"),
        ("presence:here", "presence: must be"),
        ("standing:good", "standing: must be"),
        ("ip:10.0.0.0/13", "/8, /16 or /24"),
        ("x" * 257, "256"),
        ("x " * 17, "16 words"),
    ],
)
def test_what_is_not_allowed_is_named(desk: Desk, q: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        desk.assets(q)


@given(st.text(max_size=60))
def test_any_text_is_a_search_or_refused(q: str) -> None:
    try:
        conditions(q, START, told_exposure(()), lambda: Makers({"001122": Maker("Acme", "001122", "own")}))
    except BadInput:
        return


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 100])
def test_pages_show_everything_once(desk: Desk, limit: int) -> None:
    found: list[Asset] = []
    cursor = None
    while True:
        page = list_assets(desk.core, desk.admin, None, "", limit, cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert [asset.id for asset in found] == [asset.id for asset in desk.assets()]
    assert len({asset.id for asset in found}) == 9


def test_a_page_goes_on_where_it_ended_though_others_appear(desk: Desk) -> None:
    first = list_assets(desk.core, desk.admin, COUNTY, "", 4)
    agent = desk.agent(SCHOOL, "another")
    desk.send(agent, state("ports", host("10.1.0.77"), covers("10.1.0.0/24"), at=START))
    rest = list_assets(desk.core, desk.admin, COUNTY, "", 100, first.cursor)
    assert not {asset.id for asset in first.items} & {asset.id for asset in rest.items}
    assert len(first.items) + len(rest.items) in (6, 7)


@pytest.mark.parametrize("cursor", ["x", "e30", "WzFd", "WzEsMiwzXQ", "=", "a" * 1000, "W10", "\ud800"])
def test_a_cursor_of_ones_own_making_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        list_assets(desk.core, desk.admin, None, "", 10, cursor)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_the_size_of_a_page_has_bounds(desk: Desk, limit: int) -> None:
    with pytest.raises(BadInput, match="limit"):
        list_assets(desk.core, desk.admin, None, "", limit)


def test_services_are_in_the_order_of_family_address_and_port(desk: Desk) -> None:
    agent = desk.agent(SCHOOL, "another")
    desk.send(
        agent,
        state(
            "more",
            service("2001:db8::1", 80),
            service("10.1.0.1", 8080),
            service("10.1.0.1", 80),
            host("10.1.0.1", mac="00:16:3e:00:00:01"),
            host("2001:db8::1", mac="00:16:3e:00:00:01"),
            covers("10.1.0.0/24", ports="1-10000"),
            at=START,
        ),
    )
    asset = desk.asset("ip:10.1.0.1")
    assert [(found.family, found.port) for found in asset.services] == [(4, 22), (4, 53), (4, 80), (4, 8080), (6, 80)]
    assert asset.services[0].product == "OpenSSH 9.2"
    assert show_asset(desk.core, desk.admin, asset.id).services == asset.services
