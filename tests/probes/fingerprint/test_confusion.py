"""No fingerprint of ours speaks for another's device: not for each other's examples, nor for what is nobody's."""

import re
from collections.abc import Mapping

import pytest

from probes.kit.fingerprint.match import Identity, by_key, fill, identify
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.own import built_in

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
    "http_header.cookie": ("JSESSIONID=1; Path=/", "PHPSESSID=1; path=/", "session=1", "SESSIONID=1", "lang=zh"),
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
