"""One GET to one address: against nginx on both families, and against servers that drip, lie or never end."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.errors import OutOfScope, PayloadRefused
from probes.kit.exchange import web
from probes.kit.exchange.web import Fetch, Stage, get, parse_url, urls_of
from probes.kit.ipv6.site import fetch as site
from tests.probes.rig import LAB, net_of
from tests.probes.servers import nginx, tcp_server, wait_for_end
from tests.support.netns import Namespaces
from tests.support.patience import given_time
from tests.support.processes import Processes
from wire.types import Outcome

HERE = ip_address("127.0.0.1")


def fetch(url: str, address: str = "127.0.0.1", *, timeout: float = 20.0) -> Fetch:
    return get(net_of(*LAB), parse_url(url), ip_address(address), timeout=timeout)


def certificate(folder: Path, program: str) -> tuple[Path, Path]:
    """A certificate that nobody trusts, for another name, and long over."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=another.example"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    return key, cert


def test_against_nginx_on_both_families(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    program = needs("nginx")
    key, cert = certificate(tmp_path, needs("openssl"))
    (tmp_path / "big").write_bytes(b"x" * 200_000)
    prober, server = netns(), netns()
    _, there = netns.link(prober, server)
    four, six = str(there.v4.ip), str(there.v6.ip)
    tls = f"ssl_certificate {cert}; ssl_certificate_key {key};"
    servers = f"""
      server {{ listen {four}:80; listen [{six}]:80; server_name www.school.example;
        location = / {{ return 200 "hello over $server_addr as $http_host"; }}
        location = /big {{ root {tmp_path}; }}
        location = /none {{ return 204; }}
        location = /away {{ return 302 https://elsewhere.example/; }}
        location = /no {{ return 403; }}
        location = /broken {{ return 503; }}
      }}
      server {{ listen {four}:443 ssl; listen [{six}]:443 ssl; server_name www.school.example; {tls}
        return 200 "as $ssl_server_name";
      }}
      server {{ listen {four}:8080 default_server; return 444; }}
    """
    nginx(process, program, server, tmp_path / "nginx", servers, port=443)
    for address in (four, six):
        found = prober.call(fetch, "http://www.school.example/", address)
        assert (found.stage, found.status, found.outcome) == (Stage.DONE, 200, Outcome.OPEN)
        assert found.body == f"hello over {address} as www.school.example".encode()
        assert found.seconds > 0
        found = prober.call(fetch, "https://www.school.example/x?y=1", address)
        assert (found.stage, found.body) == (Stage.DONE, b"as www.school.example")
        assert len(prober.call(fetch, "http://www.school.example/big", address).body) == web.MAX_BODY
        assert prober.call(fetch, "http://www.school.example/none", address).status == 204
        found = prober.call(fetch, "http://www.school.example/away", address)
        assert (found.status, found.location) == (302, "https://elsewhere.example/")
        assert prober.call(fetch, "http://www.school.example/broken", address).status == 503
        found = prober.call(fetch, "http://www.school.example:81/", address)
        assert (found.stage, found.outcome, found.problem) == (Stage.TCP, Outcome.CLOSED, "closed")
    found = prober.call(fetch, "http://www.school.example:8080/", four)
    assert (found.stage, found.problem) == (Stage.HEAD, "closed without a response")
    found = prober.call(fetch, "https://www.school.example:80/", four)
    assert (found.stage, found.outcome) == (Stage.TLS, Outcome.OPEN)


def test_a_server_from_before_rfc_5746_counts_as_reachable(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    program, space = needs("gnutls-serv", package="gnutls-bin"), netns()
    key, cert = certificate(tmp_path, needs("openssl"))
    old = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION"
    files = ["--x509keyfile", key, "--x509certfile", cert]
    process([program, "--http", "--port", "443", "--priority", old, *files], netns=space, ready=443)
    assert space.call(fetch, "https://www.school.example/").stage is Stage.DONE
    url, address = parse_url("https://www.school.example/"), ip_address("127.0.0.1")
    page = space.call(site.fetch, net_of(*LAB), url, address, site.Wish(timeout=20.0, body=65_536))
    assert (page.stage, page.status) == (Stage.DONE, 200)


def talking(
    *pieces: bytes, pause: float = 0.0, drip: bytes = b"", keep: bool = False
) -> Callable[[socket.socket], None]:
    """Read the request, send pieces with pauses; then drip, or keep silent, until the other side has left."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        while drip:
            connection.sendall(drip)
            time.sleep(0.02)
        if keep:
            wait_for_end(connection)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("talk", "stage", "status", "problem", "body"),
    [
        (talking(OK + b"Content-Length: 5\r\n\r\nhello"), "done", 200, "", b"hello"),
        (talking(OK + b"Content-Length: 5\r\n\r\nhello and more"), "done", 200, "", b"hello"),
        (talking(OK, b"Content-", b"Length: 2\r", b"\n\r\n", b"h", b"i", pause=0.01), "done", 200, "", b"hi"),
        (talking(OK + b"\r\nuntil the end"), "done", 200, "", b"until the end"),
        (talking(b"HTTP/1.0 404 Nope\r\n\r\n"), "done", 404, "", b""),
        (talking(b"HTTP/1.1 200\r\n\r\n"), "done", 200, "", b""),
        (talking(b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"\r\nx"), "done", 200, "", b"x"),
        (
            talking(OK + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
            "done",
            200,
            "",
            b"abcde",
        ),
        (talking(OK + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * 100_000), "done", 200, "", b"x" * 65536),
        (talking(OK + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 100_000), "done", 200, "", b"x" * 65536),
        (talking(OK + b"Content-Length: nonsense\r\n\r\nabc"), "done", 200, "", b"abc"),
        (talking(OK + b"Content-Length: 10\r\n\r\nabc"), "body", 200, "closed after 3 of 10 bytes", b""),
        (talking(OK + b"Content-Length: 10\r\n\r\nabc", keep=True), "body", 200, "timeout", b""),
        (talking(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), "body", 200, "a chunk without a size", b""),
        (talking(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 4000), "body", 200, "a chunk without a size", b""),
        (talking(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), "body", 200, "closed inside a chunk", b""),
        (talking(OK + b"X: " + b"y" * 50_000), "head", None, "a header of more than 16384 bytes", b""),
        (talking(b"HTTP/1.1 100 Continue\r\n\r\n" * 9), "head", None, "only interim responses", b""),
        (talking(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "head", None, "no HTTP response", b""),
        (talking(b"HTTP/1.1 999 Strange\r\n\r\n"), "head", None, "no HTTP response", b""),
        (talking(OK), "head", None, "closed before the end of the header", b""),
        (talking(), "head", None, "closed without a response", b""),
        (talking(keep=True), "head", None, "timeout", b""),
        (talking(drip=b"x"), "head", None, "timeout", b""),
        (talking(OK + b"\r\n", drip=b"x"), "body", 200, "timeout", b""),
    ],
)
def test_what_servers_send(
    talk: Callable[[socket.socket], None], stage: str, status: int | None, problem: str, body: bytes
) -> None:
    with tcp_server(talk) as port:
        found = given_time(
            lambda seconds: fetch(f"http://www.school.example:{port}/", timeout=seconds),
            lambda found: found.stage == stage,
            first=0.5 if problem == "timeout" else 20,
        )
    assert (found.stage.value, found.status, found.problem, found.body) == (stage, status, problem, body)


def test_a_tls_handshake_that_never_ends() -> None:
    with tcp_server(talking(drip=b"\x16\x03\x03")) as port:
        found = fetch(f"https://www.school.example:{port}/", timeout=0.3)
    assert found.stage is Stage.TLS
    assert found.problem


def test_old_and_self_signed_servers_count_as_reachable(needs: Callable[..., str], tmp_path: Path) -> None:
    key, cert = certificate(tmp_path, needs("openssl"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(OK + b"Content-Length: 2\r\n\r\nhi")

    with tcp_server(talk) as port:
        assert fetch(f"https://www.school.example:{port}/").body == b"hi"


def test_the_request_is_what_it_should_be() -> None:
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with tcp_server(talk) as port:
        fetch(f"http://教育.中国:{port}/路径/a b?q=%20&x=é#part".replace(" ", "%20"))
    head = heard[0].decode("ascii").split("\r\n")
    assert head[0] == "GET /%E8%B7%AF%E5%BE%84/a%20b?q=%20&x=%C3%A9 HTTP/1.1"
    assert head[1] == f"Host: xn--wcvs22d.xn--fiqs8s:{port}"
    assert "Connection: close" in head
    assert heard[0].endswith(b"\r\n\r\n")


def test_nothing_is_sent_out_of_scope_or_to_a_printer() -> None:
    with pytest.raises(OutOfScope):
        get(net_of(), parse_url("http://www.school.example/"), ip_address("198.18.0.1"), timeout=1)
    heard: list[bytes] = []
    with tcp_server(lambda connection: heard.append(connection.recv(100)), port=9107), pytest.raises(PayloadRefused):
        fetch("http://printer.school.example:9107/")
    assert heard in ([b""], [])


@pytest.mark.parametrize(
    "text",
    ["ftp://a.cn/", "http://", "http:///x", "http://user:pw@a.cn/", "http://a.cn:0/", "http://a.cn:99999/",
     "http://a b.cn/", "http://a.cn/\n", "http://127.1/", "http://[::1/", "javascript:alert(1)", "a.cn",
     "http://" + "a" * 2000, "http://a..cn/", "http://a.cn:80a/", "http://[fe80::1%25eth0"],
)  # fmt: skip
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_url(text)


def test_a_domain_stands_for_https_then_http() -> None:
    assert [(url.scheme, url.host, url.port, url.path, url.text) for url in urls_of("WWW.School.example")] == [
        ("https", "www.school.example", 443, "/", "WWW.School.example"),
        ("http", "www.school.example", 80, "/", "WWW.School.example"),
    ]
    assert [url.authority for url in urls_of("2001:db8::1")] == ["[2001:db8::1]", "[2001:db8::1]"]
    assert [url.port for url in urls_of("www.school.example:8443")] == [8443, 8443]
    assert urls_of("http://[2001:db8::1]:8080/x")[0].address == ip_address("2001:db8::1")
    with pytest.raises(ValueError, match="whole URL"):
        urls_of("www.school.example/x")


@given(st.text(max_size=60))
def test_no_text_crashes_the_reader_of_urls(text: str) -> None:
    for candidate in (text, f"http://{text}", f"https://a.cn/{text}"):
        try:
            urls = urls_of(candidate)
        except ValueError:
            continue
        for url in urls:
            request = web.request_head(url)
            assert request.count(b"\r\n\r\n") == 1
            assert request.count(b"\r\n") == 7


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader_of_fields(raw: bytes) -> None:
    assert all(name == name.lower() for name in web.header_fields(raw.split(b"\r\n")))
