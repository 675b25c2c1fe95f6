"""The spool: durable when `add` returns, capped, and never losing what it must keep."""

from dataclasses import replace
from pathlib import Path

from agent.spool.packing import pack
from agent.spool.sections import MAX_SECTIONS, MIN_BYTES
from tests.agent.spool.spools import TEMPLATE, deliver, report, spool
from tests.support.sections import section
from wire.types import MAX_REPORT_BYTES, RunStatus, ScopeEntry, SectionKind

MEASUREMENT = SectionKind.MEASUREMENT


def test_a_section_survives_a_new_start(place: Path) -> None:
    made = section(text="kept \u4e2d\u6587")
    with spool(place) as opened:
        assert opened.add(pack(made))
        name = opened.id
    with spool(place) as opened:
        assert opened.id == name
        sent = deliver(opened)
        assert sent.sections == (made,)
        assert (sent.spool, sent.sequence, sent.agent) == (name, 1, "agent-1")
        assert opened.counts().sections == 0


def test_a_sealed_batch_keeps_its_bytes(place: Path) -> None:
    entry = ScopeEntry("10.0.0.0/8", "someone", "a test", None)
    with spool(place) as opened:
        opened.add(pack(section("a")))
        first = opened.seal(replace(TEMPLATE, scope=(entry,), policy="p1"))
        payload = opened.payload(first.sequence)
        opened.add(pack(section("b")))
    with spool(place) as opened:
        again = opened.seal(replace(TEMPLATE, created=1_600_000_000.0))
        assert again == first
        assert opened.payload(again.sequence) == payload
        assert report(opened, again.sequence).scope == (entry,)
        opened.acknowledge(again.sequence)
        second = opened.seal(TEMPLATE)
        assert second.sequence == first.sequence + 1
        assert second.batch != first.batch


def test_a_heartbeat_is_a_batch_without_sections(place: Path) -> None:
    with spool(place) as opened:
        assert deliver(opened).sections == ()
        assert deliver(opened).sequence == 2


def test_an_unchanged_state_travels_as_its_digest(place: Path) -> None:
    made = section("ports", port=22)
    later = section("ports", port=22, time=1_800_000_300.0)
    with spool(place) as opened:
        opened.add(pack(made))
        assert deliver(opened).sections == (made,)
        opened.add(pack(later))
        assert deliver(opened).sections == (replace(later, body=None),)
        changed = section("ports", port=23)
        opened.add(pack(changed))
        opened.add(pack(later))
        # The collector knows `changed` last by then, so the older digest does not stand for anything any more.
        assert deliver(opened).sections == (changed, later)
        opened.add(pack(later))
        assert deliver(opened).sections == (replace(later, body=None),)


def test_the_first_two_of_a_batch_both_travel_whole(place: Path) -> None:
    one, two = section("ports"), section("ports", time=1_800_000_300.0)
    with spool(place) as opened:
        opened.add(pack(one))
        opened.add(pack(two))
        assert deliver(opened).sections == (one, two)


def test_a_measurement_always_travels_whole(place: Path) -> None:
    made = section("vitals", kind=MEASUREMENT)
    with spool(place) as opened:
        for _ in range(3):
            opened.add(pack(made))
            assert deliver(opened).sections == (made,)


def test_an_unknown_digest_travels_whole_under_a_new_key(place: Path) -> None:
    made = section("ports")
    with spool(place) as opened:
        for name in ("ports", "names"):
            opened.add(pack(section(name)))
        deliver(opened)
        for name in ("ports", "names"):
            opened.add(pack(section(name)))
        batch = opened.seal(TEMPLATE)
        assert (batch.sections, batch.whole) == (2, 0)
        opened.release(batch.sequence, forget=("ports",))
        second = opened.seal(TEMPLATE)
        assert second.sequence > batch.sequence
        assert report(opened, second.sequence).sections == (made, replace(section("names"), body=None))
        opened.release(second.sequence, forget=None)
        assert opened.seal(TEMPLATE).whole == 2


def test_a_conflict_gives_the_spool_another_name(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section()))
        batch = opened.seal(TEMPLATE)
        old = opened.id
        new = opened.rename(batch.sequence)
        assert new != old
        assert report(opened, opened.seal(TEMPLATE).sequence).spool == new
    with spool(place) as opened:
        assert opened.id == new


def test_what_is_set_aside_is_kept_and_counted_until_reconsidered(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section("poison")))
        assert opened.set_aside(opened.seal(TEMPLATE).sequence, "bad_request: no") == ("poison",)
        assert (opened.counts().aside, opened.counts().sections) == (1, 0)
        assert deliver(opened).sections == ()
    with spool(place) as opened:
        assert opened.reconsider() == 1
        assert [item.name for item in deliver(opened).sections] == ["poison"]


def test_a_batch_stays_within_its_bounds(place: Path) -> None:
    with spool(place, 64 << 20) as opened:
        for number in range(40):
            opened.add(pack(section(f"t{number}", filler=60_000)))
        sizes = []
        while opened.free_sections():
            batch = opened.seal(TEMPLATE)
            sizes.append(len(opened.payload(batch.sequence)))
            opened.acknowledge(batch.sequence)
        assert len(sizes) > 1
        assert max(sizes) <= MAX_REPORT_BYTES
        for number in range(300):
            opened.add(pack(section(f"t{number}")))
        assert opened.seal(TEMPLATE, max_sections=1000).sections == MAX_SECTIONS


def test_one_section_always_fits(place: Path) -> None:
    with spool(place, 64 << 20) as opened:
        opened.add(pack(section(filler=100_000)))
        assert opened.seal(TEMPLATE, max_sections=1, max_bytes=10).sections == 1


def test_the_oldest_measurement_goes_first(place: Path) -> None:
    with spool(place) as opened:
        first = pack(section("vitals", kind=MEASUREMENT, filler=600_000, n=0))
        fits = MIN_BYTES // (len(first.body) + 1000)
        opened.add(pack(section("ports")))
        for number in range(fits + 3):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=600_000, n=number)))
        dropped = opened.counts().dropped
        assert dropped >= 3
        kept = []
        while opened.free_sections():
            kept += deliver(opened).sections
        assert kept[0].name == "ports"
        assert [item.body.observations[0].values["n"] for item in kept[1:] if item.body] == list(
            range(dropped, fits + 3)
        )


def test_drops_are_counted_for_good_and_reported(place: Path) -> None:
    with spool(place) as opened:
        for _ in range(12):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=600_000)))
        dropped = opened.counts().dropped
        assert dropped > 0
        assert deliver(opened).dropped == dropped
    with spool(place) as opened:
        assert opened.counts().dropped == dropped


def test_a_failed_run_never_replaces_a_picture(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section("ports", filler=700_000)))
        opened.add(pack(section("ports", status=RunStatus.CRASHED)))
        for _ in range(10):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=600_000)))
        names = [item.status for _ in range(20) for item in deliver(opened).sections if item.name == "ports"]
        assert names == [RunStatus.DONE, RunStatus.CRASHED]
