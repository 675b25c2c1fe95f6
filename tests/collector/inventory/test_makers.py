"""The makers of network cards, in the lists and searches of assets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import BadInput
from collector.inventory.lists.assets import show_asset
from collector.inventory.lists.search import MAX_PREFIXES
from probes.kit.makers import table
from probes.kit.makers.read import Assigned
from tests.support.collectors import START, Clock, Desk, desk
from tests.support.reports import covers, host, state

OWN = {"4419B6": "Hangzhou Hikvision", "001122": "Zzwide", "001122334": "Zznarrow & Co", "00163E": "Xen"}
CAMERA, NARROW, WIDE, PHONE = "44:19:b6:00:00:01", "00:11:22:33:40:01", "00:11:22:33:50:01", "46:19:b6:00:00:01"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    table.save(tmp_path / "makers", "own", Assigned(OWN, 0))
    return tmp_path / "makers"


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, clock: Clock, folder: Path) -> Iterator[Desk]:
    with desk(tmp_path, clock=clock, makers=folder) as made:
        cards = (CAMERA, NARROW, WIDE, PHONE)
        hosts = [host(f"10.1.0.{n}", mac=mac) for n, mac in enumerate(cards, 1)]
        made.send(made.agent(), state("hosts", *hosts, host("10.1.0.9"), covers("10.1.0.0/24"), at=START))
        yield made


def test_assets_name_the_makers_of_their_cards(desk: Desk) -> None:
    shown = {asset.addresses[0]: [maker.name for maker in asset.makers] for asset in desk.assets()}
    assert shown == {
        "10.1.0.1": ["Hangzhou Hikvision"],
        "10.1.0.2": ["Zznarrow & Co"],
        "10.1.0.3": ["Zzwide"],
        "10.1.0.4": [],
        "10.1.0.9": [],
    }
    (camera,) = desk.assets("maker:hikvision")
    (maker,) = show_asset(desk.core, desk.admin, camera.id).makers
    assert (maker.prefix, maker.evidence, maker.confidence, maker.source) == ("44:19:b6", "mac_prefix", 0.5, "own")


@pytest.mark.parametrize(
    ("q", "last"),
    [
        ("maker:HIKVISION", [1]),
        ("maker:ZZwide", [3]),  # what lies within is another's
        ("maker:zznarrow", [2]),
        ("maker:zz", [2, 3]),
        ("maker:hangzhou maker:hikvision", [1]),
        ("maker:hangzhou maker:zzwide", []),
        ("maker:hikvision ip:10.1.0.2", []),
        ("maker:xen", []),
        ("maker:%", []),
        ("maker:nobody-at-all", []),
    ],
)
def test_a_search_by_maker_goes_by_the_longest_prefix(desk: Desk, q: str, last: list[int]) -> None:
    assert sorted(int(asset.addresses[0].rpartition(".")[2]) for asset in desk.assets(q)) == last


def test_a_maker_is_no_evidence_of_who_a_device_is(desk: Desk) -> None:
    evidence = [item for asset in desk.assets() for item in show_asset(desk.core, desk.admin, asset.id).evidence]
    assert {item.kind for item in evidence} == {"address", "mac", "local_mac"}


def test_what_is_imported_later_is_shown_without_a_restart(desk: Desk, folder: Path) -> None:
    table.save(folder, "own", Assigned({"4419B6": "Renamed"}, 0))
    os.utime(folder / "own.tsv", (START, START))
    assert [maker.name for asset in desk.assets("ip:10.1.0.1") for maker in asset.makers] == ["Renamed"]
    assert not desk.assets("maker:hikvision")


def test_a_search_that_fits_too_many_makers_is_refused(desk: Desk, folder: Path) -> None:
    many = {f"{number * 4:06X}": "Common" for number in range(MAX_PREFIXES + 1)}
    table.save(folder, "many", Assigned(many, 0))
    with pytest.raises(BadInput, match="write more of the name"):
        desk.assets("maker:common")
    few = {f"{number * 4:06X}": "Large Maker" for number in range(MAX_PREFIXES // 2)}
    table.save(folder, "many", Assigned(few | {"4419B6": "Large Maker"}, 0))
    assert [asset.addresses[0] for asset in desk.assets("maker:large")] == ["10.1.0.1"]


def test_without_a_list_a_search_says_so_instead_of_finding_nothing(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own.tsv").unlink()
    monkeypatch.setattr(table, "INSTALLED", ())
    with pytest.raises(BadInput, match="no list of MAC prefixes"):
        desk.assets("maker:hikvision")
    assert not any(asset.makers for asset in desk.assets())
