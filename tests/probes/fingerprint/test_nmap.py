"""The reader of an installed nmap's service probes."""

import re
from pathlib import Path

import pytest

from probes.kit.fingerprint.match import identify
from probes.kit.fingerprint.model import FingerprintFileError
from probes.kit.fingerprint.nmap import read_nmap, unescape

INSTALLED = Path("/usr/share/nmap/nmap-service-probes")

SMALL = r"""# comment
Exclude T:9100-9107
Probe TCP NULL q||
ports 21,22
totalwaitms 6000
match ssh m|^SSH-([\d.]+)-Widget_([\w._-]+)\r?\n|i p/Widget/ v/$SUBST(2,"_",".")/ i/v$1/ o/Linux/ cpe:/a:acme:w:$2/a
softmatch ftp m=^220 .*\0= p/Some $P(1)/
match odd m/(unclosed/
match broken m|x
Probe UDP Ask q|\x00\x01a\n\\|
rarity 4
fallback NULL
unknown 3
match ask m|^(..)\z|s v/$I(1,">")/
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with good and faulty lines."""
    path = tmp_path / "probes"
    path.write_text(SMALL)
    return path


def test_good_lines_load_and_faulty_ones_are_named(small: Path) -> None:
    read = read_nmap(small)
    assert [(probe.name, probe.transport, probe.payload, probe.rarity) for probe in read.probes] == [
        ("NULL", "tcp", b"", 5),
        ("Ask", "udp", b"\0\x01a\n\\", 4),
    ]
    assert [fault.where.en for fault in read.faults] == ["line 7", "line 8", "line 9", "line 13"]


def test_a_match_says_product_version_and_cpe(small: Path) -> None:
    widget = read_nmap(small).probes[0].fingerprints
    found = identify(widget, "SSH-2.0-widget_1_2\r\n")
    assert found is not None
    assert found.says == {
        "service.name": "ssh",
        "service.product": "Widget",
        "service.version": "1.2",
        "service.info": "v2.0",
        "os.product": "Linux",
        "service.cpe23": "cpe:/a:acme:w:1_2",
    }


def test_a_number_of_bytes_is_read(small: Path) -> None:
    found = identify(read_nmap(small).probes[1].fingerprints, "\x01\x02")
    assert found is not None
    assert found.says["service.version"] == "258"


def test_unescape_keeps_unknown_escapes_as_they_are() -> None:
    assert unescape(r"\r\n\x41\|\0") == b"\r\nA|\0"


@pytest.mark.parametrize("text", ["", "# nothing\n", "match a m|b|\n"])
def test_what_is_no_probe_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(FingerprintFileError, match=re.escape(str(path))):
        read_nmap(path)


@pytest.mark.skipif(not INSTALLED.is_file(), reason="nmap is not installed (Debian package: nmap)")
def test_every_line_of_the_installed_file_loads() -> None:
    read = read_nmap(INSTALLED)
    assert list(map(str, read.faults)) == []
    assert len(read.probes) > 100
    assert sum(len(probe.fingerprints) for probe in read.probes) > 10_000
