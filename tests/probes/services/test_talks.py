"""Conversations with services: what known answers say, and that no answer whatever breaks or prolongs one."""

import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.kit.services import greeting, http, mongodb, mqtt, mssql, mysql, onvif, postgresql, rdp, redis, rtsp, smb
from probes.kit.services.talk import MAX_ANSWER, MAX_FACT, Heard, Receive, Secure, Send, Talk, text

TALKS: dict[str, Callable[[str, int], Talk]] = {
    "greeting": greeting.talk,
    "http": http.talk,
    "mongodb": mongodb.talk,
    "mqtt": mqtt.talk,
    "mssql": mssql.talk,
    "onvif": onvif.talk,
    "postgresql": postgresql.talk,
    "rdp": rdp.talk,
    "redis": redis.talk,
    "rtsp": rtsp.talk,
    "smb": smb.talk,
}
MOST_STEPS = 12


def converse(talk: Talk, answers: Iterable[bytes]) -> Heard | None:
    """Play the other side: give each Receive the next answer (cut to its limit), and nothing once they are used up."""
    left = iter(answers)
    reply: bytes | None = None
    for _ in range(MOST_STEPS):
        try:
            step = talk.send(reply)  # type: ignore[arg-type]  # the first send of a generator is None
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        reply = b""
        if isinstance(step, Receive):
            assert 0 < step.limit <= MAX_ANSWER
            assert 0 < step.seconds <= 10
            reply = next(left, b"")[: step.limit]
            step.enough(reply)
        else:
            assert isinstance(step, Send | Secure)
    raise AssertionError("the conversation does not end")


def mysql_packet(payload: bytes) -> bytes:
    """Frame a first packet."""
    return len(payload).to_bytes(3, "little") + b"\0" + payload


@pytest.mark.parametrize(
    ("raw", "service", "facts"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "ssh", {"protocol": "2.0", "banner": "OpenSSH_9.2p1 Debian-2"}),
        (b"no shouting\r\nSSH-1.99-Cisco-1.25\n", "ssh", {"protocol": "1.99"}),
        (b"220 (vsFTPd 3.0.3)\r\n", "ftp", {"banner": "220 (vsFTPd 3.0.3)"}),
        (b"220 mx.example.edu.cn ESMTP Postfix\r\n", "smtp", {}),
        (b"+OK Dovecot (Debian) ready.\r\n", "pop3", {}),
        (b"* OK [CAPABILITY IMAP4rev1] Dovecot (Debian) ready.\r\n", "imap", {}),
        (b"RFB 003.008\n", "vnc", {"protocol": "RFB 003.008"}),
        (b"@RSYNCD: 31.0\n", "rsync", {"protocol": "31.0"}),
        (b"\xff\xfd\x18\xff\xfd\x20login: ", "telnet", {"banner": "login:"}),
        (
            mysql_packet(b"\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0rest"),
            "mysql",
            {"service.product": "MariaDB", "service.version": "10.11.6"},
        ),
        (mysql_packet(b"\x0a8.0.36\0rest"), "mysql", {"service.product": "MySQL", "service.version": "8.0.36"}),
        (mysql_packet(b"\xff\x6a\x04Host '10.0.0.9' is not allowed to connect to this MariaDB server"), "mysql", {}),
        (b"hello \xd6\xd0\xb9\xfa\n", "unknown", {"banner": "hello 中国"}),
    ],
)
def test_a_greeting_names_its_protocol(raw: bytes, service: str, facts: dict[str, str]) -> None:
    heard = greeting.read(raw)
    assert heard is not None
    assert heard.service == service
    assert facts.items() <= heard.facts.items()


def test_http_reads_head_and_title_and_asks_once() -> None:
    page = (
        b'HTTP/1.1 401 Unauthorized\r\nServer: nginx/1.22.1\r\nWWW-Authenticate: Basic realm="cam"\r\n'
        b"Set-Cookie: JSESSIONID=1\r\n\r\n<html><title>\n\xe6\x95\x99\xe5\x8a\xa1 &amp; OA</title>"
    )
    heard = converse(http.talk("2001:db8::1", 8080), [page])
    assert heard is not None
    assert heard.facts["http.title"] == "教务 & OA"
    assert heard.facts["http.status"] == "401"
    assert ("http_header.server", "nginx/1.22.1") in heard.answers
    assert b"Host: [2001:db8::1]:8080\r\n" in http.request("2001:db8::1", 8080, "http")
    assert b"Host: example.edu.cn\r\n" in http.request("example.edu.cn", 443, "https")


def test_redis_tells_open_from_closed() -> None:
    info = b"# Server\r\nredis_version:7.0.15\r\nos:Linux 6.1 x86_64\r\n"
    opened = converse(redis.talk("h", 6379), [b"+PONG\r\n", b"$%d\r\n%s\r\n" % (len(info), info)])
    assert opened is not None
    assert opened.facts["service.version"] == "7.0.15"
    assert opened.facts["authentication"] == "none"
    shut = converse(redis.talk("h", 6379), [b"-NOAUTH Authentication required.\r\n"])
    assert shut is not None
    assert shut.facts["authentication"] == "required"


def test_postgresql_with_and_without_tls() -> None:
    assert converse(postgresql.talk("h", 5432), [b"S"]).facts["tls.offered"] == "yes"  # type: ignore[union-attr]
    fields = b"SFATAL\0C0A000\0Munsupported frontend protocol 255.255\0\0"
    error = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    plain = converse(postgresql.talk("h", 5432), [b"N", error])
    assert plain is not None
    assert plain.facts["refusal"].startswith("unsupported frontend protocol")
    assert converse(postgresql.talk("h", 5432), [b"H"]) is None


def test_mqtt_rdp_rtsp_smb_mssql_mongodb() -> None:
    assert converse(mqtt.talk("h", 1883), [b"\x20\x02\x00\x05"]).facts == {"authentication": "required"}  # type: ignore[union-attr]
    rdp_answer = bytes.fromhex("030000130ed000001234000200080002000000")
    assert converse(rdp.talk("h", 3389), [rdp_answer]).facts["security"] == "CredSSP (NLA)"  # type: ignore[union-attr]
    camera = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: Rtsp Server/3.0\r\n\r\n"
    assert converse(rtsp.talk("h", 554), [camera]).answers == (("rtsp_header.server", "Rtsp Server/3.0"),)  # type: ignore[union-attr]
    body = struct.pack("<HHHH", 65, 3, 0x0302, 0) + bytes(56)
    answer = (64 + len(body)).to_bytes(4, "big") + b"\xfeSMB" + bytes(60) + body
    assert converse(smb.talk("h", 445), [answer]).facts == {"protocol": "SMB 3.0.2", "signing": "required"}  # type: ignore[union-attr]
    login = struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF) + struct.pack(">BBHH", 15, 0, 2000, 0) + b"\x00"
    tds = struct.pack(">BBHHBB", 4, 1, 8 + len(login), 0, 0, 0) + login
    assert converse(mssql.talk("h", 1433), [tds]).facts["service.version"] == "15.0.2000"  # type: ignore[union-attr]

    def reply(fields: bytes) -> bytes:
        bson = struct.pack("<i", len(fields) + 5) + fields + b"\0"
        return struct.pack("<iiiiIB", 21 + len(bson), 1, 1, 2013, 0, 0) + bson

    mongo = converse(
        mongodb.talk("h", 27017),
        [reply(b"\x08ismaster\0\x01\x10maxWireVersion\0\x09\0\0\0"), reply(b"\x02version\0\x07\0\0\0" + b"4.4.29\0")],
    )
    assert mongo is not None
    assert mongo.facts["service.version"] == "4.4.29"


SEEDS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n<title>",
        b"$999999\r\n",
        b"E\xff\xff\xff\xff",
        b"\xff" * 64,
        b"\x04\x01\xff\xff\x00\x00\x00\x00" + b"\x00\xff\xff\xff\xff" * 20,
        b"\xff\xff\xff\x00\x0a5.5",
        b"\x15\x00\x00\x00"
        + bytes(8)
        + b"\xdd\x07\0\0"
        + b"\0\0\0\0\0"
        + b"\xff\xff\xff\x7f"
        + b"\x03a\0\x01\0\0\0" * 9,
        b"\x1b]0;owned\x07\x1b[2J",
        (
            b'HTTP/1.1 200 OK\r\n\r\n<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
            b'xmlns:t="http://www.onvif.org/ver10/device/wsdl"><t:GetDeviceInformationResponse>'
            b"<t:Model>&#27;&#99999999;</t:Model>"
        ),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(TALKS)),
    answers=st.lists(
        st.one_of(st.binary(max_size=600), SEEDS, st.builds(bytes.__add__, SEEDS, st.binary(max_size=64))), max_size=4
    ),
)
def test_no_answer_breaks_or_prolongs_a_conversation(name: str, answers: list[bytes]) -> None:
    heard = converse(TALKS[name]("198.51.100.1", 1), answers)
    if heard is not None:
        shown = (answer for key, answer in heard.answers if not key.startswith("nmap."))
        for value in (*heard.facts.values(), *shown):
            assert len(value) <= MAX_FACT + 64
            assert value.isprintable()


@given(st.binary(max_size=2000))
def test_text_is_bounded_and_printable(raw: bytes) -> None:
    assert text(raw).isprintable()
    assert len(text(raw)) <= MAX_FACT


def test_text_reads_what_chinese_devices_send() -> None:
    assert text("教务系统".encode("gb18030")) == "教务系统"
    assert text("教务系统".encode() * 100, 100).startswith("教务系统")
    assert text("教务系统".encode("gb18030") * 200, 100).startswith("教务系统")
    assert text(b"a\x1b[31mb\r\n") == "a[31mb"


def test_mysql_waits_for_a_whole_packet_only() -> None:
    packet = mysql_packet(b"\x0a8.0.36\0")
    assert mysql.whole(packet)
    assert not mysql.whole(packet[:-1])
    assert not mysql.whole(b"\xff\xff\xff\0" + bytes(5000))
