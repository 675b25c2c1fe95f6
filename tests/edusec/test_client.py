"""The way to a collector: every refusal, failure and hostile answer in plain words and with its exit code."""

import csv
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collector.process import tls
from tests.edusec.run_cli import Done, edusec, json_lines


class Server:
    """A real HTTPS server that answers each request with the next prepared answer and remembers what was asked."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        tls.make_ca(folder / "ca.crt", folder / "ca.key", now)
        tls.make_server_certificate(
            folder / "server.crt", folder / "server.key", folder / "ca.crt", folder / "ca.key", ["127.0.0.1"], now
        )
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked.append(
                    f"{self.command} {self.path} {self.headers['Authorization']} {body.decode()}".strip()
                )
                status, content = outer.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 (the name that http.server looks for)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.port: int = self._server.server_address[1]
        self.profile = folder / "operator.toml"
        self.profile.write_text(f'url = "https://127.0.0.1:{self.port}"\nca = "ca.crt"\ntoken = "edp1.very-secret"\n')

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def refuse(self, status: int, code: str, message: str, problems: tuple[str, ...] = ()) -> None:
        refusal = {"schema": "edusec.refusal/1", "code": code, "message": message, "problems": problems}
        self.answers.append((status, json.dumps(refusal).encode()))

    def run(self, *words: str) -> Done:
        return edusec(*words, env={"EDUSEC_OPERATOR": str(self.profile)})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def _unit(code: str, name: str) -> dict[str, object]:
    return {"code": code, "name": name, "kind": "school", "parent": None, "path": f"{code}/", "division_code": "640104",
            "agents": 0, "assets": 0, "alerts": 0}  # fmt: skip


def test_a_list_is_printed_page_by_page_with_the_token_in_the_header_only(server: Server) -> None:
    server.answers = [
        (200, json.dumps({"items": [_unit("1", "甲校")], "cursor": "next"}).encode()),
        (200, json.dumps({"items": [_unit("2", "乙校")], "cursor": None}).encode()),
    ]
    done = server.run("unit", "list", "--unit", "640104", "--json")
    assert done.returncode == 0, done.stderr
    assert [(line["schema"], line["name"]) for line in json_lines(done)] == [
        ("edusec.unit/1", "甲校"),
        ("edusec.unit/1", "乙校"),
    ]
    assert server.asked[0] == "GET /api/v1/units?under=640104 Bearer edp1.very-secret"
    assert "cursor=next" in server.asked[1]


def test_what_the_collector_says_cannot_act_on_the_terminal(server: Server) -> None:
    hostile = "\x1b]0;owned\x07\u202egnp.exe\r\n"
    server.answers = [(200, json.dumps({"items": [_unit("1", hostile)]}).encode())] * 2
    table, lines = server.run("unit", "list"), server.run("unit", "list", "--json")
    assert table.returncode == lines.returncode == 0
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(table.stdout + lines.stdout)
    assert "\\x1b]0;owned\\x07\\u202egnp.exe\\x0d\\x0a" in table.stdout
    assert json_lines(lines)[0]["name"] == hostile


def _asset(ident: str, name: str = "") -> dict[str, object]:
    return {"id": ident, "unit": "1", "unit_name": "甲校", "name": name, "addresses": ["10.1.0.7"], "macs": [],
            "presence": "present", "standing": "unlisted", "services": [], "first_seen": "", "last_confirmed": "",
            "evidence": [], "changes": [], "makers": []}  # fmt: skip


def _page(*assets: dict[str, object], cursor: str | None = None) -> tuple[int, bytes]:
    return 200, json.dumps({"items": assets, "cursor": cursor}).encode()


def test_an_asset_is_found_by_its_address_or_mac_when_only_one_has_it(server: Server) -> None:
    server.answers = [
        _page(_asset("a1")),
        (200, json.dumps(_asset("a1")).encode()),
        _page(),
        _page(_asset("a1"), _asset("a2")),
    ]
    assert json_lines(server.run("asset", "show", "10.1.0.7", "--json"))[0]["id"] == "a1"
    assert [line.split()[1] for line in server.asked] == ["/api/v1/assets?q=ip%3A10.1.0.7", "/api/v1/assets/a1"]
    nobody, several = server.run("asset", "show", "00:11:22:33:44:55"), server.run("asset", "show", "10.1.0.7")
    assert (nobody.returncode, "00:11:22:33:44:55" in nobody.stderr) == (2, True)
    assert "q=mac%3A00%3A11%3A22%3A33%3A44%3A55" in server.asked[2]
    assert several.returncode == 2
    assert [line.split()[0] for line in several.stderr.splitlines()[1:]] == ["a1", "a2"]


def test_a_list_that_goes_on_says_so_and_a_spreadsheet_holds_all_of_it(server: Server, tmp_path: Path) -> None:
    more = [_page(_asset("a1"), _asset("a2", "=1+1"), cursor="next"), _page(_asset("a3"))]
    server.answers = [*more, *more, *more]
    cut, whole = server.run("asset", "list", "--limit", "2"), server.run("asset", "list", "--limit", "3")
    assert ("a3" in cut.stdout, "--limit" in cut.stderr) == (False, True)
    assert ("a3" in whole.stdout, whole.stderr) == (True, "")
    sheet = tmp_path / "assets.csv"
    assert server.run("asset", "list", "-o", str(sheet)).returncode == 0
    rows = list(csv.reader(sheet.read_text(encoding="utf-8-sig").splitlines()))
    assert [row[0] for row in rows] == ["ID", "a1", "a2", "a3"]
    assert "'=1+1" in rows[2]
    server.answers = [_page()]
    assert server.run("asset", "list", "-o", str(tmp_path / "assets.txt")).returncode == 2


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "unauthorised", 4),
        (403, "forbidden", 4),
        (404, "not_found", 2),
        (409, "conflict", 2),
        (429, "busy", 5),
        (503, "busy", 5),
        (500, "internal", 2),
    ],
)
def test_refusals_have_their_exit_code(server: Server, status: int, code: str, exit_code: int) -> None:
    server.refuse(status, code, "because I say so")
    done = server.run("unit", "list")
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert "because I say so" in done.stderr
    assert "very-secret" not in done.stderr


def test_every_fault_of_a_file_is_named(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "units.csv"
    file.write_text("code,name\n")
    server.refuse(422, "bad_file", "2 faults", ("units.csv:2:code: wrong", "units.csv:3:name: \x1b[31mred"))
    done = server.run("unit", "import", str(file))
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == ["units.csv:2:code: wrong", "units.csv:3:name: \\x1b[31mred"]
    assert server.asked[0].startswith("POST /api/v1/units/import?filename=units.csv ")


@pytest.mark.parametrize("content", [b"<html>it works</html>", b"\xff\xfe", b"[" * 5000, b'{"items": NaN}', b""])
def test_an_answer_that_is_no_json_is_said_so(server: Server, content: bytes) -> None:
    server.answers = [(200, content)]
    done = server.run("unit", "list")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did not answer with JSON" in done.stderr


@pytest.mark.parametrize(("status", "exit_code"), [(502, 5), (520, 2)])  # 520: a proxy's own, in no register
def test_an_error_page_of_something_else_is_only_a_status(server: Server, status: int, exit_code: int) -> None:
    server.answers = [(status, b"<html>\x1b[2J</html>")]
    done = server.run("unit", "list")
    assert done.returncode == exit_code
    assert f"HTTP {status}" in done.stderr
    assert "\x1b" not in done.stderr


def test_an_unreachable_collector_is_5_and_says_what_to_check(server: Server, tmp_path: Path) -> None:
    profile = tmp_path / "gone.toml"
    profile.write_text(f'url = "https://127.0.0.1:1"\nca = "{tmp_path}/ca.crt"\ntoken = "t"\n')
    for words in (("unit", "list"), ("asset", "list"), ("alert", "list"), ("whitelist", "list"), ("agent", "list")):
        done = edusec(*words, "--profile", profile)
        assert (done.returncode, done.stdout) == (5, "")
        assert "edusec doctor" in done.stderr


def test_a_collector_that_another_ca_vouches_for_gets_no_token(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    tls.make_ca(other / "ca.crt", other / "ca.key", datetime.now(UTC))
    profile = other / "operator.toml"
    profile.write_text(f'url = "https://127.0.0.1:{server.port}"\nca = "ca.crt"\ntoken = "edp1.very-secret"\n')
    done = edusec("unit", "list", "--profile", profile)
    assert done.returncode == 5
    assert "does not vouch" in done.stderr
    assert server.asked == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "url"),
        ('url = "https://x"\nca = "ca.crt"\n', "token"),
        ('url = "http://127.0.0.1"\nca = "ca.crt"\ntoken = "t"\n', "https://"),
        ('url = "https://127.0.0.1"\nca = "absent.crt"\ntoken = "t"\n', "absent.crt"),
        ('url = "https://127.0.0.1"\nca = "operator.toml"\ntoken = "t"\n', "ca"),
        ("url = \n", "line 1"),
        ("url = 5\n", "url"),
    ],
)
def test_a_faulty_profile_names_file_and_key(tmp_path: Path, content: str, said: str) -> None:
    profile = tmp_path / "operator.toml"
    profile.write_text(content)
    done = edusec("unit", "list", "--profile", profile)
    assert done.returncode == 2
    assert str(profile) in done.stderr
    assert said in done.stderr


def test_without_any_profile_the_first_step_is_named() -> None:
    done = edusec("unit", "list")
    assert done.returncode == 2
    assert "edusec up" in done.stderr


def test_the_exported_file_is_written_whole_or_not_at_all(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "out.xlsx"
    server.answers = [(200, b"PK\x03\x04 a workbook")]
    assert server.run("whitelist", "export", "-o", str(target)).returncode == 0
    assert target.read_bytes() == b"PK\x03\x04 a workbook"
    assert "format=xlsx" in server.asked[0]
    server.refuse(404, "not_found", "no such unit")
    assert server.run("whitelist", "export", "-o", str(target)).returncode == 2
    assert target.read_bytes() == b"PK\x03\x04 a workbook"
    assert sorted(path.name for path in tmp_path.glob(".out*")) == []


def test_without_a_collector_the_way_to_name_one_is_told_that_every_command_has() -> None:
    done = edusec("scan", "--unit", "2164000001")
    assert (done.returncode, "EDUSEC_OPERATOR" in done.stderr, "--profile" in done.stderr) == (2, True, False)
