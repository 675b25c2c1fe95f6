"""Operators' files: written whole or not at all, and never where a stranger's link leads."""

import os
from pathlib import Path

import pytest

from edusec.exits import Stop
from edusec.local.files import make_private, write_atomically
from edusec.scan.store.journal import Journal, unfinished
from edusec.scan.store.results import last

STRANGER = 12_345


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder like /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to somebody else")
def test_a_strangers_link_in_a_shared_folder_is_not_followed(shared: Path, tmp_path: Path) -> None:
    victim, link, own = tmp_path / "victim", shared / "scan.csv", tmp_path / "own.csv"
    victim.write_text("kept")
    link.symlink_to(victim)
    own.symlink_to(link)
    os.lchown(link, STRANGER, STRANGER)
    for name in (link, own):
        with pytest.raises(Stop, match="somebody else"):
            write_atomically(name, b"new")
    assert victim.read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to somebody else")
def test_a_strangers_file_in_a_shared_folder_is_no_store_of_scans(shared: Path) -> None:
    file = shared / "scans.db"
    Journal(file, "id", "2026-01-01", {})
    assert [item.id for item in unfinished(file)] == ["id"]
    os.chown(file, STRANGER, STRANGER)
    for use in (lambda: unfinished(file), lambda: last(file), lambda: Journal(file, "id", "", {})):
        with pytest.raises(Stop, match="somebody else"):
            use()


def test_ones_own_links_lead_to_the_file_and_stay(shared: Path, tmp_path: Path) -> None:
    (shared / "link").symlink_to("../real.csv")
    write_atomically(shared / "link", b"first")
    write_atomically(shared / "link", b"second")
    assert (shared / "link").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"second"
    assert list(shared.iterdir()) == [shared / "link"]


def test_links_in_a_circle_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(Stop, match="circle"):
        write_atomically(tmp_path / "one", b"x")


def test_what_is_kept_of_scans_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "scans.db"
    make_private(file)
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    file.write_text("kept")
    make_private(file)
    assert file.read_text() == "kept"
