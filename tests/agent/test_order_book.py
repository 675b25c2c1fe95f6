"""The orders on disk: each is kept once, started once, and its end holds together with its section."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import order_book
from agent.config import Config, OrdersConfig
from agent.delivery import Ask
from agent.identity import Identity
from agent.job import Job
from agent.line import Line
from agent.log import Problems
from agent.metrics import Stats
from agent.orders import OrderDesk, Surroundings, names_files
from agent.packing import Packed, pack
from agent.spool import Spool
from probes.kit import options, registry
from tests.support.fake_collector import Authority
from tests.support.processes import wait_until
from tests.support.reports import host, measured, state
from wire.codec import decode, decompress
from wire.types import Order, Report, RunStatus, Section

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
    spool.within(partial(order_book.keep, ORDER, time.time() + 600))
    around = Surroundings(lambda: Config(orders=settings), unexpected, wake=lambda: None, deliver=lambda: None)
    identity = Identity("127.0.0.1", 1, "", "a1", ORDER.unit, "a school", "secret", 0.0)
    desk = OrderDesk(identity, spool, around, Stats(), Problems(), lambda: 0.5)
    desk.start_due(disturbed=False)
    try:
        wait_until(lambda: not spool.within(order_book.unfinished), "the order is over")
    finally:
        desk.stop()
    (section,) = sent(spool)
    assert (section.order, section.status) == ("o1", RunStatus.CANNOT_RUN)
    assert section.reason.startswith(f"not_accepted: {reason}")


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


def unexpected(_order: Order) -> Job:
    pytest.fail("it must not run")


def packed(section: Section, order: str = "") -> Packed:
    return pack(replace(section, order=order))


def sent(spool: Spool) -> list[Section]:
    batch = spool.seal(ENVELOPE)
    return list(decode(Report, decompress(spool.payload(batch.sequence))).sections)


def test_an_order_is_kept_once_started_once_and_remembered(spool: Spool) -> None:
    until = time.time() + 600
    assert spool.within(partial(order_book.keep, ORDER, until))
    assert not spool.within(partial(order_book.keep, ORDER, until))
    assert spool.within(order_book.unfinished) == [order_book.Entry(ORDER, until, started=False)]
    assert spool.within(partial(order_book.start, "o1"))
    assert not spool.within(partial(order_book.start, "o1"))
    assert spool.within(order_book.unfinished) == [order_book.Entry(ORDER, until, started=True)]
    assert spool.add(packed(state("scan/open_ports"), "o1"), partial(order_book.end, "o1"))
    assert spool.within(order_book.unfinished) == []
    assert not spool.within(partial(order_book.keep, ORDER, until)), "it was here already"
    assert not spool.within(partial(order_book.start, "o1"))


def test_what_is_over_is_forgotten_once_nobody_can_offer_it(spool: Spool) -> None:
    old = time.time() - 2 * order_book.MARGIN
    for ident in ("o1", "o2"):
        spool.within(partial(order_book.keep, replace(ORDER, id=ident), old))
    spool.within(partial(order_book.end, "o1"))
    assert spool.within(partial(order_book.keep, ORDER, old)), "forgotten, so it is new"
    assert len(spool.within(order_book.unfinished)) == 2, "what is not over stays, however old"


def test_the_end_is_on_disk_with_the_section_or_not_at_all(spool: Spool) -> None:
    spool.within(partial(order_book.keep, ORDER, 0.0))
    spool.within(partial(order_book.start, "o1"))

    def fail(_db: object) -> None:
        raise OSError("the disk says no")

    with pytest.raises(OSError, match="the disk says no"):
        spool.add(packed(state("scan/open_ports"), "o1"), fail)
    assert spool.waiting() == 0
    assert spool.within(order_book.unfinished)[0].started


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
            spool.within(partial(order_book.keep, ORDER, time.time()))
        elif step == "start":
            starts += spool.within(partial(order_book.start, "o1"))
        else:
            spool.within(partial(order_book.end, "o1"))
    spool.close()
    assert starts <= 1
