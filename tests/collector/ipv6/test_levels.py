"""Levels of websites, systems, networks and units: three equal results, unknown never a no, history of what changed."""

from sqlalchemy import text

from collector.registry import register
from collector.settings import Settings
from probes.kit.ipv6.ladder import Level, Rung
from tests.support.collectors import COUNTY, DAY, FAR_SCHOOL, OTHER_SCHOOL, SCHOOL, Clock, Desk
from tests.support.collectors import desk as make_desk
from tests.support.ipv6 import GOOD, network, sites
from tests.support.reports import unchanged
from wire.types import Outcome, RunStatus

WWW, OA = "www.example.edu.cn", "https://oa.example.edu.cn/"
REGISTER = f"kind,address,name,system,owner\nwebsite,{WWW},,,a\nsystem,{OA},OA,,a\nnetwork,10.1.0.0/16,,,a\n"
NO_AAAA = {**dict.fromkeys(GOOD, Outcome.UNKNOWN), "WEB-AAAA": Outcome.FAIL}
UNSURE = dict.fromkeys(GOOD, Outcome.UNKNOWN)
HOUR = 3600.0


def register_for(desk: Desk, unit: str = SCHOOL, sheet: str = REGISTER) -> None:
    register.import_entries(desk.core, desk.admin, sheet.encode(), "register.csv", unit)
    desk.core.tick()


def levels(desk: Desk, unit: str = SCHOOL) -> dict[str, tuple[int, int]]:
    query = text("SELECT kind, key, confirmed, possible FROM ipv6_level WHERE unit = :unit")
    with desk.core.store.reader() as connection:
        rows = connection.execute(query, {"unit": unit}).all()
    return {f"{kind} {key}".strip(): (low, high) for kind, key, low, high in rows}


def history(desk: Desk, kind: str, key: str, unit: str = SCHOOL) -> list[tuple[int, int]]:
    query = text(
        "SELECT confirmed, possible FROM ipv6_history WHERE unit = :unit AND kind = :kind AND key = :key "
        "ORDER BY time, id"
    )
    with desk.core.store.reader() as connection:
        found = connection.execute(query, {"unit": unit, "kind": kind, "key": key})
        return [(low, high) for low, high in found]


def run(desk: Desk, agent, found, *, times: int = 1, **options) -> None:  # type: ignore[no-untyped-def]
    for _ in range(times):
        desk.send(agent, sites(found, at=desk.clock.forward(HOUR), **options))


def test_a_level_stands_after_three_equal_results(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    for expected in ((0, 4), (0, 4), (4, 4)):
        run(desk, agent, {WWW: GOOD})
        assert levels(desk)[f"site {WWW}"] == expected
    run(desk, agent, {WWW: NO_AAAA}, times=2)
    assert levels(desk)[f"site {WWW}"] == (4, 4)
    run(desk, agent, {WWW: GOOD})
    run(desk, agent, {WWW: NO_AAAA}, times=2)
    assert levels(desk)[f"site {WWW}"] == (4, 4)
    run(desk, agent, {WWW: NO_AAAA})
    assert levels(desk)[f"site {WWW}"] == (0, 0)
    assert history(desk, "site", WWW) == [(4, 4), (0, 0)]


def test_how_many_equal_results_is_configurable(tmp_path, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    with make_desk(tmp_path, Settings(ipv6_equal_results=1), clock) as desk:
        register_for(desk)
        run(desk, desk.agent(), {WWW: GOOD})
        assert levels(desk)[f"site {WWW}"] == (4, 4)


def test_a_digest_alone_counts_as_a_result(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    first = sites({WWW: GOOD}, at=desk.clock.forward(HOUR))
    desk.send(agent, first)
    desk.send(agent, unchanged(first, desk.clock.forward(HOUR)))
    assert levels(desk)[f"site {WWW}"] == (0, 4)
    desk.send(agent, unchanged(first, desk.clock.forward(HOUR)))
    assert levels(desk)[f"site {WWW}"] == (4, 4)
    with desk.core.store.reader() as connection:
        assert connection.execute(text("SELECT pending FROM ipv6_result")).scalars().all() == [0]


def test_what_waits_for_equal_results_outlives_a_restart(desk: Desk, tmp_path, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    register_for(desk)
    agent = desk.agent()
    first = sites({WWW: GOOD}, at=clock.forward(HOUR))
    desk.send(agent, first)
    desk.core.close()
    again = Desk(tmp_path / "collector.db", Settings(), clock)
    again.senders = desk.senders
    for _ in range(2):
        again.send(agent, unchanged(first, clock.forward(HOUR)))
    assert levels(again)[f"site {WWW}"] == (4, 4)
    again.core.close()


def test_a_refusal_or_an_unknown_is_never_a_fall(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    run(desk, agent, {WWW: GOOD}, times=3)
    run(desk, agent, {WWW: {**GOOD, "WEB-HTTP": Outcome.DENIED}}, times=5)
    assert levels(desk)[f"site {WWW}"] == (1, 4)
    run(desk, agent, {WWW: UNSURE}, times=5)
    assert levels(desk)[f"site {WWW}"] == (0, 4)


def test_warnings_and_passes_hold_alike(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    for outcome in (Outcome.WARN, Outcome.PASS, Outcome.SEEN):
        run(desk, agent, {WWW: {**GOOD, "WEB-L2": outcome}})
    assert levels(desk)[f"site {WWW}"] == (4, 4)


def test_what_a_partial_run_did_not_reach_becomes_unknown_and_what_a_whole_run_dropped_is_forgotten(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    both = {WWW: GOOD, OA: GOOD}
    run(desk, agent, both, times=3)
    assert levels(desk)["site oa.example.edu.cn"] == (4, 4)
    run(desk, agent, {WWW: GOOD}, status=RunStatus.PARTIAL)
    assert levels(desk)["site oa.example.edu.cn"] == (4, 4)
    run(desk, agent, {WWW: GOOD}, status=RunStatus.PARTIAL, times=2)
    assert levels(desk)["site oa.example.edu.cn"] == (0, 4)
    run(desk, agent, both, times=3)
    run(desk, agent, {WWW: GOOD})
    assert levels(desk)["site oa.example.edu.cn"] == (0, 4)
    assert levels(desk)[f"site {WWW}"] == (4, 4)


def test_two_vantage_points_the_failure_counts_and_the_blind_one_does_not(desk: Desk) -> None:
    register_for(desk)
    seeing, blind = desk.agent(), desk.agent()
    run(desk, seeing, {WWW: GOOD}, times=3)
    run(desk, blind, {WWW: UNSURE}, times=3)
    assert levels(desk)[f"site {WWW}"] == (4, 4)
    run(desk, blind, {WWW: {**GOOD, "WEB-OK": Outcome.FAIL}}, times=3)
    assert levels(desk)[f"site {WWW}"] == (2, 2)


def test_checks_of_a_site_and_of_its_zone_come_from_two_tasks(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    web = {name: outcome for name, outcome in GOOD.items() if name.startswith("WEB-")}
    zone = {name: outcome for name, outcome in GOOD.items() if name.startswith("DNS-")}
    run(desk, agent, {WWW: web}, times=3)
    assert levels(desk)[f"site {WWW}"] == (2, 4)
    run(desk, agent, {WWW: zone}, times=3, name="zones")
    assert levels(desk)[f"site {WWW}"] == (4, 4)


def test_what_nobody_says_any_more_is_unknown_and_counts_again_when_it_is_said(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    run(desk, agent, {WWW: GOOD}, times=3)
    last = sites({WWW: GOOD}, at=desk.clock.forward(HOUR))
    desk.send(agent, last)
    desk.core.tick()
    desk.clock.forward(3 * DAY)
    desk.core.tick()
    assert levels(desk)[f"site {WWW}"] == (0, 4)
    desk.send(agent, unchanged(last, desk.clock.forward(HOUR)))
    assert levels(desk)[f"site {WWW}"] == (4, 4)
    assert history(desk, "site", WWW) == [(4, 4), (0, 4), (4, 4)]


def test_a_system_is_as_far_as_its_weakest_address_and_a_unit_as_its_weakest_part(desk: Desk) -> None:
    register_for(desk, sheet=f"kind,address,name,system,owner\nsystem,{OA},OA,,a\nwebsite,{WWW},,OA,a\n")
    agent = desk.agent()
    run(desk, agent, {OA: GOOD, WWW: {**GOOD, "WEB-EXT": Outcome.FAIL}}, times=3)
    assert levels(desk)["system OA"] == (3, 3)
    assert levels(desk)["unit"] == (3, 3)
    assert history(desk, "system", "OA") == [(3, 3)]


def test_a_network_needs_a_way_out_and_clients_that_use_it(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    checks = dict.fromkeys(("NET-ADDR", "NET-SELF", "NET-ROUTE"), Outcome.PASS)
    for _ in range(3):
        desk.send(agent, network("10.1.0.0/16", checks, at=desk.clock.forward(HOUR)))
    assert levels(desk)["network 10.1.0.0/16"] == (1, 4)
    for _ in range(3):
        covered = {**checks, "LAN-COVER": Outcome.PASS}
        desk.send(agent, network("10.1.2.0/24", covered, at=desk.clock.forward(HOUR)))
    assert levels(desk)["network 10.1.0.0/16"] == (2, 4)
    for _ in range(3):
        bare = {**checks, "LAN-COVER": Outcome.WARN}  # eight clients of ten, and the policy asks for nine
        desk.send(agent, network("10.1.2.0/24", bare, at=desk.clock.forward(HOUR)))
    assert levels(desk)["network 10.1.0.0/16"] == (1, 1)


def test_what_is_said_of_a_link_is_said_of_the_networks_on_it(desk: Desk) -> None:
    register_for(desk)
    agent = desk.agent()
    rungs = ("NET-ADDR", "NET-SELF", "NET-ROUTE", "NET-PMTU", "NET-ICMP6", "NET-RES6")
    for _ in range(3):
        at = desk.clock.forward(HOUR)
        desk.send(
            agent,
            network("10.1.0.0/16", {**dict.fromkeys(rungs, Outcome.PASS), "LAN-COVER": Outcome.PASS}, at=at),
            network(
                "br-lan", {"LAN-RDNSS": Outcome.FAIL}, at=at, name="lan", prefixes=("10.1.2.0/24", "2001:db8::/64")
            ),
            network("br-other", {"LAN-RDNSS": Outcome.PASS}, at=at, name="other", prefixes=("10.2.2.0/24",)),
        )
    assert levels(desk)["network 10.1.0.0/16"] == (2, 2)


def test_a_site_of_the_county_is_seen_from_its_schools_and_from_no_other_county(desk: Desk) -> None:
    register_for(desk, COUNTY, f"address,owner\n{WWW},a\n")
    near, far = desk.agent(OTHER_SCHOOL), desk.agent(FAR_SCHOOL)
    run(desk, far, {WWW: NO_AAAA}, times=3)
    run(desk, near, {WWW: GOOD}, times=3)
    assert levels(desk, COUNTY)[f"site {WWW}"] == (4, 4)
    assert levels(desk, FAR_SCHOOL) == {f"site {WWW}": (0, 0)}


def test_what_is_registered_later_has_the_level_that_was_seen_before(desk: Desk) -> None:
    agent = desk.agent()
    run(desk, agent, {WWW: GOOD}, times=3)
    register_for(desk)
    assert levels(desk)[f"site {WWW}"] == (4, 4)
    assert levels(desk)["unit"] == (0, 4)


def test_the_lowest_of_nothing_is_unknown() -> None:
    from probes.kit.ipv6.ladder import lowest

    assert lowest([]) == Level(Rung.NONE, Rung.SINGLE_STACK)
