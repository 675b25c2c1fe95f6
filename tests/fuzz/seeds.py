"""True answers from which the fuzzer begins, so that it need not find each protocol by chance."""

import zlib
from pathlib import Path

_TITLE = b"<html><head><title>x</title><link rel=icon href=/i.png><meta name=generator content=y></head>"
_SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
_SMB = (
    (64 + 64).to_bytes(4, "big")
    + b"\xfeSMB"
    + bytes(60)
    + b"\x41\0\3\0\2\3\0\0"
    + b"SAMBA".ljust(16, b"\0")
    + bytes(40)
)
_CHALLENGE = (
    (68 + 72).to_bytes(4, "big")
    + b"\xfeSMB"
    + bytes(64)
    + b"NTLMSSP\0\2\0\0\0"
    + bytes(8)
    + b"\1\2\x80\2"
    + bytes(16)
    + b"\x10\0\x10\0\x38\0\0\0\x0a\0\x65\x4a\0\0\0\x0f\1\0\4\0P\0C\0\0\0\0\0"
)
_SMB1 = (
    (37 + 34 + 14).to_bytes(4, "big")
    + b"\xffSMB\x72"
    + bytes(27)
    + b"\x11"
    + bytes(33)
    + b"\x08\x10\0"
    + bytes(8)
    + "AB\0C\0".encode("utf-16-le")
)
_BOUND = b"\5\0\x0c\3\x10\0\0\0\xff\0\0\0\1\0\0\0"
_ADB = b"CNXN\0\0\0\1\0\x10\0\0\x20\0\0\0" + bytes(4) + b"\xbc\xb1\xa7\xb1device::ro.product.model=x;\0"
_RPC = b"\x80\0\0\x30mark\0\0\0\1" + bytes(16) + b"\0\0\0\1\0\1\x86\xa3\0\0\0\2\0\0\0\6\0\0\x08\1" + bytes(4)
_UPS = b"\0\x12APC      : 001,036\n\0\x10MODEL    : Back\n\0\0"
_LDAP = bytes.fromhex(
    "3042020101643d040030393037041573747275637475726"  # one entry with structuralObjectClass
    "16c4f626a656374436c617373311e041c4f70656e4c444150726f6f7444534500000000000000000000000000"
)
_TDS = b"\4\1\0\x21\0\0\0\0\0\0\x0b\0\6\1\0\x11\0\1\xff\x0f\0\7\xd0\0\0\2"
_PG_ERROR = (
    b"SFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 255.255: server supports 3.0 to 3.0\0Fpostmaster.c\0\0"
)
_ONVIF = (
    b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:t="http://www.onvif.org/ver10/device/wsdl">'
    b"<e:Body><t:GetDeviceInformationResponse><t:Manufacturer>A&amp;B</t:Manufacturer><t:Model>M</t:Model>"
    b"<t:FirmwareVersion>1</t:FirmwareVersion></t:GetDeviceInformationResponse></e:Body></e:Envelope>"
)
_SNMP = bytes.fromhex("302d02010104067075626c6963a2200204000000010201000201003012301006082b0601020101010004044c696e75")


_OWN = (
    b'key = "k"\n[[fingerprint]]\ntitle = "A"\npattern = "^A"\ncertainty = 0.9\nsays = {}\n'
    b'examples = [{ text = "A" }]\n'
)
_RECOG = (
    b"<?xml version='1.0'?><fingerprints matches='k'><fingerprint pattern='^a(.)'><description>d</description>"
    b"<example>ab</example><param pos='1' name='service.version'/></fingerprint></fingerprints>"
)


_MDNS = (
    bytes.fromhex("0000840000000003 00000000".replace(" ", ""))
    + b"\x05_http\x04_tcp\x05local\0\0\x0c\0\1\0\0\0\x78\0\4\1x\xc0\x0c"
    + b"\xc0\x28\0\x21\0\1\0\0\0\x78\0\x0b\0\0\0\0\0\x50\2pc\xc0\x17"
    + b"\xc0\x3c\0\1\0\1\0\0\0\x78\0\4\xc6\x12\0\1"
)
_SSDP = (
    b"HTTP/1.1 200 OK\r\nLOCATION: http://198.18.0.1:5000/d.xml\r\nSERVER: Linux UPnP/1.0\r\n"
    b"USN: uuid:0123\r\nST: upnp:rootdevice\r\n\r\n"
)
_DESCRIPTION = b"<root><device><friendlyName>f</friendlyName><UDN>uuid:1</UDN></device></root>"
_WSD = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="a" xmlns:d="d"><s:Header><a:RelatesTo>x'
    b"</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><a:Address>urn:uuid:00000000-0000-0000-0000-000000000001"
    b"</a:Address><d:Types>d:Computer</d:Types><d:XAddrs>http://198.18.0.1:5357/x</d:XAddrs></d:ProbeMatches></s:Body>"
    b"</s:Envelope>"
)
_LEASES = (
    b"1900000000 02:00:00:00:00:01 198.18.0.1 pc 01:02:00:00:00:00:01\n",
    b'lease 198.18.0.1 {\n  ends never;\n  hardware ethernet 02:00:00:00:00:01;\n  client-hostname "pc";\n}\n',
    b"address,hwaddr,client_id,expire,hostname,state\n198.18.0.1,02:00:00:00:00:01,,1900000000,pc,0\n",
)
_SYN_ACK = (
    bytes.fromhex("4500002800000000400600001 2000001c612000200509c40".replace(" ", ""))
    + bytes(8)
    + b"\x50\x12"
    + bytes(6)
)
_UNREACHABLE = bytes.fromhex("45000038000000004001") + bytes(2) + b"\xc6\x12\0\1\xc6\x12\0\2\3\3" + bytes(6) + _SYN_ACK
_ROUTER = (
    b"\x60\0\0\0\0\x38\x3a\xff\xfe\x80" + bytes(13) + b"\1\xff\2" + bytes(13) + b"\1"
    + b"\x86\0\0\0\x40\xc0\x07\x08" + bytes(8) + b"\3\4\x40\xc0" + bytes(28) + b"\1\1" + bytes(6)
)  # fmt: skip
_FRAGMENT = b"\x60\0\0\0\0\x10\x2c\xff" + bytes(32) + b"\x3a\0\0\1\0\0\0\1"
_ARP = bytes.fromhex("0001080006040002020000000001c6120001020000000002c6120002")
_DNS = (
    b"\x81\x80\0\1\0\2\0\0\0\0\3www\6school\7example\0\0\x1c\0\1"
    b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1a\xc0\x10\xc0\x2f\0\x1c\0\1\0\0\0\x3c\0\x10" + bytes(16)
)


def _kexinit() -> bytes:
    def name(text: bytes) -> bytes:
        return len(text).to_bytes(4, "big") + text

    payload = b"\x14" + bytes(16) + name(b"curve25519-sha256") + name(b"ssh-ed25519") + name(b"") * 8 + bytes(5)
    padding = 8 - (5 + len(payload)) % 8 + 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def _reply() -> bytes:
    key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))
    signature = b"\0\0\0\x0bssh-ed25519\0\0\0\x40" + bytes(64)
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in (key, bytes(range(1, 33)), signature))
    payload = b"\x1f" + parts
    padding = 8 - (5 + len(payload)) % 8 + 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def _mysql() -> bytes:
    payload = b"\x0a5.5.5-10.11.6-MariaDB\0rest"
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def _certificate() -> bytes:
    try:
        from datetime import UTC, datetime

        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        return b""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x.school.example")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("x.school.example")]), critical=False)
    from cryptography.hazmat.primitives.serialization import Encoding

    return made.sign(key, None).public_bytes(Encoding.DER)


def _pieces(*answers: bytes) -> bytes:
    return b"".join(len(answer).to_bytes(2, "big") + answer for answer in answers)


def _seeds(target: str, talks: int) -> list[bytes]:
    page = b"HTTP/1.1 302 Found\r\nServer: nginx/1.22.1\r\nLocation: /login\r\nSet-Cookie: a=b\r\n\r\n" + _TITLE
    pg_error = b"E" + (len(_PG_ERROR) + 4).to_bytes(4, "big") + _PG_ERROR
    mails = (b"220 mx ESMTP Postfix\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n", _certificate())
    rdp = bytes.fromhex("030000130ed000001234000200080002000000")
    said = [
        (_SSH + _kexinit(), _reply()), mails, (page, page, page), (_mysql(),), (b"N", pg_error),
        (b"S", _certificate(), pg_error), (_LDAP,), (_SMB,), (_TDS,),
        (b"+PONG\r\n", b"$20\r\nredis_version:7.0.15\r\n"), (_certificate(), page),
        (rdp, _certificate(), b"\x30\x40NTLMSSP\0\2\0\0\0" + bytes(60)),
        (b"RTSP/1.0 200 OK\r\nServer: Rtsp Server/3.0\r\n\r\n",),
        (b"\x20\2\0\0", b"$SYS/broker/versionmosquitto version 2.0.11"),
        (b"HTTP/1.1 200 OK\r\nServer: gSOAP/2.8\r\n\r\n" + _ONVIF,) * 2,
        (b'HTTP/1.1 200 OK\r\n\r\n{"etcdserver":"\\ud83d3.5.1"}',),
        (_SMB, _CHALLENGE, _SMB1), (_SMB1,), (_BOUND + _CHALLENGE,), (_ADB,), (_RPC,), (_UPS,), (b"\5\0", page),
        (b"+OK ready\r\n", b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n", b"+OK\r\n", _certificate()),
        (b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\na0 OK\r\n", b"a1 NO\r\n"),
        (b"# munin node at x\n", b"munins node on x version: 2.0.73\n"),
    ]  # fmt: skip
    return {
        "conversations": [bytes([number]) + _pieces(*answers) for number in range(talks) for answers in said],
        "pages": [
            page,
            _TITLE,
            b"5\r\nhello\r\n0\r\n\r\n",
            zlib.compress(_TITLE),
            _ONVIF,
            zlib.compress(_ONVIF),
            b'{"version":{"number":"7.1"},"tagline":""}',
        ],
        "binaries": [
            _certificate(),
            _LDAP,
            _SMB,
            _SMB1,
            _RPC,
            _ADB,
            _TDS,
            bytes(40) + b"\2\0\4\0a\0b\0\0\0\0\0",
            _mysql(),
        ],
        "answers": [
            _SNMP,
            bytes(60),
            b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
            b"\x84\0\0\1\0\1" + bytes(40),
            b"\x20\0\0\0DHIP"
            + bytes(24)
            + b'{"mac":"\\ud800","params":{"deviceInfo":{"DeviceType":"\\ud83d","Version":"1"}}}',
            b"\1\0\0\x0e\x03\0\4v1.0\x0b\0\4name",
            b"\x05\x20\0ServerName;PC;Version;15.0.2000.5;;",
            b"\0\1\0\5\0\x09\0\0\0\2pc\0\3idl",
            b"\0\0\0\1\0\0VERSION 1.6.18\r\n",
        ],
        "snmp": [_SNMP, bytes(100), bytes(range(200))],
        "files": [
            _OWN,
            _RECOG,
            b"Probe TCP Get q|GET / HTTP/1.0|\nports 80\nmatch http m|^HTTP/1.\\d (\\d+)|s p/x/ v/$1/\n",
            b'{"schema":"edusec.fingerprints/1","fingerprints":0,"probes":0}\n{"probe":{}}\n',
            b'[[agent]]\nhosts = ["198.18.0.1"]\ncommunity = "x"\n',
            b"OUI   Organization  \r\n\r\n20-85-93   (hex)\t\tA\r\nB00000-BFFFFF     (base 16)\t\tA\r\n\t\tStreet\r\n",
            b'Registry,Assignment,Organization Name,Organization Address\r\nMA-S,70B3D5F2F,"A, ""B""","C\nD"\r\n',
            b"# list\n44:19:b6\tHangzhou Hikvision\n4419B6 Other\n8C1F64ABC X\n020000 local\n",
        ],
        "announcements": [_MDNS, _SSDP, _DESCRIPTION, _WSD, *_LEASES],
        "packets": [_SYN_ACK, _UNREACHABLE, _ROUTER, _FRAGMENT + _ROUTER, _ARP],
        "names": [
            _DNS,
            page + b"<base href=/a><img srcset='b 1x, c 2x'><script>'http://192.0.2.1/'</script><style>@import 'x'",
        ],
    }[target]


def write(target: str, folder: Path, talks: int) -> None:
    """Write the seeds of a target as files of a new folder."""
    folder.mkdir()
    for number, seed in enumerate(_seeds(target, talks)):
        (folder / str(number)).write_bytes(seed)
