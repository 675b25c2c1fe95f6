"""Scans over HTTP: asked for by people, waited for by agents on a held connection, followed to the end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from tests.collector.web.door import OTHER_COUNTY_SCHOOL, PATIENCE, SCHOOL, Door, Gateway, Heard, ports
from tests.support.processes import wait_until
from wire.codec import decode, encode
from wire.orders import Order, OrderProgress, OrderReply, Orders, OrderState
from wire.types import Section

HOLD = 25


def scan(door: Door, **fields: Any) -> Heard:
    return door.ask("POST", "/api/v1/scans", {"unit": SCHOOL, **fields}, token=door.admin)


def asked(door: Door, **fields: Any) -> dict[str, Any]:
    heard = scan(door, **fields)
    assert heard.status == 201, heard
    return dict(heard.json())


def orders(gateway: Gateway, since: str = "", wait: float = 0) -> Orders:
    heard = gateway.door.ask("GET", f"/api/v1/orders?since={since}&wait={wait}", token=gateway.credential)
    assert heard.status == 200, heard
    return decode(Orders, heard.body)


def say(gateway: Gateway, order: Order, progress: OrderProgress) -> bool:
    kind = {"Content-Type": "application/json"}
    path = f"/api/v1/orders/{order.id}/progress"
    heard = gateway.door.ask("POST", path, encode(progress), token=gateway.credential, headers=kind)
    assert heard.status == 200, heard
    return decode(OrderReply, heard.body).go


def later(call: Callable[[], Any]) -> "Future[Any]":
    """Run in a thread, so that the test can do something meanwhile."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 (the test asks for it)
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def test_an_agent_that_waits_is_told_at_once_and_the_person_sees_each_step(shared: Door) -> None:
    gateway = shared.enrol()
    nothing = orders(gateway)
    assert nothing.orders == ()
    line = shared.connection()
    auth = {"Authorization": f"Bearer {gateway.credential}"}
    line.request("GET", f"/api/v1/orders?wait={HOLD}&since={nothing.revision}", headers=auth)
    # The head comes at once: by it an agent knows that its question is being held.
    held = line.getresponse()
    assert held.status == 200
    made = asked(shared, targets=["192.0.2.10"], options={"ports": "22"}, reason="test", request=gateway.agent)
    (order,) = decode(Orders, held.read()).orders
    line.close()
    assert order.options == {"ports": "22", "targets": ("192.0.2.10",)}
    path = f"/api/v1/scans/{made['id']}"
    following = later(lambda: shared.get(f"{path}/progress?since={made['revision']}&wait=20"))
    assert say(gateway, order, OrderProgress(OrderState.TAKEN))
    seen = following.result(PATIENCE)
    assert seen["orders"][0]["state"] == "taken"
    assert say(gateway, order, OrderProgress(OrderState.RUNNING, 1, 4, "note", 250.0, 0.25))
    wait_until(lambda: shared.get(path)["orders"][0]["done"] == 1, "progress is shown")
    (part,) = shared.get(path)["orders"]
    assert (part["total"], part["note"], part["rate"], part["lost"]) == (4, "note", 250.0, 0.25)
    gateway.sent(replace(ports(22), name="scan/open_ports", order=order.id))
    (part,) = shared.get(path)["orders"]
    assert (part["state"], part["status"], part["observations"]) == ("ended", "done", 1)
    heard = shared.ask("GET", f"{path}/results/{order.id}", token=shared.admin)
    section = decode(Section, heard.body)
    assert section.order == order.id
    assert section.body is not None
    assert section.body.observations[0].target.port == 22
    assert any(item["id"] == made["id"] for item in shared.get(f"/api/v1/scans?under={SCHOOL}")["items"])


def test_a_second_line_of_the_same_agent_takes_over(shared: Door) -> None:
    gateway = shared.enrol(OTHER_COUNTY_SCHOOL)
    since = orders(gateway).revision
    first = later(lambda: orders(gateway, since, HOLD))
    second = later(lambda: orders(gateway, since, HOLD))
    wait_until(lambda: first.done() or second.done(), "one of them is let go")
    assert scan(shared, unit=OTHER_COUNTY_SCHOOL).status == 201
    assert {len(answer.result(PATIENCE).orders) for answer in (first, second)} == {0, 1}


def test_cancelling_reaches_the_agent_that_waits(shared: Door) -> None:
    gateway = shared.enrol(OTHER_COUNTY_SCHOOL)
    made = asked(shared, unit=OTHER_COUNTY_SCHOOL)
    mine = next(part for part in made["orders"] if part["agent"] == gateway.agent)
    (order,) = orders(gateway).orders
    assert order.id == mine["id"]
    assert say(gateway, order, OrderProgress(OrderState.TAKEN))
    since = orders(gateway).revision
    waiting = later(lambda: orders(gateway, since, HOLD))
    heard = shared.ask("POST", f"/api/v1/scans/{made['id']}/cancel", token=shared.admin)
    assert heard.status == 200
    assert waiting.result(PATIENCE).cancelled == (order.id,)
    assert not say(gateway, order, OrderProgress(OrderState.RUNNING))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"unit": "9999999999"}, 404),
        ({"unit": SCHOOL, "probe": "../x"}, 400),
        ({"unit": SCHOOL, "time_limit": 0}, 400),
        ({"unit": SCHOOL, "options": {"a": {}}}, 400),
        ({"unit": SCHOOL, "targets": ["x" * 300]}, 400),
        ({}, 400),
        ([], 400),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(shared: Door, body: Any, status: int) -> None:
    heard = shared.ask("POST", "/api/v1/scans", body, token=shared.admin)
    assert heard.status == status
    assert heard.refusal().message


def test_agents_do_not_ask_for_scans_and_people_do_not_fetch_orders(shared: Door) -> None:
    gateway = shared.enrol()
    assert shared.ask("POST", "/api/v1/scans", {"unit": SCHOOL}, token=gateway.credential).status == 401
    assert shared.ask("GET", "/api/v1/orders", token=shared.admin).status == 401
    assert shared.ask("GET", "/api/v1/orders?wait=301", token=gateway.credential).status == 400
    heard = gateway.door.ask(
        "POST",
        "/api/v1/orders/nothing/progress",
        encode(OrderProgress(OrderState.TAKEN)),
        token=gateway.credential,
        headers={"Content-Type": "application/json"},
    )
    assert heard.status == 404


def test_when_no_more_can_be_held_the_agent_is_asked_to_come_later(make_door: Callable[..., Door]) -> None:
    door = make_door("[limits]\nconnections = 8\nconnections_per_address = 8\nshutdown_seconds = 300")
    gateways = [door.enrol() for _ in range(5)]
    since = orders(gateways[0]).revision
    held = []
    for gateway in gateways[:4]:
        line = door.connection()
        line.request(
            "GET",
            f"/api/v1/orders?wait={HOLD}&since={since}",
            headers={"Authorization": f"Bearer {gateway.credential}"},
        )
        held.append((line, line.getresponse()))
    assert orders(gateways[4], since, HOLD).again > 0
    # A collector that ends does not keep anybody waiting, nor waits for anybody: none of these says goodbye.
    assert door.running.terminate() == 0
    assert "graceful" not in door.log
    for line, answer in held:
        told = decode(Orders, answer.read())
        assert told.orders == ()
        assert told.again > 0
        line.close()
