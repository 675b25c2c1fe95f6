"""Enrolment: the token names the CA, the secret goes only to what that CA vouches for, and a token is never wasted."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent import state
from agent.errors import EnrolmentError, StateError, Unreachable
from agent.uplink import identity
from agent.uplink.enrol import enrol, parse_token
from agent.uplink.identity import Identity, parse_url
from tests.support.fake_collector import SECRET, UNIT, Authority, FakeCollector, make_authority, running


def test_a_token_becomes_an_identity(collector: FakeCollector, folder: Path) -> None:
    made = enrol(folder, collector.url, f" {collector.authority.token}\n", name="gateway-7")
    assert identity.load(folder) == made
    assert made.unit == UNIT
    assert made.url == collector.url
    assert collector.store.enrolments[0].name == "gateway-7"
    assert collector.store.enrolments[0].software.startswith("edusec/")
    assert stat.S_IMODE((folder / state.IDENTITY).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_secret_never_goes_to_a_stranger(
    authority: Authority, tmp_path: Path, folder: Path, free_port: Callable[..., int]
) -> None:
    stranger = make_authority(tmp_path)
    with running(stranger, free_port()) as collector:
        with pytest.raises(EnrolmentError, match="not the one that the token names"):
            enrol(folder, collector.url, authority.token)
        assert collector.store.paths == ["/api/v1/ca"]


def test_a_server_that_shows_the_right_ca_but_is_not_under_it_gets_nothing(
    authority: Authority, tmp_path: Path, folder: Path, free_port: Callable[..., int]
) -> None:
    thief = replace(make_authority(tmp_path), ca=authority.ca)
    with running(thief, free_port()) as collector:
        with pytest.raises(Unreachable, match="not the collector"):
            enrol(folder, collector.url, authority.token)
        assert collector.store.enrolments == []


def test_another_name_than_the_certificates_is_not_trusted(collector: FakeCollector, folder: Path) -> None:
    with pytest.raises(Unreachable, match="not the collector"):
        enrol(folder, f"https://localhost:{collector.port}", collector.authority.token)


@pytest.mark.parametrize(("days", "said"), [((1, 30), "is not valid yet"), ((-30, -1), "has expired")])
def test_a_wrong_clock_is_named(
    days: tuple[int, int], said: str, tmp_path: Path, folder: Path, free_port: Callable[..., int]
) -> None:
    dated = make_authority(tmp_path, days=days)
    with running(dated, free_port()) as collector, pytest.raises(Unreachable, match=f"{said}; is the clock"):
        enrol(folder, collector.url, dated.token)


def test_an_enrolment_is_not_replaced_by_accident(collector: FakeCollector, folder: Path) -> None:
    made = enrol(folder, collector.url, collector.authority.token)
    collector.store.enrolments.clear()
    with pytest.raises(EnrolmentError, match="--force"):
        enrol(folder, collector.url, collector.authority.token)
    assert collector.store.enrolments == []
    assert identity.load(folder) == made
    (folder / state.POLICY).write_text("of the agent before")
    enrol(folder, collector.url, collector.authority.token, force=True)
    assert not (folder / state.POLICY).exists()


def test_a_working_agent_is_not_enrolled_under_its_feet(collector: FakeCollector, folder: Path) -> None:
    state.prepare(folder)
    with state.held(folder), pytest.raises(StateError, match=f"process {os.getpid()}"):
        enrol(folder, collector.url, collector.authority.token)


def test_a_spent_token_says_what_to_do(collector: FakeCollector, folder: Path) -> None:
    enrol(folder, collector.url, collector.authority.token)
    with pytest.raises(EnrolmentError, match="works once and for a limited time; get a new one"):
        enrol(folder, collector.url, collector.authority.token, force=True)


def test_a_collector_that_does_not_answer_is_unreachable(
    folder: Path, authority: Authority, free_port: Callable[..., int]
) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        enrol(folder, f"https://127.0.0.1:{free_port()}", authority.token)


@pytest.mark.parametrize(
    "token", ["", "edt1", "edt2.secret.aa", f"edt1.{SECRET}.zz", f"edt1.{SECRET}.{'g' * 64}", f"edt1..{'a' * 64}"]
)
def test_what_is_no_token_is_refused_before_anything_is_sent(token: str, folder: Path) -> None:
    with pytest.raises(EnrolmentError) as raised:
        enrol(folder, "https://127.0.0.1:1", token)
    assert SECRET not in str(raised.value)


def test_a_token_has_three_parts(authority: Authority) -> None:
    token = parse_token(authority.token)
    assert (token.secret, token.ca_digest) == (SECRET, authority.digest)


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("https://collector.example.edu.cn", ("collector.example.edu.cn", 443)),
        ("HTTPS://Collector.Example.edu.cn:8443/", ("collector.example.edu.cn", 8443)),
        ("https://[2001:DB8::1]:8443", ("2001:db8::1", 8443)),
        ("https://[::1]", ("::1", 443)),
        ("https://127.0.0.1:1", ("127.0.0.1", 1)),
    ],
)
def test_a_url_is_written_as_it_was_read(url: str, parsed: tuple[str, int]) -> None:
    assert parse_url(url) == parsed
    made = Identity(*parsed, "", "a", "u", "n", "c", 0)
    assert parse_url(made.url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "collector",
        "http://collector.example",
        "https://",
        "https://a/b",
        "https://u:p@a",
        "https://a:0",
        "https://a:70000",
        "https://a:x",
        "https://[::1",
        "https://a b",
        "https://a?x=1",
    ],
)
def test_what_is_no_collectors_address_is_refused(url: str) -> None:
    with pytest.raises(EnrolmentError, match="is not an address such as https://") as raised:
        parse_url(url)
    assert "不是" in raised.value.text.zh


def test_an_identity_that_is_damaged_or_missing_says_how_to_get_one(folder: Path) -> None:
    state.prepare(folder)
    with pytest.raises(StateError, match="not enrolled yet"):
        identity.load(folder)
    (folder / state.IDENTITY).write_text("{")
    with pytest.raises(StateError, match="--force"):
        identity.load(folder)


def test_the_command_line_enrols_and_shows_it(collector: FakeCollector, folder: Path) -> None:
    done = _agent(
        "--lang",
        "zh",
        "enroll",
        "--collector",
        collector.url,
        "--token",
        "-",
        "--state",
        str(folder),
        given=collector.authority.token,
    )
    assert (done.returncode, done.stderr) == (0, "下一步：edusec agent run\n")
    assert UNIT in done.stdout
    again = _agent(
        "enrol", "--collector", collector.url, "--token", "-", "--state", str(folder), given=collector.authority.token
    )
    assert again.returncode == 2
    assert "--force" in again.stderr
    shown = json.loads(_agent("status", "--json", "--state", str(folder)).stdout)
    assert (shown["unit"], shown["pid"], shown["uplink"]["last_success"]) == (UNIT, None, None)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("run", "--what"), 2),
        (("--lang", "fr", "run"), 2),
        (("status", "--state", "/nowhere/at/all"), 2),
        (("enroll", "--collector", "https://127.0.0.1:1", "--token", f"edt1.{SECRET}.{'a' * 64}"), 5),
    ],
)
def test_each_failure_has_its_exit_code_and_says_why(words: tuple[str, ...], code: int, folder: Path) -> None:
    state_words = ("--state", str(folder)) if "enroll" in words else ()
    done = _agent(*words, *state_words)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr


def _agent(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "agent", *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
