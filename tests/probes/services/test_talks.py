"""Conversations with services: what known answers say."""

import gzip
import struct
from collections.abc import Callable

import pytest

from probes.kit.services.protocols import (
    afp,
    ajp,
    amqp,
    beanstalkd,
    cassandra,
    etcd,
    greeting,
    http,
    iscsi,
    kafka,
    mongodb,
    mqtt,
    mssql,
    mysql,
    nut,
    oracle,
    postgresql,
    rdp,
    redis,
    rtsp,
    sip,
    smb,
    x11,
    xmpp,
    zookeeper,
)
from probes.kit.services.protocols.murmur import icon_hash
from probes.kit.services.talk import MAX_ANSWER, Heard, Receive, Send, Talk, text
from tests.probes.services.talks import converse, cql, mysql_packet, tns


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
        (b":irc.example NOTICE * :*** Looking up your hostname...\r\n", "irc", {"host.name": "irc.example"}),
        (b"@RSYNCD: 31.0\n", "rsync", {"protocol": "31.0"}),
        (b"\xff\xfd\x18\xff\xfd\x20login: ", "telnet", {"banner": "login:"}),
        (
            mysql_packet(b"\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0rest"),
            "mysql",
            {"service.product": "MariaDB", "service.version": "10.11.6"},
        ),
        (mysql_packet(b"\x0a8.0.36\0rest"), "mysql", {"service.product": "MySQL", "service.version": "8.0.36"}),
        (
            mysql_packet(b"\x0a5.7.25-OceanBase-v4.2.1.0\0rest"),
            "mysql",
            {"service.product": "OceanBase", "service.version": "4.2.1.0"},
        ),
        (
            mysql_packet(b"\x0a8.0.11-TiDB-v7.5.1\0rest"),
            "mysql",
            {"service.product": "TiDB", "service.version": "7.5.1"},
        ),
        (
            b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 absent-entries depth ) ) ) ",
            "svn",
            {"service.product": "Subversion", "protocol": "svn 2"},
        ),
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


def test_an_icon_is_hashed_whole_or_not_at_all() -> None:
    icon = b"\x89PNG" + bytes(MAX_ANSWER)
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"

    def look(answer: bytes) -> Heard | None:
        page = http.read(b"HTTP/1.1 200 OK\r\n\r\n", where=("127.0.0.1", 80))
        assert page is not None
        return converse(page.then[0]("127.0.0.1", 80), [answer])

    assert look(packed + gzip.compress(icon)) is None
    assert look(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + icon[:50]) is None
    assert look(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n" + icon[:50]) is None
    whole = look(packed + gzip.compress(icon[:99]))
    assert whole is not None
    assert whole.facts["http.icon"] == str(icon_hash(icon[:99]))


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


def test_telnet_refuses_each_option_once_and_reads_up_to_the_login() -> None:
    talk = greeting.talk("h", 23)
    assert isinstance(next(talk), Receive)
    step = talk.send(b"\xff\xfd\x18\xff\xfb\x01\xff\xfd\x18")
    assert step == Send(b"\xff\xfc\x18\xff\xfe\x01")
    assert isinstance(talk.send(b""), Receive)
    with pytest.raises(StopIteration) as end:
        talk.send(b"\xff\xfd\x18\r\n  Copyright (c) 2004-2017 New H3C Technologies Co., Ltd.\r\n\r\nlogin: ")
    heard = end.value.value
    assert heard.facts["banner"] == "Copyright (c) 2004-2017 New H3C Technologies Co., Ltd. login:"
    assert ("telnet.options", "DO 24 WILL 1 DO 24") in heard.answers


@pytest.mark.parametrize(
    ("answers", "facts"),
    [
        ([b"RFB 003.008\n", b"\x01\x01"], {"authentication": "none", "security": "none"}),
        ([b"RFB 003.008\n", b"\x02\x13\x02"], {"authentication": "required", "security": "VeNCrypt, VNC password"}),
        ([b"RFB 003.003\n", b"\0\0\0\x02"], {"authentication": "required", "security": "VNC password"}),
        ([b"RFB 003.008\n", b"\0\0\0\0\x04busy"], {}),
        ([b"RFB 005.000\n", b"\x05\x01"], {}),
    ],
)
def test_vnc_tells_who_may_watch(answers: list[bytes], facts: dict[str, str]) -> None:
    heard = converse(greeting.talk("h", 5900), answers)
    assert heard is not None
    assert {name: heard.facts[name] for name in ("authentication", "security") if name in heard.facts} == facts


@pytest.mark.parametrize(("source", "product"), [("1234", "Remote Desktop Services"), ("0000", None)])
def test_only_windows_is_called_windows(source: str, product: str | None) -> None:
    confirmed = bytes.fromhex(f"030000130ed00000{source}000200080002000000")
    challenge = b"NTLMSSP\0\2\0\0\0" + bytes(8) + struct.pack("<I", 0x02000000) + bytes(24)
    talk = rdp.talk("h", 3389)
    replies = [
        None,
        b"",
        confirmed,
        b"certificate",
        b"TLSv1.2 X",
        b"",
        challenge + bytes([6, 1]) + b"\xb1\x1d" + bytes(4),
    ]
    for reply in replies[:-1]:
        talk.send(reply)  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as end:
        talk.send(replies[-1])  # type: ignore[arg-type]
    assert end.value.value.facts.get("service.product") == product
    assert ("os.product" in end.value.value.facts) is (product is not None)


@pytest.mark.parametrize(
    ("raw", "service", "then"),
    [
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "rtsp", rtsp.talk),
        (b"SIP/2.0 400 Bad\r\n\r\n", "sip", sip.talk),
        (b"AMQP\0\0\x09\x01", "amqp", amqp.talk),
        (b":irc.example 451 * :Connection not registered\r\n", "irc", None),
        (b"UNKNOWN_COMMAND\r\n" * 3, "beanstalkd", beanstalkd.talk),
        (b"ERR UNKNOWN-COMMAND\n" * 3, "nut", nut.talk),
        (b"<?xml version='1.0'?><stream:stream id='' xmlns='jabber:client'>", "xmpp-client", xmpp.talk),
    ],
)
def test_other_protocols_answer_a_browser_in_their_own_words(
    raw: bytes, service: str, then: Callable[[str, int], Talk] | None
) -> None:
    heard = converse(http.talk("h", 12345), [raw])
    assert heard is not None
    assert heard.service == service
    assert heard.then == ((then,) if then else ())


@pytest.mark.parametrize(
    ("talk", "raw", "product", "version"),
    [
        (ajp.talk, b"AB\0\x01\x09", None, None),
        (
            zookeeper.talk,
            b"Zookeeper version: 3.8.0--1, built on 2023-10-12 09:14 UTC\nLatency min/avg/max: 0/0.0/0\n",
            "ZooKeeper",
            "3.8.0",
        ),
        (zookeeper.talk, b"srvr is not executed because it is not in the whitelist.\n", "ZooKeeper", None),
        (
            amqp.talk,
            (
                b"\x01\0\0\0\0\0\x38\0\x0a\0\x0a\0\x09\0\0\0\x2a"
                b"\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8\xce"
            ),
            "RabbitMQ",
            "3.10.8",
        ),
        (nut.talk, b"Network UPS Tools upsd 2.8.0 - https://www.networkupstools.org/\n", "upsd", "2.8.0"),
        (
            oracle.talk,
            tns(4, b'"\0\0Y(DESCRIPTION=(TMP=)(VSNNUM=186647040)(ERR=1189)(ERROR_STACK=(ERROR=(CODE=1189)(EMFI=4))))'),
            "TNS listener",
            "11.2.0.2.0",
        ),
        (oracle.talk, tns(4, b'"\0\0[(DESCRIPTION=(TMP=)(VSNNUM=352321536)(ERR=12514))'), "TNS listener", "21"),
        (
            oracle.talk,
            tns(2, b"\1\x35(VERSION=TNSLSNR for Linux: Version 11.2.0.1.0 - Production)"),
            "TNS listener",
            "11.2.0.1.0",
        ),
        (cassandra.talk, cql(b"\0\1\0\x0bCQL_VERSION\0\1\0\x053.4.5"), None, None),
        (
            cassandra.talk,
            cql(b"\0\2\0\x0cSCYLLA_SHARD\0\1\0\x010\0\x0bCQL_VERSION\0\1\0\x053.3.1"),
            "ScyllaDB",
            None,
        ),
        (kafka.talk, struct.pack(">iihi", 22, 0x65647573, 0, 2) + struct.pack(">6h", 0, 0, 9, 18, 0, 3), None, None),
        (iscsi.talk, b"#\x81" + bytes(46), None, None),
    ],
)
def test_brokers_and_doors_behind_the_web(
    talk: Callable[[str, int], Talk], raw: bytes, product: str | None, version: str | None
) -> None:
    heard = converse(talk("h", 1), [raw])
    assert heard is not None
    assert (heard.facts.get("service.product"), heard.facts.get("service.version")) == (product, version)
    assert converse(talk("h", 1), [b"HTTP/1.1 400 Bad Request\r\n\r\n"]) is None


@pytest.mark.parametrize(
    ("talk", "raw", "facts"),
    [
        (iscsi.talk, b"#\x81" + bytes(34) + b"\2\1" + bytes(10), {"authentication": "required"}),
        (
            x11.talk,
            b"\0\x1e\x0b\0\0\0\x08\0Authorization required, but no\0\0",
            {"authentication": "required", "refusal": "Authorization required, but no"},
        ),
        (
            afp.talk,
            b"\1\3\0\1"
            + bytes(4)
            + struct.pack(">II", 60, 0)
            + struct.pack(">HHHHH", 16, 28, 42, 0, 0)
            + b"\x05store\x0bNetatalk3.1\1\x0cAFP3.4 again\1\x0fNo User Authent",
            {"host.name": "store", "authentication": "guests may enter"},
        ),
        (kafka.talk, struct.pack(">iihi", 22, 1, 0, 2) + bytes(12), None),
    ],
)
def test_who_may_enter_is_said(talk: Callable[[str, int], Talk], raw: bytes, facts: dict[str, str] | None) -> None:
    heard = converse(talk("h", 1), [raw])
    assert (heard and {**heard.facts, **(facts or {})}) == (heard and dict(heard.facts))
    assert (heard is None) is (facts is None)


def test_opengauss_is_no_old_postgresql() -> None:
    refusal = b"E%cSFATAL\0C0A000\0Munsupported frontend protocol 255.255: server supports 1.0 to 3.51\0\0"
    heard = converse(postgresql.talk("h", 1), [b"N", refusal.replace(b"%c", struct.pack(">I", len(refusal) + 1))])
    assert heard is not None
    assert heard.facts["service.product"] == "openGauss"
    assert "service.version" not in heard.facts


def test_text_reads_what_chinese_devices_send() -> None:
    assert text("教务系统".encode("gb18030")) == "教务系统"
    assert text("教务系统".encode() * 100, 100).startswith("教务系统")
    assert text("教务系统".encode("gb18030") * 200, 100).startswith("教务系统")
    assert text(b"a\x1b[31mb\r\n") == "a[31mb"


def test_half_a_character_in_a_version_is_none() -> None:
    heard = converse(etcd.talk("198.18.0.1", 2379), [b'HTTP/1.1 200 OK\r\n\r\n{"etcdserver":"\\ud83d3.5.1"}'])
    assert heard is not None
    assert heard.facts["service.version"] == "?3.5.1"


def test_mysql_waits_for_a_whole_packet_only() -> None:
    packet = mysql_packet(b"\x0a8.0.36\0")
    assert mysql.whole(packet)
    assert not mysql.whole(packet[:-1])
    assert not mysql.whole(b"\xff\xff\xff\0" + bytes(5000))
