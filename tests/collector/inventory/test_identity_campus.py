"""Identity over many reports: whatever the order, the leases and the corrections, a device is one asset, and alone."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ingest.corrections import merge_assets, split_asset
from tests.support.campus import Campus, Kind, live
from tests.support.collectors import INTERVAL, OTHER_SCHOOL, SCHOOL, Desk, desk
from tests.support.reports import covers, host, service, state
from wire.types import Observation, Section

AREA = covers("10.0.0.0/24")


@contextmanager
def _new_desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder, desk(Path(folder)) as made:
        yield made


def _mac(number: int, *, invented: bool = False) -> str:
    return f"{'da:a1:19' if invented else '00:16:3e'}:00:00:{number:02x}"


def _shown(made: Desk, unit: str) -> list[tuple[object, ...]]:
    return sorted(
        (asset.addresses, asset.macs, asset.presence, asset.first_seen, *((a.address, a.port, a.state) for a in ports))
        for asset in made.assets(under=unit)
        for ports in (sorted(asset.services, key=lambda found: (found.address, found.port)),)
        if asset.addresses or asset.macs
    )


@pytest.mark.parametrize("seed", [3, 4])
def test_on_a_campus_only_what_cannot_be_told_apart_is_taken_for_one(tmp_path: Path, seed: int) -> None:
    campus = Campus(60, seed)
    with desk(tmp_path) as made:
        found = live(campus, made, 20)
    kinds = {device.number: device.kind for device in campus.devices}
    # Behind a router, alike in all that they show, and their leases move: nobody can tell which is which.
    assert {kinds[number] for devices in found.mixed().values() for number in devices} <= {Kind.FAR_CLONE}
    for kind in (Kind.DESKTOP, Kind.LAB, Kind.PHONE, Kind.PRINTER, Kind.CAMERA, Kind.SERVER, Kind.VM):
        pairs = found.pairs({number for number, of in kinds.items() if of is kind})
        assert (kind, pairs.precision, pairs.recall) == (kind, 1.0, 1.0)
    assert found.pairs().precision > 0.98


_ORDERS = st.permutations(range(6))


def _sections(devices: int) -> list[list[Observation]]:
    """What six tasks see of dual-stack hosts: one MAC at both addresses, one key at both, both, or an address only."""
    both = [(number, f"10.0.0.{number}", f"2001:db8::{number}") for number in range(1, devices + 1)]
    with_mac = [item for item in both if item[0] % 3 != 1]
    with_key = [item for item in both if item[0] % 3 != 2]
    return [
        [host(name, mac=_mac(number)) for number, *names in with_mac for name in names],
        [service(name, 22, hostkey=f"sha256:{number:043d}") for number, *names in with_key for name in names],
        [service(four, 80) for _, four, _ in both],
        [service(six, 443) for _, _, six in both],
        [host(six) for _, _, six in both],
        [host(four, hostname=f"pc-{number}") for number, four, _ in both],
    ]


@settings(max_examples=10)
@given(_ORDERS)
def test_the_order_of_reports_changes_nothing(order: list[int]) -> None:
    with _new_desk() as made:
        agent, sections = made.agent(), _sections(6)
        for number in [*order, *order]:
            at = made.clock.forward(INTERVAL)
            made.send(agent, state(f"task {number}", *sections[number], AREA, at=at))
        assert sorted((asset.addresses, asset.macs) for asset in made.assets()) == sorted(
            ((f"10.0.0.{number}", f"2001:db8::{number}"), (_mac(number),) if number % 3 != 1 else ())
            for number in range(1, 7)
        )


def _churn(seed: int, rounds: int) -> list[list[tuple[int, str]]]:
    """Which device holds which address, round by round: six devices, seven addresses, leases move freely."""
    chance = random.Random(seed)
    found = []
    for _ in range(rounds):
        there = chance.sample(range(6), chance.randint(3, 6))
        addresses = chance.sample(range(1, 8), len(there))
        found.append([(number, f"10.0.0.{address}") for number, address in zip(there, addresses, strict=True)])
    return found


def _looks(leases: list[tuple[int, str]], at: float) -> tuple[Section, Section]:
    """Discovery, which sees MACs (every other one invented) and names, and a scan of ports, which sees neither."""
    known = (
        host(name, mac=_mac(number, invented=bool(number % 2)), hostname=f"pc-{number}") for number, name in leases
    )
    ports = (service(name, 22 if number % 3 else 80) for number, name in leases)
    return state("discovery", *known, AREA, at=at), state("ports", *ports, AREA, at=at)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_leases_that_move_join_nobody(seed: int) -> None:
    with _new_desk() as made:
        agent = made.agent()
        for leases in _churn(seed, 8):
            at = made.clock.forward(INTERVAL)
            made.send(agent, *_looks(leases, at))
            held = {name: asset.macs for asset in made.assets() for name in asset.addresses}
            assert {name: held[name] for _, name in leases} == {
                name: (_mac(number, invented=bool(number % 2)),) for number, name in leases
            }
        assert len({asset.macs for asset in made.assets()}) == len(made.assets())


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 4), st.data())
def test_a_merge_taken_back_leaves_what_never_merging_leaves(seed: int, early: int, data: st.DataObject) -> None:
    with _new_desk() as made:
        agents = [made.agent(unit) for unit in (SCHOOL, OTHER_SCHOOL)]
        for number, leases in enumerate(_churn(seed, 7)):
            at = made.clock.forward(INTERVAL)
            for agent in agents:
                made.send(agent, *_looks(leases, at))
            if number == early:
                known = sorted((asset.macs, asset.id) for asset in made.assets(under=SCHOOL))
                (_, old), (_, new) = data.draw(st.permutations(known))[:2]
                merge_assets(made.core, made.admin, old, new, "x")
                split_asset(made.core, made.admin, old, "x")
        assert _shown(made, SCHOOL) == _shown(made, OTHER_SCHOOL)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.permutations(range(6)), st.booleans())
def test_what_a_person_joined_or_took_apart_stays_so_while_leases_move(
    seed: int, order: list[int], taken_apart: bool
) -> None:
    """Two devices that a person joined are one wherever they turn up; two that were taken apart never are."""
    one, other = order[:2]
    with _new_desk() as made:
        agent = made.agent()
        everybody = [(number, f"10.0.0.{number + 1}") for number in range(6)]
        made.send(agent, *_looks(everybody, made.clock.forward(INTERVAL)))
        old, new = (made.asset(f"mac:{_mac(number, invented=bool(number % 2))}").id for number in (one, other))
        merge_assets(made.core, made.admin, old, new, "both cards of one server")
        if taken_apart:
            split_asset(made.core, made.admin, old, "two after all")
        for leases in _churn(seed, 6):
            made.send(agent, *_looks(leases, made.clock.forward(INTERVAL)))
            held = {name: asset.id for asset in made.assets() for name in asset.addresses}
            for number, name in leases:
                if number in (one, other):
                    assert held[name] == (old if taken_apart and number == one else new)
