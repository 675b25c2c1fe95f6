"""What devices say, read with care: real answers are understood, hostile ones cost little and never make a failure."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes.kit.discovery import mdns, ssdp, wsd
from probes.kit.discovery.told import MAX_WORD, MOST_WORDS, Told

US = IPv4Address("198.18.1.2")
MARK = "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def record(of: bytes, kind: int, data: bytes) -> bytes:
    return of + struct.pack("!HHIH", kind, 0x8001, 120, len(data)) + data


def message(*records: bytes, questions: int = 0, count: int | None = None) -> bytes:
    number = len(records) if count is None else count
    return struct.pack("!6H", 7, 0x8400, questions, number, 0, 0) + b"".join(records)


def clean(told: Told | None) -> None:
    """Whatever was said is short, printable and bounded in number."""
    if told is None:
        return
    for value in (told.hosts, told.names, told.services):
        assert len(value) <= MOST_WORDS
        assert all(len(word) <= MAX_WORD and word.isprintable() for word in value)
    for text in (told.model, told.vendor, told.device, told.system):
        assert len(text) <= MAX_WORD
        assert text.isprintable()


def test_mdns_names_the_sender_and_nobody_else() -> None:
    packet = message(
        record(name("pc-1.local"), mdns.A, US.packed),
        record(name("pc-2.local"), mdns.A, IPv4Address("198.18.1.3").packed),
        record(name("Web._http._tcp.local"), mdns.SRV, struct.pack("!3H", 0, 0, 80) + name("pc-1.local")),
        record(name("Other._http._tcp.local"), mdns.SRV, struct.pack("!3H", 0, 0, 80) + name("pc-2.local")),
    )
    found = mdns.read(packet)
    assert found is not None
    told = mdns.told_by(found, US)
    assert (told.hosts, told.services) == (("pc-1.local",), ("http",))
    # A reflector repeats what others say: nothing of it is the reflector's own.
    assert mdns.told_by(found, IPv4Address("198.18.1.9")) == Told("mdns")
    # Unless the address is known to be the same machine's.
    six = IPv6Address("fe80::2%eth0")
    assert mdns.told_by(found, six, (US, six)).hosts == ("pc-1.local",)


def test_mdns_workstation_and_text() -> None:
    packet = message(
        record(
            name("_workstation._tcp.local"),
            mdns.PTR,
            b"\x1bpc-7 [a8:bb:cc:dd:ee:ff]xxx" + name("_workstation._tcp.local"),
        ),
        record(name("X._ipp._tcp.local"), mdns.TXT, b"\x09ty=Laser9\x00\x04noeq\x08usb_MFG="),
    )
    found = mdns.read(packet)
    assert found is not None
    told = mdns.told_by(found, US)
    assert told.hosts == ("pc-7",)
    assert (told.model, told.vendor) == ("Laser9", "")


@pytest.mark.parametrize(
    "packet",
    [
        message(b"\xc0\x0c" + bytes(10)),  # a pointer to itself
        message(b"\xc0\x0e\xc0\x0c" + bytes(10)),  # two that point at each other
        message(b"\xc0\xff" + bytes(10)),
        message(b"\x3f" + b"a" * 10),
        message(b"\x41a" + bytes(20)),
        message(name("a.local"), count=60_000),
        message(b"".join(b"\x01a" for _ in range(200)) + bytes(20)),
        message(record(name("a.local"), mdns.PTR, b"\xc0\x0c")[:-1]),
        b"",
        bytes(12),
        bytes(9001),
        mdns.question(7, mdns.FIRST),
    ],
)
def test_malformed_mdns_is_nothing(packet: bytes) -> None:
    assert mdns.read(packet) is None


def test_a_chain_of_pointers_ends() -> None:
    chain = b"\x01a\x00" + b"".join(struct.pack("!H", 0xC000 | 12 + max(0, 2 * place + 1)) for place in range(4000))
    assert mdns.read(message(chain[:8000], questions=1)) is None


@given(some.binary(max_size=600))
def test_any_mdns_packet_is_read_or_left(raw: bytes) -> None:
    for packet in (raw, message(raw, count=3), message(record(name("a._http._tcp.local"), mdns.TXT, raw))):
        found = mdns.read(packet)
        if found is not None:
            clean(mdns.told_by(found, US))
            assert len(mdns.kinds_of(found)) < 600


@given(some.integers(0, 400), some.integers(0, 255))
def test_mdns_with_one_wrong_byte(place: int, value: int) -> None:
    whole = bytearray(
        message(
            record(name("_ipp._tcp.local"), mdns.PTR, b"\x01X\xc0\x0c"),
            record(b"\x04pc-1\xc0\x16", mdns.AAAA, ip_address("2001:db8::1").packed),
        )
    )
    whole[place % len(whole)] = value
    found = mdns.read(bytes(whole))
    if found is not None:
        clean(mdns.told_by(found, US))


def test_questions_read_back_as_questions() -> None:
    asked = [mdns.reverse(US), mdns.reverse(IPv6Address("fe80::1%eth0")), *mdns.FIRST]
    packets = mdns.questions(7, asked * 10)
    assert sum(struct.unpack_from("!H", packet, 4)[0] for packet in packets) == len(asked) * 10
    assert all(len(packet) < 1500 for packet in packets)


def test_an_ssdp_answer_tells_uuid_and_server_in_clean_text() -> None:
    packet = (
        b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=100\r\nST: upnp:rootdevice\r\n"
        b"USN: uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8::upnp:rootdevice\r\n"
        b"SERVER: Linux/3.4 UPnP/1.0 MiniDLNA/1.2 \x1b[2J\r\n\r\n"
    )
    told = ssdp.read(packet)
    assert told is not None
    assert told.uuids == ("uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8::upnp:rootdevice",)
    assert told.system == "Linux/3.4 UPnP/1.0 MiniDLNA/1.2 [2J"
    for wrong in (b"", b"NOTIFY * HTTP/1.1\r\n", b"HTTP/1.1 404 no\r\n", packet + bytes(5000), ssdp.question(4)):
        assert ssdp.read(wrong) is None
    many = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(300)) + b"USN: late\r\n\r\n"
    late = ssdp.read(many)
    assert late is not None
    assert late.uuids == ()


@given(some.binary(max_size=400))
def test_any_ssdp_packet_is_read_or_left(raw: bytes) -> None:
    clean(ssdp.read(raw))
    clean(ssdp.read(b"HTTP/1.1 200 OK\r\n" + raw))


def match(extra: str = "", head: str = "", relates: str = MARK) -> bytes:
    return (
        f'<?xml version="1.0"?>{head}<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="a" '
        f'xmlns:d="d" xmlns:n="n"><s:Header><a:RelatesTo>{relates}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches>'
        "<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:0bb7b810-9dad-11d1-80b4-00c04fd430c8</a:Address>"
        "</a:EndpointReference><d:Types>n:NetworkVideoTransmitter</d:Types>"
        "<d:Scopes>onvif://www.onvif.org/hardware/DS-2CD onvif://www.onvif.org/name/Gate%20East</d:Scopes>"
        f"{extra}</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()


def test_a_probe_match_tells_who_it_is_if_it_answers_us() -> None:
    told = wsd.read(match(), {MARK})
    assert told is not None
    assert told.uuids == ("urn:uuid:0bb7b810-9dad-11d1-80b4-00c04fd430c8",)
    assert (told.model, told.device, told.names) == ("DS-2CD", "camera", ("Gate East",))
    assert wsd.read(match(relates="urn:uuid:of-another"), {MARK}) is None


BOMB = (
    "<!DOCTYPE lolz [<!ENTITY a 'ha'>"
    + "".join(f"<!ENTITY {chr(98 + n)} '{('&' + chr(97 + n) + ';') * 10}'>" for n in range(9))
    + "]>"
)


@pytest.mark.parametrize(
    "packet",
    [
        match(head=BOMB, extra="<x>&j;</x>"),
        match(head='<!DOCTYPE x SYSTEM "http://198.18.1.9/x.dtd">'),
        match(head='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>', extra="<x>&f;</x>"),
        match(head="<!DOCTYPE x>"),
        match(extra="<x>" * 40 + "</x>" * 40),
        match(extra="<x/>" * 1000),
        match(extra="<unclosed>"),
        match(extra="&undefined;"),
        match()[:-10],
        match() + bytes(40_000),
        b"\xff\xfe" + bytes(100),
        b'<?xml version="1.0" encoding="no-such-thing"?><a/>',
        b"",
    ],
)
def test_hostile_wsd_is_nothing(packet: bytes) -> None:
    assert wsd.read(packet, {MARK}) is None


def test_a_probe_of_ours_is_no_answer() -> None:
    asked = wsd.questions()
    assert len(asked) == 2
    assert all(wsd.read(packet, asked) is None for packet in asked.values())


@given(some.text(max_size=200))
def test_any_wsd_packet_is_read_or_left(text: str) -> None:
    clean(wsd.read(text.encode(), {MARK}))
    clean(wsd.read(match(extra=text), {MARK}))
