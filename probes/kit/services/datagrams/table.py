"""What to ask a UDP port, and what its answer says: one harmless question for each protocol, no secret ever tried.

A question is made anew for each use, so that its random mark shows whether an answer belongs to it.
"""

import os
import re
import struct
from collections.abc import Mapping
from uuid import uuid4

from probes.kit.services.datagrams.devices import DEVICES
from probes.kit.services.datagrams.networks import NETWORKS
from probes.kit.services.datagrams.question import Question, ber
from probes.kit.services.protocols import dhcp, dns, sip
from probes.kit.services.talk import Heard, text


def question(port: int) -> Question:
    """Give the question for a port; ports of no known protocol are asked with an empty datagram."""
    return BY_PORT.get(port, EMPTY)


def _ntp() -> bytes:
    return bytes([0x23]) + bytes(39) + os.urandom(8)  # version 4, client; the mark is the transmit time (RFC 5905)


def _read_ntp(asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 48 or got[0] & 7 not in (2, 4) or got[24:32] != asked[40:48]:
        return None
    return Heard("ntp", {"protocol": f"NTP {(got[0] >> 3) & 7}", "ntp.stratum": str(got[1])})


def _snmp() -> bytes:
    # Discovery of the engine (RFC 3414 section 4) needs no user, no community and no password.
    number = struct.pack(">i", int.from_bytes(os.urandom(4), "big") & 0x7FFFFFFF | 0x40000000)
    zero, nothing = ber(2, b"\0"), ber(4)
    header = ber(0x30, ber(2, number), ber(2, b"\x10\x00"), ber(4, b"\x04"), ber(2, b"\x03"))
    security = ber(4, ber(0x30, nothing, zero, zero, nothing, nothing, nothing))
    scoped = ber(0x30, nothing, nothing, ber(0xA0, ber(2, number), zero, zero, ber(0x30)))
    return ber(0x30, ber(2, b"\x03"), header, security, scoped)


def _read_snmp(asked: bytes, got: bytes) -> Heard | None:
    number = asked[asked.index(b"\x02\x04") + 2 :][:4]
    if got[:1] != b"\x30" or b"\x02\x01\x03" not in got[:12] or not _reports(number, got):
        return None
    facts = {"protocol": "SNMPv3"}
    # The engine's id begins with the maker's enterprise number, its first bit set (RFC 3411, SnmpEngineID).
    found = re.search(rb"\x04[\x05-\x20](\x80[\x00-\xff]{3}[\x00-\xff])", got)
    if found is not None:
        enterprise = int.from_bytes(found[1][:4], "big") & 0x7FFFFFFF
        facts["snmp.enterprise"] = str(enterprise)
        if enterprise == NET_SNMP:
            facts |= {"service.vendor": "Net-SNMP", "service.product": "Net-SNMP"}
        elif enterprise in ENTERPRISES:
            facts["hw.vendor"] = ENTERPRISES[enterprise]
    return Heard("snmp", facts)


def _reports(number: bytes, got: bytes) -> bool:
    """Tell whether it is a Report PDU (0xA8, RFC 3416) that carries our number."""
    return re.search(rb"\xa8[\x00-\xff]{1,3}\x02\x04" + re.escape(number), got) is not None


NET_SNMP = 8072
"""An agent, and no maker of devices."""
ENTERPRISES: Mapping[int, str] = {
    9: "Cisco",
    11: "HP",
    311: "Microsoft",
    2011: "Huawei",
    3902: "ZTE",
    4881: "Ruijie",
    25506: "H3C",
    39165: "Hikvision",
}
"""Private enterprise numbers (IANA) of what stands in schools."""


def _ssdp() -> bytes:
    return b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n'


def _read_ssdp(_asked: bytes, got: bytes) -> Heard | None:
    if not got.startswith(b"HTTP/1.1 200"):
        return None
    facts = {"status": text(got.split(b"\r\n", 1)[0])}
    for name in ("Server", "Location", "ST"):
        found = re.search(rb"\r\n" + name.encode() + rb": *([^\r\n]{1,256})", got, re.IGNORECASE)
        if found is not None:
            facts[f"ssdp.{name.lower()}"] = text(found[1])
    return Heard("ssdp", facts, (("ssdp_header.server", facts["ssdp.server"]),) if "ssdp.server" in facts else ())


def _netbios() -> bytes:
    name = b"\x20" + b"CK" + b"A" * 30 + b"\x00"  # "*", first-level encoded (RFC 1001 section 14.1)
    return os.urandom(2) + struct.pack(">HHHHH", 0, 1, 0, 0, 0) + name + struct.pack(">HH", 0x21, 1)


def _read_netbios(asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 57 or got[:2] != asked[:2] or not got[2] & 0x80 or got[46:48] != b"\x00\x21":
        return None
    count, facts = got[56], {}
    for place in range(min(count, 32)):
        entry = got[57 + 18 * place : 57 + 18 * place + 18]
        if len(entry) < 18:
            break
        group = entry[16] & 0x80
        if entry[15] == 0 and (key := "host.domain" if group else "host.name") not in facts:
            facts[key] = text(entry[:15])
    mac = got[57 + 18 * count : 63 + 18 * count]
    if len(mac) == 6 and any(mac):
        facts["host.mac"] = mac.hex(":")
    return Heard("netbios-ns", facts, (("netbios.mac", mac.hex(":")),))


def _mdns() -> bytes:
    name = b"\x09_services\x07_dns-sd\x04_udp\x05local\x00"
    return os.urandom(2) + struct.pack(">HHHHH", 0, 1, 0, 0, 0) + name + struct.pack(">HH", 12, 0x8001)


def _read_mdns(_asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 12 or not got[2] & 0x80:
        return None
    kinds = sorted({text(kind) for kind in re.findall(rb"[\x02-\x10](_[a-z0-9-]{1,15})[\x04](?:_tcp|_udp)", got)})
    return Heard("mdns", {"mdns.services": ", ".join(kinds[:16])} if kinds else {})


def _coap() -> bytes:
    return b"\x40\x01" + os.urandom(2) + b"\xbb.well-known\x04core"  # confirmable GET (RFC 7252)


def _read_coap(asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 4 or got[0] >> 6 != 1 or got[2:4] != asked[2:4]:
        return None
    return Heard("coap", {"coap.code": f"{got[1] >> 5}.{got[1] & 31:02}"})


def _tftp() -> bytes:
    return b"\x00\x01edusec-" + os.urandom(4).hex().encode() + b"\x00octet\x00"  # a file that exists nowhere


def _read_tftp(_asked: bytes, got: bytes) -> Heard | None:
    if got[:2] not in (b"\x00\x05", b"\x00\x03", b"\x00\x06"):
        return None
    return Heard("tftp", {"refusal": text(got[4:].split(b"\0", 1)[0])} if got[1] == 5 else {})


def _rpc() -> bytes:
    return os.urandom(4) + struct.pack(
        ">IIIIIIIII", 0, 2, 100000, 2, 0, 0, 0, 0, 0
    )  # NULL of the portmapper (RFC 1833)


def _read_rpc(asked: bytes, got: bytes) -> Heard | None:
    return Heard("sunrpc") if len(got) >= 12 and got[:8] == asked[:4] + b"\0\0\0\x01" else None


def _sip() -> bytes:
    return sip.request("UDP")


def _radius() -> bytes:
    # Status-Server (RFC 5997); a server that does not know us as its client keeps silent, and so stays open|filtered.
    return b"\x0c" + os.urandom(1) + struct.pack(">H", 38) + os.urandom(16) + b"\x50\x12" + bytes(16)


def _read_radius(asked: bytes, got: bytes) -> Heard | None:
    return Heard("radius") if len(got) >= 20 and got[0] in (2, 3, 5, 11) and got[1] == asked[1] else None


def _browser() -> bytes:
    return b"\x02"  # CLNT_UCAST_EX of MC-SQLR


def _read_browser(_asked: bytes, got: bytes) -> Heard | None:
    if got[:1] != b"\x05":
        return None
    words = text(got[3:], 200).split(";")
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    facts = {"os.family": "Windows", "service.vendor": "Microsoft", "service.product": "SQL Server"}
    if "Version" in pairs:
        facts["service.version"] = pairs["Version"]
    if "ServerName" in pairs:
        facts["host.name"] = pairs["ServerName"]
    return Heard("ms-sql-m", facts)


def _memcached() -> bytes:
    return os.urandom(2) + b"\x00\x00\x00\x01\x00\x00version\r\n"


def _read_memcached(asked: bytes, got: bytes) -> Heard | None:
    found = re.match(rb"VERSION (\d[\w.]{0,31})", got[8:]) if got[:2] == asked[:2] else None
    if found is None:
        return None
    return Heard(
        "memcache", {"service.product": "Memcached", "service.version": text(found[1]), "authentication": "none"}
    )


def _discovery() -> bytes:
    return (
        '<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header>'
        f"<w:MessageID>uuid:{uuid4()}</w:MessageID><w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>"
        "<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>"
        "<e:Body><d:Probe/></e:Body></e:Envelope>"
    ).encode()


def _read_discovery(asked: bytes, got: bytes) -> Heard | None:
    mark = re.search(rb"uuid:[0-9a-f-]{36}", asked)
    if mark is None or mark[0] not in got or b"RelatesTo" not in got:
        return None
    scopes = re.findall(rb"onvif://www\.onvif\.org/(name|hardware)/([\w%.-]{1,64})", got)
    facts = {f"onvif.{text(name)}": text(value) for name, value in scopes[:8]}
    if scopes or b"NetworkVideoTransmitter" in got:
        facts["hw.device"] = "camera or recorder"
    return Heard("ws-discovery", facts)


def _ike() -> bytes:
    # An IKEv2 IKE_SA_INIT of a header only: a daemon answers INVALID_SYNTAX or keeps silent (RFC 7296).
    return os.urandom(8) + bytes(8) + b"\x00\x20\x22\x08" + bytes(4) + struct.pack(">I", 28)


def _read_ike(asked: bytes, got: bytes) -> Heard | None:
    return Heard("isakmp") if len(got) >= 28 and got[:8] == asked[:8] and got[19] & 0x20 else None


def _any(_asked: bytes, got: bytes) -> Heard | None:
    return Heard("unknown", {"banner": text(got)}) if got else None


EMPTY = Question("unknown", (), lambda: b"", _any)

QUESTIONS: tuple[Question, ...] = (
    Question("domain", (53,), dns.ask, dns.read),
    Question("bootps", (67,), dhcp.inform, dhcp.read, own_address_at=dhcp.OWN_ADDRESS_AT, answered_at=dhcp.CLIENT_PORT),
    Question("tftp", (69,), _tftp, _read_tftp, elsewhere=True),
    Question("sunrpc", (111,), _rpc, _read_rpc),
    Question("ntp", (123,), _ntp, _read_ntp),
    Question("netbios-ns", (137,), _netbios, _read_netbios),
    Question("snmp", (161, 1161), _snmp, _read_snmp),
    Question("isakmp", (500,), _ike, _read_ike),
    Question("ms-sql-m", (1434,), _browser, _read_browser),
    Question("radius", (1812, 1813), _radius, _read_radius),
    Question("ssdp", (1900,), _ssdp, _read_ssdp),
    Question("ws-discovery", (3702,), _discovery, _read_discovery),
    Question("sip", (5060,), _sip, sip.read),
    Question("mdns", (5353,), _mdns, _read_mdns),
    Question("coap", (5683,), _coap, _read_coap),
    Question("memcache", (11211,), _memcached, _read_memcached),
    *NETWORKS,
    *DEVICES,
)
BY_PORT: Mapping[int, Question] = {port: item for item in QUESTIONS for port in item.ports}
