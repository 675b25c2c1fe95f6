"""`edusec probe`: flags come from the options dataclass of each probe."""

import socket
from collections.abc import Callable

import pytest

from probes.kit import registry
from probes.kit.options import describe
from tests.edusec.run_cli import edusec, json_lines


def test_every_probe_is_listed() -> None:
    assert [probe["name"] for probe in json_lines(edusec("probe", "list", "--json"))] == list(registry.names())
    chinese = edusec("probe", "list", "--lang", "zh").stdout
    assert all(registry.load(name).summary.zh in chinese for name in registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_every_option_of_every_probe_is_a_flag(name: str) -> None:
    page = edusec("probe", "run", name, "--help", env={"COLUMNS": "200"})
    assert page.returncode == 0, page.stderr
    for item in describe(registry.load(name)):
        assert f"--{item.name.replace('_', '-')}" in page.stdout


def test_a_probe_runs_and_gives_the_section_that_an_agent_would_report(free_port: Callable[..., int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        words = (
            "probe",
            "run",
            "open_ports",
            "--no-identify",
            "--targets",
            "127.0.0.1",
            "--ports",
            f"{port},{free_port()}",
        )
        done = edusec(*words, "--json")
        table = edusec(*words, "--lang", "zh")
    assert (done.returncode, done.stderr) == (0, "")
    (section,) = json_lines(done)
    assert (section["schema"], section["probe"], section["status"]) == ("edusec.section/1", "open_ports", "done")
    found = [item["target"] for item in section["body"]["observations"] if item["outcome"] == "open"]
    assert found == [{"kind": "service", "name": "127.0.0.1", "port": port, "transport": "tcp"}]
    assert f"127.0.0.1 {port}/tcp" in table.stdout
    assert "已覆盖" in table.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nonesuch",), "nonesuch"),
        (("open_ports", "--ports", "everything"), "ports"),
        (("open_ports", "--timeout", "-3"), "timeout"),
        (("open_ports", "--timeout", "soon"), "--timeout"),
        (("open_ports", "--targets", "10.0.0.0/4"), "targets"),
        (("open_ports", "--bogus", "1"), "--bogus"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(words: tuple[str, ...], said: str) -> None:
    done = edusec("probe", "run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_outside_the_scope_is_skipped_with_the_command() -> None:
    done = edusec("probe", "run", "open_ports", "--targets", "192.0.2.1", "--ports", "80")
    assert done.returncode == 3
    assert "edusec scope add 192.0.2.1" in done.stdout
