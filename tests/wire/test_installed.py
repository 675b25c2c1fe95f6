"""The command that adds an optional part, tried on installations as pip leaves them."""

import shlex
import sys
from pathlib import Path

import pytest

from wire.installed import command_for
from wire.version import VERSION


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (None, [f"edusec[raw]=={VERSION}"]),
        ('{"url": "file:///srv/our%20tools/edusec", "dir_info": {}}', ["/srv/our tools/edusec[raw]"]),
        ('{"url": "file:///srv/edusec", "dir_info": {"editable": true}}', ["-e", "/srv/edusec[raw]"]),
        (
            '{"url": "file:///srv/edusec-1-py3-none-any.whl", "archive_info": {}}',
            ["edusec[raw] @ file:///srv/edusec-1-py3-none-any.whl"],
        ),
        ("no JSON", [f"edusec[raw]=={VERSION}"]),
    ],
)
def test_an_optional_part_comes_from_where_all_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str | None, words: list[str]
) -> None:
    installed = tmp_path / "edusec-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: edusec\nVersion: 1\n", encoding="utf-8")
    if origin is not None:
        (installed / "direct_url.json").write_text(origin, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert shlex.split(command_for("raw")) == [sys.executable, "-m", "pip", "install", *words]
