"""No fingerprint of ours speaks for another's device: not for each other's examples, nor for what is nobody's."""

import re
from collections.abc import Mapping

import pytest

from probes.kit.fingerprint.match import Identity, by_key, fill, identify
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.own import built_in
from probes.kit.services import identity
from probes.kit.services.protocols import http

KNOWN = by_key(built_in())
WHO = ("service.vendor", "service.product", "hw.vendor")
NOBODY = {
    "text.banner": ("220 ready", "220 FTP server ready.", "220 mail.school.example ESMTP", "+OK ready", "* OK ready"),
    "ssh.banner": ("SSHD", "1.0", "OpenSSL", "server"),
    "http_header.server": (
        "Server", "httpd", "Web Server", "Linux/4.4 UPnP/1.0", "Apache Geode", "HTTP/1.0", "nginxx", "WebServer/1.0.0",
        "Embedded/2.0", "-", "unknown", "micro_httpd",
    ),
    "http_header.wwwauth": ('Basic realm="Restricted"', 'Digest realm="admin", nonce="1"', "Negotiate", "NTLM"),
    "http_header.cookie": (
        "webvpncontext=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly", "JSESSIONID=1; Path=/",
        "PHPSESSID=1; path=/", "session=1", "SESSIONID=1", "lang=zh"),
    "html_title": (
        "", "Login", "登录", "Index of /", "404 Not Found", "Welcome", "首页", "统一身份认证",
        "教务管理系统", "办公系统", "Web", "欢迎登录", "Error", "Document", "Network Camera", "Printer", "IP Camera",
    ),
    "html_generator": ("Hugo 0.1", "vi", "Microsoft FrontPage 6.0"),
    "http_body": (
        "<html><body><h1>It works!</h1></body></html>",
        "<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center></body></html>",
        '<form action="/login" method="post"><input name="username"><input type="password" name="password"></form>',
        '<script src="/static/js/app.js"></script><div id="app"></div>',
        "<a href='/portal/'>统一门户</a> <a href='/eportal/ui?pageId=1'>首页</a> <a href='/portal/common/x.css'>",
        '{"code":404,"message":"not found"}', '{"status":"ok"}', "Not Found", "OK", "[]", "{}",
    ),
    "http_maker": ("", "某某小学 | 版权所有 某某小学", "Copyright 2026", "教务管理系统", "智慧校园"),
    "snmp.sys_description": ("", "Switch", "Router", "Print Adapter compatible with an HP JETDIRECT EX"),
    "telnet.banner": ("login:", "Username:", "Password:", "Welcome"),
    "rtsp_header.server": ("Server", "RTSP", "IPCam"),
    "sip_header.server": ("SIP", "Phone 1.0"),
    "x509.subject": ("", "CN=localhost", "CN=www.school.example,O=School", "CN=default", "O=Internet Widgits Pty Ltd"),
    "http_header": ("x-request-id: 1", "x-cache: HIT", "x-powered-by-x: y", "access-control-allow-origin: *"),
    "xmpp.stream": ("<stream:stream xmlns='jabber:client'>",),
    "afp.machine": ("", "Server"),
}  # fmt: skip
"""Answers that any product may give, by kind."""


def contradicts(fingerprint: Mapping[str, str], found: Identity | None) -> bool:
    """Tell whether another maker or product was found where both say one."""
    return found is not None and any(
        name in fingerprint and name in found.says and fingerprint[name] != found.says[name] for name in WHO
    )


@pytest.mark.parametrize("fingerprint", built_in(), ids=lambda fingerprint: f"{fingerprint.key}-{fingerprint.title}")
def test_no_other_fingerprint_speaks_for_its_examples(fingerprint: Fingerprint) -> None:
    for example in fingerprint.examples:
        matched = re.search(fingerprint.pattern, example.text, fingerprint.flags)
        assert matched is not None
        assert not contradicts(fill(fingerprint.says, matched), identify(KNOWN[fingerprint.key], example.text))


HOME = """<html><head><title>某某学校</title><meta name="keywords" content="某某学校"></head><body>
<p>我校采购深信服科技、天融信、迪普科技、奇安信和山石网科的防火墙，锐捷网络与华为技术有限公司的交换机，天地伟业摄像机，TP-LINK路由器，海康威视安防平台，网御星云防火墙</p>
<a href="http://jw.school.example/jwglxt/xtgl/login_slogin.html">教务</a><a href='//jw2.school.example/jsxsd/'>教务</a>
<a class="x" target=_blank href=https://oa.school.example/seeyon/main.do>办公</a>
<a href="https://authserver.school.example/authserver/login?service=x">统一认证</a>
<a href="http://vpn.school.example/por/login_psw.csp">VPN</a><a href="http://mail.school.example/coremail/common/x">邮箱</a>
<p>版权所有 © 某某学校 教育云 地址：某路 1 号</p></body></html>"""
"""A school's start page, with its news, and links to what stands elsewhere."""


def test_what_a_school_writes_of_and_links_to_is_not_what_its_page_runs_on() -> None:
    heard = http.read(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n" + HOME.encode(), where=("198.51.100.1", 80))
    assert heard is not None
    found = identity.of(heard, KNOWN)
    assert (found.product, found.application, found.device) == ("nginx", "", "")


def test_a_page_that_its_maker_signs_is_known_by_it() -> None:
    for notice in ("<title>SANGFOR | NGAF</title>", "<p>Copyright &copy; 2020 <a href='http://x/'>深信服科技</a></p>"):
        heard = http.read(b"HTTP/1.1 200 OK\r\n\r\n<html>" + notice.encode())
        assert heard is not None
        assert identity.of(heard, KNOWN).device.startswith("Sangfor")


@pytest.mark.parametrize("fingerprint", KNOWN["http_body"], ids=lambda fingerprint: fingerprint.title)
def test_what_an_example_shows_is_left_when_a_page_is_read(fingerprint: Fingerprint) -> None:
    for example in fingerprint.examples:
        heard = http.read(b"HTTP/1.1 200 OK\r\n\r\n" + example.text.encode())
        assert heard is not None
        assert fingerprint.compiled().search(dict(heard.answers)["http_body"])


@pytest.mark.parametrize("fingerprint", KNOWN["html_title"], ids=lambda fingerprint: fingerprint.title)
def test_the_page_with_a_title_is_no_other_makers(fingerprint: Fingerprint) -> None:
    for example in fingerprint.examples:
        page = f"<html><head><title>{example.text}</title></head></html>"
        assert not contradicts(fingerprint.says, identify(KNOWN["http_body"], page))


@pytest.mark.parametrize("key", NOBODY)
def test_what_any_product_may_say_names_none(key: str) -> None:
    assert {text: found.title for text in NOBODY[key] if (found := identify(KNOWN[key], text)) is not None} == {}


def test_titles_name_a_fingerprint_within_its_kind() -> None:
    for items in KNOWN.values():
        titles = [fingerprint.title for fingerprint in items]
        assert sorted(titles) == sorted(set(titles))
