"""Whoever types what nmap takes is told what does the same here, before anything is taken for a file or a target."""

import pytest

from edusec.scan.request.nmap_flags import INSTEAD
from tests.edusec.run_cli import edusec
from tests.support.languages import CHINESE
from tests.support.repository import ROOT


def test_flags_of_nmap_are_answered_with_ours() -> None:
    done = edusec("scan", "-sV", "-T4", "-oX", "scan.xml", "127.0.0.1")
    assert (done.returncode, done.stdout) == (2, "")
    first, second, third = done.stderr.splitlines()
    assert first.startswith("edusec: -sV is nmap's: ")
    assert (second.partition(":")[0], third) == ("-T is nmap's", "-oX is nmap's: -o FILE.xml")


@pytest.mark.parametrize("word", ["-Taggressive", "--script=vuln", "-oX"])
def test_each_in_both_languages(word: str) -> None:
    zh, en = (edusec("--lang", lang, "scan", word, "127.0.0.1", "--dry-run") for lang in ("zh", "en"))
    assert (zh.returncode, en.returncode, zh.stdout, en.stdout) == (2, 2, "", "")
    assert "是 nmap 的选项" in zh.stderr
    assert not CHINESE.search(en.stderr)


def test_the_handbook_has_them_all() -> None:
    said = (ROOT / "docs" / "scanning.md").read_text(encoding="utf-8")
    assert [flag for flag in INSTEAD if f"`{flag}`" not in said] == []


def test_what_is_written_as_in_nmap_is_taken() -> None:
    done = edusec("scan", "-p22,80", "--exclude", "127.0.0.2", "127.0.0.1-2", "--dry-run")
    assert done.returncode == 0
