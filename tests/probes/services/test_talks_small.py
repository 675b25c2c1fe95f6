"""Conversations with small services: what known answers say, and what is not taken for them."""

import struct
from collections.abc import Mapping
from types import ModuleType

import pytest

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.services import identity
from probes.kit.services.protocols import (
    adb,
    apcupsd,
    clamd,
    fcgi,
    gearman,
    greeting,
    jdwp,
    ldap,
    outdated,
    postgresql,
    rmi,
    rpc,
    sane,
    socks,
    spamd,
    starttls,
)
from probes.kit.services.talk import Heard
from tests.probes.services.talks import converse

KNOWN = by_key(built_in())


def adb_message(command: bytes, banner: bytes = b"") -> bytes:
    """Frame an answer of Android's debug bridge."""
    magic = struct.pack("<I", int.from_bytes(command, "little") ^ 0xFFFFFFFF)
    return command + struct.pack("<IIII", 0x01000001, 4096, len(banner), sum(banner)) + magic + banner


def pg_error(**fields: str) -> bytes:
    """Frame an ErrorResponse of PostgreSQL's protocol."""
    body = b"".join(f"{name}{text}\0".encode() for name, text in fields.items()) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


def root_dse(**values: str) -> bytes:
    """Frame an entry of LDAP with one value for each attribute; short ones only."""

    def tlv(tag: int, body: bytes) -> bytes:
        return bytes([tag]) + b"\x82" + len(body).to_bytes(2, "big") + body

    attributes = b"".join(
        tlv(0x30, tlv(4, name.encode()) + tlv(0x31, tlv(4, text.encode()))) for name, text in values.items()
    )
    return tlv(0x30, b"\2\1\1" + tlv(0x64, tlv(4, b"") + tlv(0x30, attributes)))


@pytest.mark.parametrize(
    ("module", "answer", "service", "facts"),
    [
        (socks, b"\x05\x00", "socks5", {"authentication": "none"}),
        (socks, b"\x05\xff", "socks5", {"authentication": "required"}),
        (socks, b"\x05\x02", None, {}),
        (socks, b"\x05\x00\x00", None, {}),
        (
            adb,
            adb_message(b"CNXN", b"device::ro.product.name=rk3588;ro.product.model=MAXHUB;ro.product.device=x;\0"),
            "adb",
            {"authentication": "none", "os.family": "Android", "hw.product": "MAXHUB", "model": "MAXHUB"},
        ),
        (adb, adb_message(b"AUTH", bytes(20)), "adb", {"authentication": "required"}),
        (adb, adb_message(b"STLS"), "adb", {"authentication": "required"}),
        (adb, b"CNXN" + bytes(20), None, {}),
        (jdwp, b"JDWP-Handshake", "jdwp", {"authentication": "none"}),
        (jdwp, b"JDWP-Handshake!", None, {}),
        (rmi, b"\x4e\x00\x0b198.18.0.10\x00\x00\xd2\x04", "java-rmi", {}),
        (rmi, b"\x4e\x00\x04x<>y\x00\x00\xd2\x04", None, {}),
        (rmi, b"NO", None, {}),
        (
            fcgi,
            b"\x01\x0a\0\0\x00\x11\x07\0\x0e\x01FCGI_MAX_CONNS1" + bytes(7),
            "fastcgi",
            {"authentication": "none"},
        ),
        (fcgi, b"\x01\x0b\0\0\0\x08\0\0" + bytes(8), None, {}),
        (clamd, b"ClamAV 1.4.6/27812/Sun Nov 29 2026\n", "clam", {"service.version": "1.4.6"}),
        (clamd, b"UNKNOWN COMMAND\n", None, {}),
        (gearman, b"OK 1.1.20+ds\n", "gearman", {"service.version": "1.1.20"}),
        (gearman, b"OK ready\n", None, {}),
        (sane, b"\0\0\0\0\1\1\0\3", "sane-port", {}),
        (sane, b"\0\0\0\x0b\1\0\0\3", "sane-port", {}),
        (sane, b"\0\0\0\x63\1\0\0\3", None, {}),
        (
            apcupsd,
            b"\0\x18APC      : 001\n\0\x28VERSION  : 3.14.14 (31 May 2016)\n\0\x1fMODEL    : Smart-UPS\n\0\0",
            "apcupsd",
            {"service.version": "3.14.14", "model": "Smart-UPS"},
        ),
        (apcupsd, b"\0\x06ERROR \0\0", None, {}),
        (spamd, b"SPAMD/1.5 0 PONG\r\n", "spamd", {"service.product": "SpamAssassin"}),
        (spamd, b"220 SPAMD/\r\n", None, {}),
    ],
)  # fmt: skip
def test_an_answer_names_its_protocol_or_none(
    module: ModuleType, answer: bytes, service: str | None, facts: Mapping[str, str]
) -> None:
    heard = converse(module.talk("h", 1), [answer])
    assert (heard and heard.service) == service
    assert facts.items() <= (heard.facts if heard else {}).items()


@pytest.mark.parametrize(
    ("raw", "port", "service", "product"),
    [
        (b"220 vm dictd 1.13.0/rf on Linux 6.1 <auth.mime> <1.2.3@vm>\r\n", 2628, "dict", "dictd"),
        (b"220 a server of words <> <1.2.3@vm>\r\n", 2628, "dict", ""),
        (b"220 VMware Authentication Daemon Version 1.10: SSL Required\r\n", 902, "vmware-auth", ""),
        (b"220 ready\r\n", 25, "smtp", ""),
        (b"220 ready\r\n", 21, "ftp", ""),
        (b"220 school FTP server ready\r\n", 25, "ftp", ""),
        (b"# munin node at node.example\n", 4949, "munin", "Munin"),
        (b"NBDMAGICIHAVEOPT\0\3", 10809, "nbd", ""),
        (b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\nOK "x"\r\n', 4190, "sieve", "Dovecot Pigeonhole"),
        (b'{"class":"VERSION","release":"3.22","rev":"3.22"}\r\n', 2947, "gpsd", "gpsd"),
        (b"29 NOV 2026 21:39:53 UTC\r\n", 13, "daytime", ""),
        (b"Sun Nov 29 21:39:53 2026\r\n", 13, "daytime", ""),
        (b"Error at 21:39:53 in line 7\n", 7777, "unknown", ""),
        (bytes(range(33, 105)) + b"\r\n", 19, "chargen", ""),
    ],
)  # fmt: skip
def test_a_greeting_is_what_it_is_and_not_what_it_begins_like(
    raw: bytes, port: int, service: str, product: str
) -> None:
    heard = greeting.read(raw, port)
    assert heard is not None
    found = identity.of(heard, KNOWN)
    assert (found.service, found.product) == (service, product)


def test_what_speaks_postgresqls_protocol_need_not_be_postgresql() -> None:
    def product(answer: bytes) -> str:
        heard = converse(postgresql.talk("h", 5432), [b"N", answer])
        assert heard is not None
        return identity.of(heard, KNOWN).product

    refusal = {"S": "FATAL", "C": "0A000", "M": "unsupported frontend protocol 255.255: server supports 3.0 to 3.0"}
    assert product(pg_error(**refusal, V="FATAL", F="postmaster.c")) == "PostgreSQL"
    assert product(pg_error(**refusal)) == ""
    assert product(pg_error(S="ERROR", C="08P01", M="bad packet header: '0000000800ff00ff'")) == "PgBouncer"
    offers_tls = converse(postgresql.talk("h", 5432), [b"S"])
    assert offers_tls is not None
    assert identity.of(offers_tls, KNOWN).product == ""


def test_sambas_domain_controller_is_not_microsofts() -> None:
    both = {"forestFunctionality": "4", "defaultNamingContext": "DC=school,DC=example"}
    heard = ldap.read(root_dse(**both, vendorName="Samba Team (https://samba.org)"))
    assert heard is not None
    assert identity.of(heard, KNOWN).product == "Samba"
    assert identity.of(heard, KNOWN).system == ""
    heard = ldap.read(root_dse(**both, supportedExtension="1.3.6.1.4.1.1466.20037"))
    assert heard is not None
    assert identity.of(heard, KNOWN).product == "Active Directory"
    assert heard.facts["starttls"] == "offered"


def test_the_list_of_a_port_mapper_is_read_and_its_mark_must_be_ours() -> None:
    entries = ((100000, 111), (100003, 2049), (100005, 635), (400000, 9))
    listed = b"".join(struct.pack(">IIIII", 1, program, 2, 6, port) for program, port in entries)
    body = b"mark" + struct.pack(">IIIIII", 1, 0, 0, 0, 0, 0)[:20] + listed + bytes(4)
    raw = struct.pack(">I", 0x80000000 | len(body)) + body
    heard = rpc.read(b"mark", raw)
    assert heard is not None
    assert heard.facts == {"rpc.programs": "400000, mountd, nfs, portmapper"}
    assert rpc.read(b"kram", raw) is None
    denied = rpc.read(b"mark", struct.pack(">I", 0x80000000 | 20) + b"mark" + struct.pack(">IIII", 1, 1, 1, 5))
    assert denied is not None
    assert denied.facts == {}


@pytest.mark.parametrize(
    ("service", "answers", "login"),
    [
        ("imap", [b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na0 OK done\r\n"], "offered"),
        ("imap", [b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na0 OK done\r\n"], "not offered"),
        ("imap", [b"a0 BAD not now\r\n"], None),
        ("pop3", [b"+OK\r\nTOP\r\nUSER\r\nSTLS\r\n.\r\n"], "offered"),
        ("pop3", [b"+OK\r\nTOP\r\nSASL CRAM-MD5 PLAIN\r\n.\r\n"], "offered"),
        ("pop3", [b"+OK\r\nTOP\r\nSASL CRAM-MD5\r\nIMPLEMENTATION a USER of names\r\n.\r\n"], "not offered"),
        ("pop3", [b"-ERR unknown command\r\n"], None),
        ("smtp", [b"250-mx\r\n250 AUTH PLAIN\r\n"], "offered"),
        ("smtp", [b"250-mx\r\n250 SIZE\r\n"], "not offered"),
        ("smtp", [b"502 no\r\n"], None),
    ],
)
def test_a_login_before_tls_is_what_the_server_lists(service: str, answers: list[bytes], login: str | None) -> None:
    heard = converse(starttls.go_on(Heard(service)), answers)
    assert heard is not None
    assert heard.facts.get("mail.login") == login


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x16\x03\x02\x00\x39\x02\x00\x00\x35\x03\x02" + bytes(32), "TLSv1.1"),
        (b"\x16\x03\x01\x00\x39\x02\x00\x00\x35\x03\x01" + bytes(32), "TLSv1"),
        (b"\x16\x03\x00\x00\x39\x02\x00\x00\x35\x03\x00" + bytes(32), "SSLv3"),
        (b"\x15\x03\x02\x00\x02\x02\x46", "refused"),
        (b"\x15\x03\x02\x00\x02\x02\x28", None),
        (b"\x16\x03\x03\x00\x39\x02\x00\x00\x35\x03\x03" + bytes(32), None),
        (b"HTTP/1.1 400 Bad Request\r\n", None),
        (b"", None),
    ],
)
def test_old_tls_is_refused_only_where_the_server_says_so(raw: bytes, said: str | None) -> None:
    heard = converse(outdated.talk("h", 443), [raw])
    assert (heard and heard.facts) == (said and {"tls.outdated": said})
