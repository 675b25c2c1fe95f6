"""The Recog reader: every entry loads or is named, every example matches, hostile files are refused whole."""

from pathlib import Path

import pytest

from probes.kit.fingerprint.match import by_key, fill, identify
from probes.kit.fingerprint.model import MAX_TEXT, FingerprintFileError
from probes.kit.fingerprint.recog import read_recog

pytest.importorskip("defusedxml")

# The operator's own copy of the data; it is neither part of the project nor shipped with it.
COPY = Path(__file__).resolve().parents[4] / "shared" / "data" / "recog"

SMALL = """<?xml version='1.0'?>
<fingerprints matches="ssh.banner" preference="0.90">
  <fingerprint pattern="^Widget_([\\d.]+)$">
    <description>Widget SSH</description>
    <example service.version="1.2">Widget_1.2</example>
    <param pos="0" name="service.product" value="Widget"/>
    <param pos="1" name="service.version"/>
    <param pos="0" name="service.cpe23" value="cpe:/a:acme:widget:{service.version}"/>
  </fingerprint>
  <fingerprint pattern="^broken("><description>Broken</description></fingerprint>
  <fingerprint pattern="x"><description>No such group</description><param pos="3" name="os.version"/></fingerprint>
  <fingerprint pattern="(?m)^a.b$" flags="REG_ICASE"><description>Dot spans lines</description></fingerprint>
</fingerprints>
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with two good entries and two faulty ones."""
    path = tmp_path / "ssh.xml"
    path.write_text(SMALL)
    return path


def test_faulty_entries_are_named_and_the_others_load(small: Path) -> None:
    loaded = read_recog(small)
    assert [fingerprint.title for fingerprint in loaded.fingerprints] == ["Widget SSH", "Dot spans lines"]
    assert [str(fault).split(":")[:2] for fault in loaded.faults] == [
        ["ssh.xml", " fingerprint 2 (Broken)"],
        ["ssh.xml", " fingerprint 3 (No such group)"],
    ]


def test_match_fills_placeholders_and_bounds_its_input(small: Path) -> None:
    widgets = by_key(read_recog(small).fingerprints)["ssh.banner"]
    found = identify(widgets, "Widget_4.5")
    assert found is not None
    assert found.says == {
        "service.product": "Widget",
        "service.version": "4.5",
        "service.cpe23": "cpe:/a:acme:widget:4.5",
    }
    assert found.certainty == 0.9
    assert identify(widgets, "x" * MAX_TEXT + "\nWidget_4.5") is None


def test_ruby_dot_matches_a_line_end(small: Path) -> None:
    spanning = read_recog(small).fingerprints[1]
    assert spanning.compiled().search("A\nB")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<fingerprints>",
        "<other/>",
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><fingerprints>&d;</fingerprints>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><fingerprints/>',
    ],
)
def test_hostile_files_are_refused_with_their_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evil.xml"
    path.write_text(text)
    with pytest.raises(FingerprintFileError, match=r"evil\.xml"):
        read_recog(path)


def test_an_example_file_outside_its_folder_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "smb.xml"
    path.write_text(
        '<fingerprints matches="k"><fingerprint pattern="x"><description>Out</description>'
        '<example _filename="../../secret"/></fingerprint></fingerprints>'
    )
    loaded = read_recog(path)
    assert loaded.fingerprints == ()
    assert "outside" in loaded.faults[0].reason.en


@pytest.mark.skipif(not COPY.is_dir(), reason="no copy of the Recog data beside the project")
def test_every_pattern_of_the_data_loads_and_every_example_matches() -> None:
    loaded = read_recog(COPY)
    assert len(loaded.fingerprints) > 4000
    assert loaded.faults == ()
    wrong = []
    for fingerprint in loaded.fingerprints:
        for example in fingerprint.examples:
            found = fingerprint.compiled().search(example.text)
            said = fill(fingerprint.says, found) if found else {}
            if found is None or any(said.get(name, "") != value for name, value in example.says.items()):
                wrong.append((fingerprint.source, fingerprint.title, example))
    assert wrong == []
