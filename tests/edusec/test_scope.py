"""`edusec scope`: who authorised what until when, kept in a file that others may not write."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.edusec.run_cli import edusec, json_lines

TODAY = datetime.now(UTC).date()


def _add(value: str, *, until: date = TODAY + timedelta(30), extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    return (
        "scope",
        "add",
        value,
        "--authoriser",
        "张三 信息科长",
        "--reason",
        "教网〔2026〕12号",
        "--until",
        f"{until}",
        *extra,
    )


def test_this_machine_is_in_scope_from_the_start() -> None:
    entries = json_lines(edusec("scope", "list", "--json"))
    assert [(entry["value"], entry["until"], entry["expired"]) for entry in entries] == [
        ("127.0.0.0/8", None, False),
        ("::1/128", None, False),
    ]
    assert {entry["schema"] for entry in entries} == {"edusec.scope-entry/1"}


def test_an_entry_is_added_renewed_listed_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "scope.toml"
    env = {"EDUSEC_SCOPE": str(file)}
    assert edusec(*_add("198.18.0.0/24", extra=("--ports", "22,80")), env=env).returncode == 0
    renewed = edusec(*_add("198.18.0.0/24", until=TODAY + timedelta(60), extra=("--ports", "22,80")), env=env)
    assert renewed.returncode == 0
    assert str(TODAY + timedelta(60)) in renewed.stdout
    added = [entry for entry in json_lines(edusec("scope", "list", "--json", env=env)) if entry["until"]]
    assert [(entry["value"], entry["ports"], entry["authoriser"], entry["until"]) for entry in added] == [
        ("198.18.0.0/24", "22,80", "张三 信息科长", str(TODAY + timedelta(60)))
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    table = edusec("scope", "list", "--lang", "zh", env=env).stdout
    assert "教网〔2026〕12号" in table
    assert edusec("scope", "remove", "198.18.0.0/24", env=env).returncode == 0
    assert len(json_lines(edusec("scope", "list", "--json", env=env))) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (_add("198.18.0.1/24"), "198.18.0.0/24"),
        (_add("0.0.0.0/0"), "too large"),
        (_add("not a name"), "value"),
        (_add("198.18.0.0/24", until=TODAY - timedelta(1)), "past"),
        (_add("198.18.0.0/24", until=TODAY + timedelta(500)), "400"),
        (_add("198.18.0.0/24", extra=("--ports", "0-99999")), "ports"),
        (("scope", "add", "198.18.0.0/24", "--authoriser", " ", "--reason", "x", "--until", f"{TODAY}"), "authoriser"),
        (("scope", "add", "198.18.0.0/24", "--authoriser", "a", "--reason", "x", "--until", "soon"), "soon"),
        (("scope", "remove", "203.0.113.0/24"), "203.0.113.0/24"),
        (("scope", "remove", "::1/128"), "this machine"),
    ],
)
def test_what_cannot_be_authorised_says_why_and_changes_nothing(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "scope.toml"
    done = edusec(*words, "--scope", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not file.exists()


def test_a_file_that_others_may_write_authorises_nothing(tmp_path: Path) -> None:
    file = tmp_path / "scope.toml"
    edusec(*_add("198.18.0.0/24"), "--scope", file)
    file.chmod(0o666)
    done = edusec("scan", "198.18.0.1", "--scope", file)
    assert done.returncode == 2
    assert f"chmod 600 {file}" in done.stderr


def test_a_broken_file_names_file_entry_and_field(tmp_path: Path) -> None:
    file = tmp_path / "scope.toml"
    file.write_text('[[entry]]\nvalue = "198.18.0.0/24"\nauthoriser = "a"\nreason = "b"\nuntil = "tomorrow"\n')
    file.chmod(0o600)
    done = edusec("scope", "list", "--scope", file)
    assert done.returncode == 2
    assert f"{file}: entry 1: until" in done.stderr
