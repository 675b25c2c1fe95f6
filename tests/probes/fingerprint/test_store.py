"""Imported fingerprints are kept whole, and a damaged file is refused with its line."""

from pathlib import Path

import pytest

from probes.kit.fingerprint.model import FingerprintFileError
from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.fingerprint.own import built_in
from probes.kit.fingerprint.store import Imported, load, save
from wire.types import Transport

PROBE_LINE = '{"probe":{"name":"x","transport":"tcp","payload":"","ports":[],"rarity":1e999,"fallback":[]}}'
PROBE = ServiceProbe("Ask", Transport.TCP, b"\x00\xffask\r\n", ports=((1, 2),), rarity=3, fallback=("NULL",))


def test_what_is_saved_comes_back_without_its_examples(tmp_path: Path) -> None:
    path = tmp_path / "data" / "own.jsonl"
    save(path, Imported(built_in(), (PROBE,)))
    back = load([path])
    assert back.probes == (PROBE,)
    assert [(item.key, item.pattern, item.says, item.certainty) for item in back.fingerprints] == [
        (item.key, item.pattern, item.says, item.certainty) for item in built_in()
    ]
    assert all(item.compiled() for item in back.fingerprints)
    assert [entry.name for entry in path.parent.iterdir()] == ["own.jsonl"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "{}"),
        (1, '{"schema":"other/1"}'),
        (2, "["),
        (2, '{"fingerprint":{"key":1}}'),
        (2, "{}"),
        (2, "[" * 9999),
        (2, PROBE_LINE),
    ],
)
def test_a_damaged_file_is_refused_with_file_and_line(tmp_path: Path, line: int, text: str) -> None:
    path = tmp_path / "bad.jsonl"
    save(path, Imported(built_in()[:1]))
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(FingerprintFileError, match=rf"bad\.jsonl:{line}: "):
        load([path])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FingerprintFileError, match=r"nowhere\.jsonl"):
        load([tmp_path / "nowhere.jsonl"])
