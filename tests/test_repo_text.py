"""What is committed holds no trace of the machine it was written on and reads the same everywhere."""

import os
import re

from tests.support.repository import ROOT, files

# Written in pieces, so that this file does not find itself.
_MACHINE = re.compile(
    "|".join(
        [
            r"(?<![\w.])/work" + r"/(main|shared)",
            r"/tmp" + r"/team",
            r"(?<![\w.])/root" + r"/",
            r"(?<![\w.])/home" + r"/\w+/",
            r"/opt" + r"/(pypi|wheels)",
            r"pypi" + r"\.org|pythonhosted" + r"\.org",
            r"--(extra-)?index" + r"-url|--find" + r"-links|--trusted" + r"-host",
        ]
    )
)
# Options that keep an index out of the lock files have to name it.
_ALLOWED = {"scripts/lock": {"--index" + "-url", "--find" + "-links", "--trusted" + "-host"}}
_LARGEST = 400_000  # bytes; what is larger belongs in a release, not in the checkout


def _texts() -> list[tuple[str, str]]:
    return [(str(path.relative_to(ROOT)), path.read_bytes().decode("utf-8")) for path in files()]


def test_no_machine_path_or_package_host_is_committed() -> None:
    found = [
        f"{name}:{number}: {hit[0]}"
        for name, text in _texts()
        for number, line in enumerate(text.splitlines(), start=1)
        for hit in _MACHINE.finditer(line)
        if hit[0] not in _ALLOWED.get(name, ())
    ]
    assert found == []


def test_text_files_end_with_one_newline_and_have_unix_line_ends() -> None:
    assert [name for name, text in _texts() if text and (not text.endswith("\n") or text.endswith("\n\n"))] == []
    assert [name for name, text in _texts() if "\r\n" in text] == []


def test_files_are_small() -> None:
    assert [str(path.relative_to(ROOT)) for path in files() if path.stat().st_size > _LARGEST] == []


def test_scripts_can_be_run() -> None:
    scripts = [path for path in files() if path.read_bytes().startswith(b"#!")]
    assert scripts
    assert [str(path.relative_to(ROOT)) for path in scripts if not os.access(path, os.X_OK)] == []
