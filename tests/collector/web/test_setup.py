"""`collector init` and the start of `collector run`: made once, kept afterwards, every fault in one line."""

import contextlib
import io
import socket
import ssl
import stat
import subprocess
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.process import tls
from tests.collector.web.door import Door, collector_command, init_collector, start_collector
from tests.support.addresses import needs_address
from tests.support.processes import Processes

KEPT = ("ca.crt", "ca.key", "server.crt", "server.key", "scrape.token", "tickets.key", "operator.toml")


def _said(*arguments: str | Path, status: int = 0) -> str:
    """Run a short command, here and now; `run` gets a process of its own."""
    if arguments[0] == "run" and "--check" not in arguments:
        done = subprocess.run(collector_command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        found, out, err = done.returncode, done.stdout, done.stderr
    else:
        to_out, to_err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(to_out), contextlib.redirect_stderr(to_err):
            found = main(list(map(str, arguments)))
        out, err = to_out.getvalue(), to_err.getvalue()
    assert found == status, out + err
    assert "Traceback" not in err
    return out if status == 0 else err


def _init(data: Path, *arguments: str, status: int = 0) -> str:
    return _said("init", "--data", data, *arguments, status=status)


def _content(data: Path) -> dict[str, bytes]:
    return {name: (data / name).read_bytes() for name in (*KEPT, "collector.toml")}


def test_a_new_folder_has_everything_and_no_default_password(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    said = _init(data, "--listen", "127.0.0.1:0", "--name", "collector.example.edu.cn", "--lang", "en")
    assert tls.digest_of(data / "ca.crt") in said
    assert f"edusec collector run --data {data}" in said
    for name in KEPT:
        mode = stat.S_IMODE((data / name).stat().st_mode)
        assert mode == (0o644 if name.endswith(".crt") else 0o600), name
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    token = (data / "operator.toml").read_text(encoding="utf-8").partition('token = "')[2].partition('"')[0]
    assert len(token) >= 40
    assert token not in said
    other = tmp_path / "other"
    _init(other, "--listen", "127.0.0.1:0")
    for name in KEPT:
        assert (other / name).read_bytes() != (data / name).read_bytes(), name
    chinese = _init(other)
    assert "采集" in chinese


def test_running_it_again_keeps_all_and_completes_what_is_missing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _init(data, "--listen", "127.0.0.1:0", "--name", "192.0.2.7")
    before = _content(data)
    _init(data)
    _init(data, "--listen", "127.0.0.1:0", "--name", "192.0.2.7")
    assert _content(data) == before
    for name in ("server.key", "scrape.token", "operator.toml"):  # an init that was cut off, or a lost file
        (data / name).unlink()
    _init(data)
    after = _content(data)
    assert {name for name in after if after[name] != before[name]} == {
        "server.crt",
        "server.key",
        "scrape.token",
        "operator.toml",
    }


def test_an_administrator_whose_profile_was_lost_gets_another(make_door: Callable[..., Door]) -> None:
    door = make_door()
    lost = door.admin
    door.running.terminate()
    (door.data / "operator.toml").unlink()
    _init(door.data)
    door.restart()
    assert door.admin != lost
    assert door.get("/api/v1/units")["items"]
    assert "127.0.0.1:0" not in (door.data / "operator.toml").read_text(encoding="utf-8")


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").write_text("precious")
    said = _init(tmp_path, status=2)
    assert "thesis.odt" in said
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.odt"]
    assert "cannot be made" in _init(tmp_path / "thesis.odt", status=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--listen", "localhost:1"), "--listen: 'localhost:1' is not an address and a port"),
        (("--listen", "127.0.0.1:1", "--listen", "[::1]:2"), "--listen: must use the same port"),
        (("--name", "no way"), "--name: 'no way' is neither"),
    ],
)
def test_bad_words_make_nothing(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in _init(tmp_path / "data", *arguments, status=2)
    assert not list((tmp_path / "data").glob("*.crt"))
    _init(tmp_path / "data", "--listen", "127.0.0.1:0")


def test_what_an_existing_configuration_says_is_not_passed_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _init(data, "--listen", "127.0.0.1:0")
    before = _content(data)
    assert "collector.toml: listen: says 127.0.0.1:0" in _init(data, "--listen", "127.0.0.1:9", status=2)
    assert "collector.toml: names: says []" in _init(data, "--name", "x.example", status=2)
    assert _content(data) == before


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "lock").mkdir(parents=True)
    assert _init(data, status=2) == f"{data / 'lock'}: Is a directory\n"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    data = tmp_path / 'the "new" one \\ 数据'
    _init(data, "--listen", "127.0.0.1:0")
    profile = tomllib.loads((data / "operator.toml").read_text(encoding="utf-8"))
    assert profile["ca"] == str(data / "ca.crt")
    _init(data)


def test_a_ca_without_its_key_is_not_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _init(data, "--listen", "127.0.0.1:0")
    (data / "ca.key").unlink()
    assert "restore it from a backup" in _init(data, status=2)
    assert "restore it from a backup" in _said("run", "--data", data, status=2)


def test_secrets_that_others_may_read_are_not_used(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _init(data, "--listen", "127.0.0.1:0")
    (data / "scrape.token").chmod(0o640)
    assert f"chmod 600 {data / 'scrape.token'}" in _said("run", "--data", data, status=2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("lisen = []\nlog_level = 'loud'", "collector.toml: lisen: is not a key"),
        ("rule_packs = ['absent']", "absent"),
        ("[tls]\ncert = 'a'\nkey = 'b'\nca = 'c'", "a: is missing or cannot be read"),
    ],
)
def test_faults_of_a_configuration_stop_the_start(tmp_path: Path, change: str, says: str) -> None:
    data = tmp_path / "data"
    _init(data, "--listen", "127.0.0.1:0")
    file = data / "collector.toml"
    old = file.read_text(encoding="utf-8")
    file.write_text(f"{old}\n{change}\n" if change.startswith("[") else f"{change}\n{old}", encoding="utf-8")
    assert says in _said("run", "--data", data, status=2)


def test_a_configuration_can_be_checked_beforehand(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _init(data, "--listen", "127.0.0.1:0")
    assert _said("run", "--data", data, "--check").endswith("collector.toml: fine\n")
    (data / "collector.toml").write_text("listen = 1\nnames = 2\n", encoding="utf-8")
    said = _said("run", "--data", data, "--check", status=2)
    assert len(said.splitlines()) == 2


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _init(data, "--listen", f"127.0.0.1:{port}")
        said = _said("run", "--data", data, status=2)
    assert f"127.0.0.1:{port}" in said
    assert "another program" in said


def test_a_certificate_near_its_end_is_renewed_at_the_start(process: Processes, tmp_path: Path) -> None:
    data = tmp_path / "data"
    init_collector(data)
    long_ago = datetime.now(UTC) - timedelta(days=tls.SERVER_DAYS - 20)
    parts = (data / "server.crt", data / "server.key", data / "ca.crt", data / "ca.key")
    tls.make_server_certificate(*parts, (), long_ago)
    before = parts[0].read_bytes()
    door = Door(data, start_collector(process, data), process)
    assert parts[0].read_bytes() != before
    ends = tls.load_certificate(parts[0]).not_valid_after_utc
    assert ends - datetime.now(UTC) > timedelta(days=300)
    assert door.ask("GET", "/healthz").status == 200
    assert f"event=made path={parts[0]}" in door.log


def test_a_certificate_of_the_operator_is_used(process: Processes, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    now = datetime.now(UTC)
    tls.make_ca(given / "root.crt", given / "root.key", now)
    tls.make_server_certificate(
        given / "a.crt", given / "a.key", given / "root.crt", given / "root.key", ("given.example",), now
    )
    data = tmp_path / "data"
    files = f'[tls]\ncert = "{given}/a.crt"\nkey = "{given}/a.key"\nca = "{given}/root.crt"'
    init_collector(data, tables=files)
    door = Door(data, start_collector(process, data), process)
    door.ca = given / "root.crt"
    assert door.ask("GET", "/api/v1/ca").body == (given / "root.crt").read_bytes()
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as plain:
        context = ssl.create_default_context(cafile=given / "root.crt")
        with context.wrap_socket(plain, server_hostname="given.example") as line:
            assert line.version() == "TLSv1.3"
    door.plant()
    assert door.token().endswith(tls.digest_of(given / "root.crt"))


def test_both_families_answer_on_one_port(process: Processes, tmp_path: Path) -> None:
    needs_address("::1")
    data = tmp_path / "data"
    init_collector(data)
    file = data / "collector.toml"
    text = file.read_text(encoding="utf-8").replace('"127.0.0.1:0"', '"127.0.0.1:0", "[::1]:0"')
    file.write_text(text, encoding="utf-8")
    door = Door(data, start_collector(process, data), process)
    context = ssl.create_default_context(cafile=door.ca)
    for host in ("127.0.0.1", "::1"):
        with (
            socket.create_connection((host, door.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=host) as line,
        ):
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.1 200")


def test_a_person_is_added_once_and_only_while_the_collector_rests(make_door: Callable[..., Door]) -> None:
    door = make_door()
    profile = door.data.parent / "li.toml"
    command = ("person", "--data", door.data, "--name", "李老师", "--role", "viewer", "--profile", profile)
    assert "is in use by process" in _said(*command, status=2)
    door.running.terminate()
    assert "999999" in _said(*command, "--unit", "999999", status=2)
    assert not profile.exists()
    _said(*command, "--unit", "640104")
    assert stat.S_IMODE(profile.stat().st_mode) == 0o600
    assert "exists already" in _said(*command, status=2)
    profile.rename(door.data.parent / "old.toml")
    assert "李老师" in _said(*command, status=2)
    # A lost token is taken back; then the name is free again.
    remove = ("person", "--data", door.data, "--name", "李老师", "--remove")
    _said(*remove)
    assert "李老师" in _said(*remove, status=2)
    assert "--role" in _said(*remove[:-1], status=2)
    _said(*command)


def test_the_door_of_service_managers_explains_itself() -> None:
    done = subprocess.run(collector_command("--help"), capture_output=True, text=True, timeout=60, check=True)
    assert "init" in done.stdout
    assert "run" in done.stdout
