"""Scans on order: the states of an order, what a person may ask, and what a section on order does to the inventory."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadInput, Conflict, Forbidden, NotFound
from collector.memory.directory import AgentIdentity
from collector.memory.orders import CLAIMED, FINAL, Event, after
from collector.memory.people import Role
from collector.registry import agents
from collector.scans import orders, requests
from collector.scans.orders import pack_section, unpack_section
from collector.scans.requests import ScanRequest
from collector.settings import Settings
from tests.support.collectors import COUNTY, DAY, FAR_SCHOOL, SCHOOL, Clock, Desk, desk
from tests.support.reports import covers, host, service, state
from tests.wire import messages
from wire.orders import Order, OrderProgress, OrderState
from wire.types import RunStatus, ScopeEntry, Section

TAKEN, RUNNING = OrderProgress(OrderState.TAKEN), OrderProgress(OrderState.RUNNING, 5, 10)


def offered(desk: Desk, agent: AgentIdentity) -> tuple[Order, ...]:
    return desk.core.scans.offer(agent.id, desk.clock.now).orders


def say(desk: Desk, agent: AgentIdentity, order: Order, word: OrderProgress) -> bool:
    return orders.progress(desk.core, agent, order.id, word, desk.clock.now).result().go


def state_of(desk: Desk, scan: str) -> str:
    (part,) = requests.show(desk.core, desk.admin, scan).orders
    return part.state


def ask(desk: Desk, **fields: Any) -> str:
    return requests.create(desk.core, desk.admin, ScanRequest(**{"unit": SCHOOL, **fields})).id


def on_order(order: Order, *said: Any, at: float, **fields: Any) -> Section:
    return replace(state(f"scan/{order.probe}", *said, at=at, probe=order.probe, **fields), order=order.id)


# ---- the states


def test_only_these_ways_exist() -> None:
    ways = {(a, e): after(a, e) for a, e in itertools.product(OrderState, Event) if after(a, e) is not None}
    for (before, event), new in ways.items():
        if before in FINAL:
            assert (event, new) == (Event.SECTION, OrderState.ENDED), "a section alone says more than an end"
        if event is Event.SECTION:
            assert new is OrderState.ENDED
    claims = {before: new for (before, event), new in ways.items() if event is Event.CLAIM}
    assert claims == {
        OrderState.WAITING: OrderState.TAKEN,
        OrderState.TAKEN: OrderState.TAKEN,
        OrderState.CANCELLING: OrderState.CANCELLED,
    }
    assert {before for before, event in ways if event is Event.EXPIRE} == {OrderState.WAITING, OrderState.TAKEN}
    assert {before for before, event in ways if event is Event.LOSE} == CLAIMED
    assert OrderState.ENDED not in {before for before, _ in ways}


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_an_order_is_never_claimed_after_it_was_withdrawn(events: list[Event]) -> None:
    now, withdrawn = OrderState.WAITING, False
    for event in events:
        new = after(now, event)
        if withdrawn and event is not Event.SECTION:
            assert new is None
        now = new or now
        withdrawn = withdrawn or now in (OrderState.CANCELLED, OrderState.EXPIRED, OrderState.LOST)


@given(messages.messages(Section))
def test_a_result_is_kept_as_it_came(section: Section) -> None:
    assert unpack_section(pack_section(section)) == section


# ---- what people ask


def test_a_scan_is_one_order_for_each_agent_of_the_unit(desk: Desk) -> None:
    first, second, revoked, other = desk.agent(), desk.agent(), desk.agent(), desk.agent(FAR_SCHOOL)
    agents.revoke(desk.core, desk.admin, revoked.id)
    made = requests.create(
        desk.core,
        desk.admin,
        ScanRequest(SCHOOL, options={"ports": "22,80", "rate": 50.0}, targets=("10.0.0.0/24",), reason="check"),
    )
    assert {part.agent for part in made.orders} == {first.id, second.id}
    assert {part.state for part in made.orders} == {"waiting"}
    (order,) = offered(desk, first)
    assert order.options == {"ports": "22,80", "rate": 50.0, "targets": ("10.0.0.0/24",)}
    assert (order.asked_by, order.reason, order.unit, order.agent) == ("root", "check", SCHOOL, first.id)
    assert offered(desk, other) == offered(desk, revoked) == ()
    assert requests.list_scans(desk.core, desk.admin, COUNTY) == [made]


def test_the_same_wish_twice_is_one_scan_and_another_under_its_name_is_refused(desk: Desk) -> None:
    agent = desk.agent()
    assert ask(desk, request="a") == ask(desk, request="a")
    assert len(offered(desk, agent)) == 1
    with pytest.raises(Conflict, match="another scan"):
        ask(desk, request="a", probe="udp_ports")
    assert ask(desk, request="b") != ask(desk, request="a")
    assert ask(desk) != ask(desk)


def test_only_operators_ask_and_only_within_their_units(desk: Desk) -> None:
    desk.agent()
    viewer, far = desk.person(Role.VIEWER, SCHOOL), desk.person(Role.OPERATOR, FAR_SCHOOL)
    with pytest.raises(Forbidden):
        requests.create(desk.core, viewer, ScanRequest(SCHOOL))
    with pytest.raises(NotFound):
        requests.create(desk.core, far, ScanRequest(SCHOOL))
    scan = ask(desk)
    assert requests.show(desk.core, viewer, scan).orders
    for someone, refused in ((viewer, Forbidden), (far, NotFound)):
        with pytest.raises(refused):
            requests.cancel(desk.core, someone, scan)
    with pytest.raises(NotFound):
        requests.show(desk.core, far, scan)
    with pytest.raises(NotFound):
        requests.result(desk.core, far, scan, requests.show(desk.core, desk.admin, scan).orders[0].id)


def test_what_cannot_be_ordered_is_said_at_once(desk: Desk) -> None:
    with pytest.raises(Conflict, match="no agent"):
        ask(desk)
    agent = desk.agent()
    with pytest.raises(BadInput, match="targets"):
        ask(desk, options={"targets": ("10.0.0.1",)})
    with pytest.raises(BadInput, match="probe"):
        ask(desk, probe="../open_ports")
    for _ in range(8):
        ask(desk)
    with pytest.raises(Conflict, match="8 orders"):
        ask(desk)
    assert len(offered(desk, agent)) == 8


def test_without_targets_the_scope_is_scanned_where_small_and_what_is_known_where_large(desk: Desk) -> None:
    agent = desk.agent()
    ask(desk)
    assert offered(desk, agent)[-1].options["targets"] == ("127.0.0.1", "::1")
    scope = tuple(
        ScopeEntry(value, "someone", "test", None)
        for value in ("10.1.0.0/24", "10.64.0.0/10", "2001:db8::/64", "school.example.edu.cn", "127.0.0.0/8")
    )
    seen = state("ports", host("10.64.3.4"), host("2001:db8::5"), host("192.0.2.9"), covers("10.64.0.0/16"))
    desk.send(agent, seen, scope=scope)
    ask(desk)
    assert offered(desk, agent)[-1].options["targets"] == (
        "127.0.0.1", "::1", "10.1.0.0/24", "10.64.3.4", "2001:db8::5",
    )  # fmt: skip


def test_where_more_is_known_than_one_scan_takes_nothing_is_left_out_in_silence(desk: Desk) -> None:
    agent = desk.agent()
    scope = (ScopeEntry("10.64.0.0/10", "someone", "test", None),)
    dense = [host(f"10.64.{high}.{low}") for high in range(8) for low in range(256)]
    desk.send(agent, state("ports", *dense, covers("10.64.0.0/16")), scope=scope)
    ask(desk)
    assert offered(desk, agent)[-1].options["targets"] == ("127.0.0.1", "::1", "10.64.0.0/21")
    scattered = [host(f"10.64.{high}.{low}") for high in range(8) for low in range(1, 256, 2)]
    desk.send(agent, state("ports", *scattered, covers("10.64.0.0/16")), scope=scope)
    waiting = offered(desk, agent)
    with pytest.raises(Conflict, match=r"addresses are known within the scope .* name targets"):
        ask(desk)
    assert offered(desk, agent) == waiting


# ---- from the claim to the end


def test_an_order_is_claimed_followed_and_ended_by_its_section(desk: Desk) -> None:
    agent = desk.agent()
    scan = ask(desk)
    (order,) = offered(desk, agent)
    assert desk.send(agent).orders == 1
    assert say(desk, agent, order, TAKEN)
    assert say(desk, agent, order, TAKEN), "a reply that was lost is asked for again"
    assert offered(desk, agent) == ()
    assert desk.send(agent).orders == 0
    before = requests.show(desk.core, desk.admin, scan).revision
    assert say(desk, agent, order, RUNNING)
    assert not say(desk, agent, order, TAKEN), "what runs is not begun once more, on a copy of that machine"
    shown = requests.show(desk.core, desk.admin, scan)
    assert (shown.orders[0].state, shown.orders[0].done, shown.orders[0].total) == ("running", 5, 10)
    assert shown.revision != before
    section = on_order(order, host("10.0.0.1"), service("10.0.0.1", 80), covers("10.0.0.0/24"), at=desk.clock.now)
    desk.send(agent, section)
    (part,) = requests.show(desk.core, desk.admin, scan).orders
    assert (part.state, part.status, part.observations) == ("ended", "done", 2)
    assert requests.result(desk.core, desk.admin, scan, order.id) == section
    assert not say(desk, agent, order, RUNNING), "what is over does not go on"
    assert desk.core.scans.all() == []


def test_a_stranger_neither_claims_nor_ends_an_order(desk: Desk) -> None:
    agent, stranger = desk.agent(), desk.agent(FAR_SCHOOL)
    scan = ask(desk)
    (order,) = offered(desk, agent)
    with pytest.raises(NotFound):
        say(desk, stranger, order, TAKEN)
    desk.send(stranger, on_order(order, host("10.0.0.1"), covers("10.0.0.0/24"), at=desk.clock.now))
    assert state_of(desk, scan) == "waiting"


def test_a_cancelled_order_is_not_claimed_and_a_running_one_is_told_to_end(desk: Desk) -> None:
    agent = desk.agent()
    first, second = ask(desk), ask(desk)
    one, two = offered(desk, agent)
    assert requests.cancel(desk.core, desk.admin, first).orders[0].state == "cancelled"
    assert not say(desk, agent, one, TAKEN)
    assert say(desk, agent, two, TAKEN)
    assert requests.cancel(desk.core, desk.admin, second).orders[0].state == "cancelling"
    assert desk.core.scans.offer(agent.id, desk.clock.now).cancelled == (two.id,)
    assert not say(desk, agent, two, RUNNING)
    desk.send(agent, on_order(two, at=desk.clock.now, status=RunStatus.PARTIAL, reason="stopped"))
    (part,) = requests.cancel(desk.core, desk.admin, second).orders
    assert (part.state, part.reason) == ("ended", "stopped")


def test_an_order_cancelled_before_its_agent_knew_that_it_had_claimed_it_is_over_at_once(desk: Desk) -> None:
    agent = desk.agent()
    scan = ask(desk)
    (order,) = offered(desk, agent)
    assert say(desk, agent, order, TAKEN)  # the reply is lost, or the agent with it
    requests.cancel(desk.core, desk.admin, scan)
    assert not say(desk, agent, order, TAKEN)
    assert state_of(desk, scan) == "cancelled", "nothing runs, and no section will ever come"
    assert desk.core.scans.all() == []


def test_the_times_of_a_result_are_the_collectors(desk: Desk) -> None:
    agent = desk.agent()
    scan = ask(desk)
    (order,) = offered(desk, agent)
    assert say(desk, agent, order, TAKEN)
    ahead = desk.clock.now + DAY
    desk.send(agent, on_order(order, host("10.0.0.1"), covers("10.0.0.0/24"), at=ahead), created=ahead)
    (part,) = requests.show(desk.core, desk.admin, scan).orders
    assert part.finished is not None
    assert part.finished.timestamp() == desk.clock.now
    assert requests.result(desk.core, desk.admin, scan, order.id).finished == desk.clock.now


def test_an_agent_that_was_away_for_long_does_not_run_an_old_order(desk: Desk) -> None:
    agent = desk.agent()
    scan = ask(desk, valid=600.0)
    (order,) = offered(desk, agent)
    desk.clock.forward(601)
    assert offered(desk, agent) == ()
    assert not say(desk, agent, order, TAKEN)
    desk.core.tick()
    assert state_of(desk, scan) == "expired"


def test_an_order_that_expired_before_its_agent_knew_that_it_had_claimed_it_is_over_at_once(desk: Desk) -> None:
    agent = desk.agent()
    scan = ask(desk, valid=600.0)
    (order,) = offered(desk, agent)
    assert say(desk, agent, order, TAKEN)  # the reply is lost
    desk.clock.forward(601)
    desk.core.tick()
    assert state_of(desk, scan) == "taken", "it may run: nothing says that it does not"
    assert not say(desk, agent, order, TAKEN)
    assert state_of(desk, scan) == "expired", "nothing runs, and no section will ever come"
    assert desk.core.scans.all() == []


def test_what_was_claimed_and_never_heard_of_again_is_lost_until_its_section_comes(desk: Desk) -> None:
    agent = desk.agent()
    scan = ask(desk, time_limit=100.0)
    (order,) = offered(desk, agent)
    assert say(desk, agent, order, TAKEN)
    desk.clock.forward(DAY)
    desk.core.tick()
    assert state_of(desk, scan) == "taken", "a line may be down for a day"
    desk.clock.forward(101)
    desk.core.tick()
    assert state_of(desk, scan) == "lost"
    desk.send(agent, on_order(order, host("10.0.0.1"), covers("10.0.0.0/24"), at=desk.clock.now))
    assert state_of(desk, scan) == "ended"
    agents.revoke(desk.core, desk.admin, agent.id)


def test_orders_outlive_a_restart_and_old_scans_are_removed(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as first:
        agent = first.agent()
        waiting, taken, over = ask(first), ask(first), ask(first)
        one, two, three = offered(first, agent)
        assert say(first, agent, two, TAKEN)
        first.send(agent, on_order(three, host("10.0.0.1"), covers("10.0.0.0/24"), at=clock.now))
        sender = first.senders[agent.id]
    with desk(tmp_path, clock=clock) as again:
        again.senders[agent.id] = sender
        assert offered(again, agent) == (one,)
        assert [state_of(again, scan) for scan in (waiting, taken, over)] == ["waiting", "taken", "ended"]
        assert say(again, agent, two, RUNNING)
        assert requests.result(again.core, again.admin, over, three.id).order == three.id
        clock.forward(31 * DAY)
        again.send(agent, on_order(two, host("10.0.0.1"), covers("10.0.0.0/24"), at=clock.now))
        again.core.tick()
        kept = {scan.id: scan.orders[0].state for scan in requests.list_scans(again.core, again.admin, None)}
        assert kept == {waiting: "expired", taken: "ended"}
        with pytest.raises(NotFound):
            requests.result(again.core, again.admin, over, three.id)


# ---- what a section on order does to the inventory


def test_a_scan_on_order_takes_nothing_away_from_the_tasks(desk: Desk) -> None:
    agent = desk.agent()
    whole = state("ports", host("10.0.0.1"), service("10.0.0.1", 80), covers("10.0.0.0/24"), at=desk.clock.now)
    desk.send(agent, whole)
    for at in range(3):
        ask(desk)
        (order,) = offered(desk, agent)
        said = (host(f"10.0.1.{at + 1}"), covers("10.0.1.0/24")) if at else (covers("10.0.0.0/24"),)
        desk.send(agent, on_order(order, *said, at=desk.clock.forward(1)))
    found = desk.asset("ip:10.0.0.1")
    assert found.presence == "present"
    assert [port.state for port in found.services] == ["open"]
    names = {section.name for agent in agents.list_agents(desk.core, desk.admin) for section in agent.sections}
    assert names == {"ports", "scan/open_ports"}


def test_what_an_order_saw_holds_for_an_hour_and_then_yields_to_the_tasks(desk: Desk) -> None:
    agent = desk.agent()
    saw = (host("10.0.0.1"), service("10.0.0.1", 8080), covers("10.0.0.0/24"))
    desk.send(agent, state("ports", *saw, at=desk.clock.now))
    ask(desk)
    (order,) = offered(desk, agent)
    desk.send(agent, on_order(order, *saw, at=desk.clock.forward(1)))
    shut = host("10.0.0.1", closed=[8080])
    desk.send(agent, state("ports", shut, covers("10.0.0.0/24"), at=desk.clock.forward(60)))
    assert [port.state for port in desk.asset("ip:10.0.0.1").services] == ["open"]
    desk.clock.forward(Settings().scan_holds)
    desk.core.tick()
    assert [port.state for port in desk.asset("ip:10.0.0.1").services] == ["closed"]
