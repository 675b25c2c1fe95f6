"""The orders on disk: each is kept once, started once, and its end holds together with its section."""

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config, OrdersConfig
from agent.files import names_files
from agent.log import Problems
from agent.metrics.stats import Stats
from agent.orders import book
from agent.orders.desk import MOST_HELD, QUICK_ANSWERS, OrderDesk
from agent.orders.run import LONGEST_BACK_OFF, Surroundings
from agent.probing.job import Job
from agent.spool.packing import Packed, pack
from agent.spool.sections import Spool
from agent.uplink.delivery import Ask, Told
from agent.uplink.identity import Identity
from agent.uplink.line import Line
from probes.kit import options, registry
from tests.support.fake_collector import Authority, refuse, running
from tests.support.processes import wait_until
from tests.support.reports import host, measured, state
from wire.codec import decode, decompress, encode
from wire.orders import Order, OrderReply, Orders
from wire.types import Report, RunStatus, Section

ORDER = Order("o1", "2164000001", "a1", "open_ports", 60.0, 0.0, "someone", "why", {"ports": "22"})
ENVELOPE = Report("a1", "", 1, "", 0.0, "test", ())


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool.db", 4 << 20, agent="a1", unit="u", on_reset=pytest.fail)
    yield made
    made.close()


def test_no_order_chooses_a_file_of_the_gateway() -> None:
    for name in registry.names():
        for item in options.describe(registry.load(name)):
            about_files = any(word in item.help.en.lower() for word in ("file", "folder"))
            assert names_files(item.name) or not about_files, f"{name}: {item.name}"
    assert not any(map(names_files, ("targets", "ports", "rate", "timeout", "identify")))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (OrdersConfig(accept=False), "[orders] accept"),
        (OrdersConfig(probes=("discovery",)), "[orders] probes"),
    ],
)
def test_an_order_on_disk_is_held_against_the_configuration_once_more(
    spool: Spool, settings: OrdersConfig, reason: str
) -> None:
    # As after a power cut between keeping an order and refusing it, or after a change of the configuration.
    spool.within(partial(book.keep, ORDER, time.time() + 600))
    identity = Identity("127.0.0.1", 1, "", "a1", ORDER.unit, "a school", "secret", 0.0)
    desk = desk_of(identity, spool, Config(orders=settings))
    desk.start_due(disturbed=False)
    try:
        wait_until(lambda: not spool.within(book.unfinished), "the order is over")
    finally:
        desk.stop()
    (section,) = sent(spool)
    assert (section.order, section.status) == ("o1", RunStatus.CANNOT_RUN)
    assert section.reason.startswith(f"not_accepted: {reason}")


@pytest.mark.parametrize("go", [False, True])
def test_an_order_that_expired_before_its_claim_was_answered_is_claimed_until_the_collector_knows_and_never_runs(
    spool: Spool, authority: Authority, free_port: Callable[..., int], go: bool
) -> None:
    spool.within(partial(book.keep, ORDER, time.time() - 1))
    with running(authority, free_port()) as collector:
        collector.store.claims.extend([refuse(503, "busy"), (200, {}, encode(OrderReply(go)))])
        identity = Identity("127.0.0.1", collector.port, authority.ca.decode(), "a1", ORDER.unit, "a school", "s", 0.0)
        desk = desk_of(identity, spool, Config())
        desk.start_due(disturbed=False)
        try:
            wait_until(lambda: not spool.within(book.unfinished), "the order is over")
        finally:
            desk.stop()
        assert not collector.store.claims
    assert spool.waiting() == 0


def test_a_caller_that_died_is_followed_by_another(authority: Authority, free_port: Callable[..., int]) -> None:
    identity = Identity("127.0.0.1", free_port(), authority.ca.decode(), "a1", ORDER.unit, "a school", "secret", 0.0)
    ask = Ask("GET", "/api/v1/orders", 10.0)
    with Line(identity) as line:
        refused = line.ask(ask)
        line._process.kill()
        line.ask(ask)  # the one that finds it dead
        assert line.ask(ask) == refused, "the collector is asked again"
        line.abort()
        assert line.ask(ask).status == 0
        assert line.ask(ask) != refused, "what was ended begins no other"


def test_a_collector_that_never_runs_out_of_orders_neither_fills_the_disk_nor_keeps_the_agent_busy(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity("127.0.0.1", 1, "", "a1", ORDER.unit, "a school", "secret", 0.0)
    desk, numbers, pauses = desk_of(identity, spool, Config()), itertools.count(), list[float]()

    def question(*_: object) -> Told:
        offered = tuple(replace(ORDER, id=f"o{next(numbers)}", expires=9e9) for _ in range(16))
        return Told(200, encode(Orders(0.0, f"r{next(numbers)}", offered)).decode())

    def wait(seconds: float, *_: object) -> bool:
        pauses.append(seconds)
        return len(pauses) > 30

    monkeypatch.setattr("agent.orders.desk.connect", lambda _: socket.socket())
    monkeypatch.setattr(desk, "_question", question)
    monkeypatch.setattr(desk, "_wait", wait)
    desk._work()
    desk.stop()
    assert len(spool.within(book.unfinished)) == MOST_HELD
    assert pauses[:QUICK_ANSWERS] == [0.0] * QUICK_ANSWERS
    assert pauses[-1] >= LONGEST_BACK_OFF / 2


def test_so_many_ends_are_remembered_and_no_more(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_ENDED", 5)
    for number in range(9):
        spool.within(partial(book.keep, replace(ORDER, id=f"o{number}"), 9e9 + number))
        spool.within(partial(book.end, f"o{number}"))
    assert spool.within(partial(book.keep, replace(ORDER, id="o1"), 9e9)), "long forgotten"
    assert not spool.within(partial(book.keep, replace(ORDER, id="o8"), 9e9))


def desk_of(identity: Identity, spool: Spool, config: Config) -> OrderDesk:
    """Make a desk that must run nothing and that does not wait between two tries."""

    def nothing() -> None:
        pass

    around = Surroundings(
        identity, spool, Stats(), Problems(), lambda: 0.0, lambda: config, unexpected, nothing, nothing
    )
    return OrderDesk(around)


def unexpected(_order: Order) -> Job:
    pytest.fail("it must not run")


def packed(section: Section, order: str = "") -> Packed:
    return pack(replace(section, order=order))


def sent(spool: Spool) -> list[Section]:
    batch = spool.seal(ENVELOPE)
    return list(decode(Report, decompress(spool.payload(batch.sequence))).sections)


def test_an_order_is_kept_once_started_once_and_remembered(spool: Spool) -> None:
    until = time.time() + 600
    assert spool.within(partial(book.keep, ORDER, until))
    assert not spool.within(partial(book.keep, ORDER, until))
    assert spool.within(book.unfinished) == [book.Entry(ORDER, until, started=False)]
    assert spool.within(partial(book.start, "o1"))
    assert not spool.within(partial(book.start, "o1"))
    assert spool.within(book.unfinished) == [book.Entry(ORDER, until, started=True)]
    assert spool.add(packed(state("scan/open_ports"), "o1"), partial(book.end, "o1"))
    assert spool.within(book.unfinished) == []
    assert not spool.within(partial(book.keep, ORDER, until)), "it was here already"
    assert not spool.within(partial(book.start, "o1"))


def test_what_is_over_is_forgotten_once_nobody_can_offer_it(spool: Spool) -> None:
    old = time.time() - 2 * book.MARGIN
    for ident in ("o1", "o2"):
        spool.within(partial(book.keep, replace(ORDER, id=ident), old))
    spool.within(partial(book.end, "o1"))
    assert spool.within(partial(book.keep, ORDER, old)), "forgotten, so it is new"
    assert len(spool.within(book.unfinished)) == 2, "what is not over stays, however old"


def test_the_end_is_on_disk_with_the_section_or_not_at_all(spool: Spool) -> None:
    spool.within(partial(book.keep, ORDER, 0.0))
    spool.within(partial(book.start, "o1"))

    def fail(_db: object) -> None:
        raise OSError("the disk says no")

    with pytest.raises(OSError, match="the disk says no"):
        spool.add(packed(state("scan/open_ports"), "o1"), fail)
    assert spool.waiting() == 0
    assert spool.within(book.unfinished)[0].started


def test_sections_on_order_travel_whole_and_none_replaces_another(spool: Spool) -> None:
    same = state("scan/open_ports", host("10.0.0.1"), at=5.0)
    for order in ("o1", "o2"):
        spool.add(packed(same, order))
    first = sent(spool)
    assert [(section.order, section.body is not None) for section in first] == [("o1", True), ("o2", True)]
    spool.acknowledge(1)
    spool.add(packed(same, "o3"))
    (third,) = sent(spool)
    assert third.body == same.body
    assert third.name == "scan/open_ports"


def test_a_full_spool_drops_no_section_on_order(spool: Spool) -> None:
    spool.add(packed(state("scan/open_ports", host("10.0.0.1")), "o1"))
    spool.add(packed(measured("scan/bandwidth", "bandwidth", {"a": 1.0}), "o2"))
    noise = "".join(chr(33 + number * number % 90) for number in range(900))
    number = 0
    while spool.counts().dropped < 3:
        number += 1
        values = {f"v{index}": f"{noise}{number}{index}"[index:] for index in range(60)}
        spool.add(Packed(measured(f"m{number % 3}", "counting", {}), repr(values).encode(), 1, 1))
    rows = spool.within(
        lambda db: [name for (name,) in db.execute("SELECT name FROM section WHERE name LIKE '%#%' ORDER BY id")]
    )
    assert rows == ["scan/open_ports#o1", "scan/bandwidth#o2"]


@given(st.lists(st.sampled_from(("keep", "start", "end")), max_size=12))
def test_whatever_happens_an_order_starts_at_most_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    spool = Spool(tmp_path_factory.mktemp("s") / "spool.db", 4 << 20, agent="a1", unit="u", on_reset=pytest.fail)
    starts = 0
    for step in steps:
        if step == "keep":
            spool.within(partial(book.keep, ORDER, time.time()))
        elif step == "start":
            starts += spool.within(partial(book.start, "o1"))
        else:
            spool.within(partial(book.end, "o1"))
    spool.close()
    assert starts <= 1
