"""Who made the card behind a MAC."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.makers.read import Assigned
from probes.kit.makers.table import INSTALLED, Makers, Source, imported, installed, look_up, save

NAMES = {"70B3D5": "Wide", "70B3D5F": "Middle", "70B3D5F2F": "Narrow", "4419B6": "Cameras"}
SOURCE = Path("/usr/share/ieee-data/oui.csv")


def kept(folder: Path, name: str = "own", **names: str) -> tuple[Source, ...]:
    save(folder, name, Assigned(names or NAMES, 0))
    return imported(folder)


@pytest.mark.parametrize(
    ("mac", "name"),
    [
        ("70:b3:d5:f2:f0:01", "Narrow"),
        ("70:b3:d5:f2:e0:01", "Middle"),
        ("70:b3:d5:02:f0:01", "Wide"),
        ("70:b3:d4:f2:f0:01", None),
        ("44:19:b6:00:00:01", "Cameras"),
        ("46:19:b6:00:00:01", None),
        ("", None),
        ("44:19:b6", None),
        ("\x1b[2J", None),
    ],
)
def test_the_longest_prefix_decides(tmp_path: Path, mac: str, name: str | None) -> None:
    sources = kept(tmp_path)
    for makers in (look_up(sources), look_up(sources, [mac])):
        found = makers.of(mac)
        assert (found.name if found else None) == name


def test_an_invented_mac_and_a_group_have_no_maker_even_if_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("525400\tQEMU\n01005E\tIANA\n001122\tA\n")
    makers = look_up(imported(tmp_path))
    assert [makers.of(mac) for mac in ("52:54:00:12:34:56", "01:00:5e:00:00:01")] == [None, None]
    assert makers.of("00:11:22:00:00:01") is not None


def test_the_last_import_decides_between_equal_prefixes_and_the_longer_one_between_files(tmp_path: Path) -> None:
    save(tmp_path, "a", Assigned({"001122": "Newer", "AABBCC1": "No"}, 0))
    save(tmp_path, "b", Assigned({"001122": "Older", "0011223": "Longer"}, 0))
    for name, seconds in (("a", 2_000), ("b", 1_000)):
        os.utime(tmp_path / f"{name}.tsv", (seconds, seconds))
    makers = look_up(imported(tmp_path))
    newer, longer = makers.of("00:11:22:40:00:00"), makers.of("00:11:22:30:00:00")
    assert newer is not None
    assert longer is not None
    assert (newer.name, newer.source, longer.name, longer.source) == ("Newer", "a", "Longer", "b")


def test_evidence_and_confidence_are_said(tmp_path: Path) -> None:
    found = look_up(kept(tmp_path)).of("70:b3:d5:f2:f0:01")
    assert found is not None
    assert found.plain() == {
        "name": "Narrow", "prefix": "70:b3:d5:f2:f", "confidence": 0.5, "evidence": "mac_prefix", "source": "own",
    }  # fmt: skip


def test_a_name_is_looked_for_without_what_lies_within_and_is_anothers(tmp_path: Path) -> None:
    makers = look_up(kept(tmp_path))
    assert makers.named("WIDE") == ({"70B3D5"}, {"70B3D5F", "70B3D5F2F"})
    assert makers.named("narrow") == ({"70B3D5F2F"}, frozenset())
    assert makers.named("nobody") == (frozenset(), frozenset())


def test_damaged_files_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe\0\n4419B6\n\t\n4419B6\t \nZZ\tA\n# x\n" + b"4" * 5000)
    (tmp_path / "b.tsv").mkdir()
    (tmp_path / "c.tsv").symlink_to(tmp_path / "nowhere")
    assert look_up(imported(tmp_path), ["44:19:b6:00:00:01"]) == look_up(imported(tmp_path)) == Makers({})
    assert imported(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("name", [name for name, _ in INSTALLED])
def test_what_a_package_brought_is_used_as_it_is(name: str) -> None:
    files = tuple(map(Path, dict(INSTALLED)[name]))
    if not all(file.is_file() for file in files):
        pytest.skip(f"needs {files[0]}: apt-get install {name}")
    assert installed()[0].name in dict(INSTALLED)
    source, macs = Source(name, files), ("44:19:b6:00:00:01", "70:b3:d5:f2:f0:01", "08:00:30:00:00:01")
    some, every = look_up([source], macs), look_up([source])
    assert [some.of(mac) for mac in macs] == [every.of(mac) for mac in macs]
    camera, other, shared = map(every.of, macs)
    assert camera is not None
    assert "Hikvision" in camera.name
    assert shared is not None
    assert len(shared.name.split(" / ")) == 3
    if name != "nmap":  # which had the prefixes of 24 bits only, of 2022
        assert other is not None
        assert (other.name, len(other.prefix)) == ("TELEPLATFORMS", 9)


HEX = st.text("0123456789ABCDEF", min_size=2, max_size=12)


@given(st.dictionaries(HEX, st.sampled_from("ABC"), max_size=20), st.text("0123456789abcdef", min_size=12, max_size=12))
def test_some_or_all_lines_the_answer_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, names: dict[str, str], digits: str
) -> None:
    folder = tmp_path_factory.mktemp("some")
    mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    names |= {digits[:6].upper(): "Six"}
    sources = kept(folder, **names)
    found = look_up(sources, [mac]).of(mac)
    assert found == look_up(sources).of(mac)
    wanted = [names[prefix] for n in range(12, 1, -1) if (prefix := digits[:n].upper()) in names]
    assert (found.name if found else None) == (None if int(digits[1], 16) & 3 else wanted[0])
    for name in "ABC":
        mine, others = look_up(sources).named(name)
        assert not mine & others
