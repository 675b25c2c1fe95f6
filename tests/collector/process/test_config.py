"""The collector's configuration: what it says, what it refuses, and how it names the place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.process.config import CONFIG_NAME, Config, ConfigFault, load, parse
from wire.endpoint import Endpoint


def _load(folder: Path, text: str) -> Config:
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    return load(folder)


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        _load(folder, text)
    start = f"{folder / CONFIG_NAME}: "
    assert all(problem.startswith(start) for problem in caught.value.problems)
    return [problem.removeprefix(start) for problem in caught.value.problems]


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path, "")
    assert config.listen == (Endpoint("0.0.0.0", 8443), Endpoint("::", 8443))
    assert config.store == tmp_path / "collector.db"
    assert config.own_ca
    assert config.advertised == "localhost"
    assert config.settings.report_interval == 300


def test_everything_can_be_said(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        """
        listen = ["127.0.0.1:0", "[::1]:0"]
        names = ["collector.example.edu.cn", "192.0.2.7"]
        database = "/var/lib/edusec/other.db"
        rule_packs = ["rules"]
        report_interval = 60
        log_level = "debug"
        lang = "en"
        targets = ["www.example.edu.cn"]
        [[tasks]]
        name = "ports"
        probe = "open_ports"
        interval = 3600
        options = { ports = "1-1024" }
        [tls]
        cert = "a.crt"
        key = "a.key"
        ca = "root.crt"
        [responder]
        listen = ["127.0.0.1:0"]
        max_seconds = 5
        [limits]
        connections = 100
        [retention]
        alert_days = 200
        [judging]
        absent_after = 5
        """,
    )
    assert config.store == Path("/var/lib/edusec/other.db")
    assert config.certificate == tmp_path / "a.crt"
    assert config.rule_packs == (tmp_path / "rules",)
    assert config.advertised == "collector.example.edu.cn"
    assert not config.own_ca
    settings = config.settings
    assert (settings.report_interval, settings.alert_days, settings.absent_after) == (60, 200, 5)
    assert settings.targets == ("www.example.edu.cn",)
    assert settings.tasks[0].options == {"ports": "1-1024"}


def test_every_fault_is_named_with_its_key(tmp_path: Path) -> None:
    problems = _problems(
        tmp_path,
        """
        lisen = []
        listen = ["localhost:8443", "::1:8443", "[::1]:70000", 3]
        log_level = "loud"
        report_interval = "300"
        lang = 7
        [limits]
        connections = 1
        header_seconds = true
        [responder]
        enabled = "yes"
        speed = 1
        [retention]
        alert_days = 30
        [[tasks]]
        name = "ports"
        probe = "open_ports"
        interval = 0
        optoins = {}
        """,
    )
    said = "\n".join(problems)
    for expected in (
        "lisen: is not a key; did you mean listen?",
        "listen[0]: 'localhost:8443' is not an address and a port such as 0.0.0.0:8443 or [::]:8443",
        "listen[1]: '::1:8443' is not an address",
        "listen[2]: '[::1]:70000': the port must be from 0 to 65535",
        "listen[3]: must be a text",
        "log_level: must be one of debug, info, warning, error",
        "report_interval: must be a number",
        "lang: must be one of zh, en",
        "limits.connections: must be from 8 to 60000, is 1",
        "limits.header_seconds: must be a number",
        "responder.enabled: must be true or false",
        "responder.speed: is not a key",
        "retention.alert_days: must be from 180 to 3660, is 30",
        "tasks[0].optoins: is not a key",
        "tasks[0].interval: must be from 1 to",
    ):
        assert expected in said
    assert len(problems) == 15


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listen = []", "listen: must name at least one address and port"),
        ('listen = ["127.0.0.1:1", "[::1]:2"]', "listen: must use the same port on every address"),
        ('names = ["a b"]', "names: 'a b' is neither a host name nor an IP address"),
        ('[tls]\ncert = "x"', "tls: has cert only; give cert, key and ca, or none of them"),
        ('[responder]\nhost = "-"', "responder.host: '-' is neither"),
        ("tls = 3", "tls: must be a table"),
        ("limits = [1]", "limits: must be a table"),
        ("tasks = [3]", "tasks[0]: expected an object"),
        ("= 1", "not TOML:"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    problems = _problems(tmp_path, text)
    assert any(expected in problem for problem in problems)


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="does not exist; `edusec collector init --data"):
        load(tmp_path)
    (tmp_path / CONFIG_NAME).write_bytes(b"lang = '\xff'")
    with pytest.raises(ConfigFault, match="line 1 is not UTF-8"):
        load(tmp_path)
    (tmp_path / CONFIG_NAME).write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigFault, match="larger than"):
        load(tmp_path)
    (tmp_path / CONFIG_NAME).unlink()
    (tmp_path / CONFIG_NAME).mkdir()
    with pytest.raises(ConfigFault, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("table", [{"\n": 1}, {"tls": {"a\nb": 1}}, {"tasks": [{"\n": 1, "name": "n", "probe": "p"}]}])
def test_a_key_with_a_line_end_makes_one_line(table: dict[str, object]) -> None:
    with pytest.raises(ConfigFault) as caught:
        parse(table, Path("/x/collector.toml"))
    assert all(problem.startswith("/x/collector.toml: ") for problem in caught.value.problems)
    assert any(r"\n: is not a key" in problem or r"\nb: is not a key" in problem for problem in caught.value.problems)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    ),
    st.sampled_from(["listen", "names", "tls", "responder", "limits", "tasks", "database", "lang", "judging"]),
)
def test_no_value_is_more_than_a_fault(value: object, key: str) -> None:
    problems: tuple[str, ...] = ()
    try:
        parse({key: value}, Path("/x/collector.toml"))
    except ConfigFault as fault:
        problems = fault.problems
    assert all(problem.startswith("/x/collector.toml: ") for problem in problems)
