"""One fuzz target under atheris: `python tests/fuzz/harness.py TARGET [libFuzzer options]`.

libFuzzer makes the inputs, from true answers (seeds.py) onwards, guided by which lines of our parsers each reaches.
Whatever a parser raises, and what takes too long or too much memory, ends the process with a status that is not 0.
Nothing is sent anywhere.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import atheris  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dns.message import make_query
from dns.name import from_text

with atheris.instrument_imports(include=["probes"]):
    from probes.kit.discovery import descriptions, leases, mdns, ssdp, wsd
    from probes.kit.discovery.told import Told
    from probes.kit.exchange import resolve
    from probes.kit.exchange.dns import parse as parse_dns
    from probes.kit.fingerprint.match import by_key, identify
    from probes.kit.fingerprint.model import FingerprintFileError
    from probes.kit.fingerprint.nmap import read_nmap
    from probes.kit.fingerprint.own import built_in, read_own
    from probes.kit.fingerprint.recog import read_recog
    from probes.kit.fingerprint.store import load
    from probes.kit.ipv6.lan import headers, parse
    from probes.kit.ipv6.site import markup
    from probes.kit.ipv6.site import text as site_text
    from probes.kit.makers.read import Assigned, MakerFileError, holds_prefixes, read_makers
    from probes.kit.makers.table import Source, look_up, save
    from probes.kit.raw.link.addresses import read_advertisement, read_arp_reply
    from probes.kit.raw.link.answers import read_echo4, read_echo6, read_link_answer
    from probes.kit.raw.packets.answers import read_ipv4, read_ipv6
    from probes.kit.services import identity
    from probes.kit.services.datagrams.table import QUESTIONS
    from probes.kit.services.plan import protocols
    from probes.kit.services.protocols import adb, certificate, http, ldap, mongodb, mssql, ntlm, onvif, rpc, smb, smb1
    from probes.kit.services.talk import MAX_FACT, Ciphered, Heard, Receive, Secure, Send, Talk
    from probes.kit.snmp import ber, tables
    from probes.kit.snmp.credentials import parse_credentials

TALKS: tuple[Callable[[str, int], Talk], ...] = tuple(item.talk for item in protocols() if hasattr(item, "talk"))
KNOWN = by_key(built_in())
MOST_STEPS = 64


class Feed:
    """An input as a server's answers: each piece has two bytes of length before it."""

    def __init__(self, raw: bytes) -> None:
        self._rest = raw

    def next(self) -> bytes:
        """Give the next piece, as far as it is there."""
        size = int.from_bytes(self._rest[:2], "big")
        piece, self._rest = self._rest[2 : 2 + size], self._rest[2 + size :]
        return piece


def converse(talk: Talk, data: Feed) -> Heard | None:
    """Play a hostile server: each Receive gets the next piece of the input, each handshake a certificate of rubbish."""
    reply: bytes | None = None
    for _ in range(MOST_STEPS):
        try:
            step = talk.send(reply)  # type: ignore[arg-type]
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        reply = b""
        if isinstance(step, Receive):
            reply = data.next()[: step.limit]
            step.enough(reply)
        elif isinstance(step, Secure):
            reply = data.next()
        elif isinstance(step, Ciphered):
            reply = b"TLSv1.3 x"
        else:
            assert isinstance(step, Send)
    raise AssertionError("the conversation does not end")


def conversations(raw: bytes) -> None:
    """Every conversation with a service, and the ones that follow it; then who it seems to be."""
    data = Feed(raw[1:])
    heard = converse(TALKS[(raw[:1] or b"\0")[0] % len(TALKS)]("198.18.0.1", 443), data)
    if heard is None:
        return
    for start in heard.then:
        converse(start("198.18.0.1", 443), data)
    further = onvif.worth(heard, 443)
    if further is not None:
        converse(further("198.18.0.1", 443), data)
    shown = identity.of(heard, KNOWN)
    assert all(text.isprintable() for text in (*heard.facts.values(), *shown.evidence, shown.device, shown.product))


def pages(raw: bytes) -> None:
    """HTTP answers: heads, chunks, packed bodies, pages."""
    heads = (b"", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"Location: ", b"Content-Length: ")
    for answer in (
        raw,
        *(b"HTTP/1.1 200 OK\r\n" + head + between + raw for head in heads for between in (b"", b"\r\n")),
    ):
        http.whole(answer)
        heard = http.read(answer, where=("2001:db8::1", 8080))
        assert heard is None or all(text.isprintable() for text in heard.facts.values())
        assert all(text.isprintable() and len(text) <= MAX_FACT for text in onvif.read(answer).values())


def binaries(raw: bytes) -> None:
    """Certificates, NTLM challenges, LDAP, SMB, TDS and MySQL packets by themselves."""
    certificate.facts_of(raw)
    ntlm.facts_of(b"NTLMSSP\0\2\0\0\0" + raw)
    ldap.read(raw)
    smb.read(raw)
    smb1.read(raw)
    adb.read(raw)
    rpc.read(raw[4:8], raw)
    mssql.read(raw)
    mongodb.document(raw)


def answers(raw: bytes) -> None:
    """Answers to the questions of UDP; the random mark of each question is repeated where its protocol has it."""
    for question in QUESTIONS:
        asked = question.make()
        for got in (raw, asked[:2] + raw, asked[: len(asked) // 2] + raw):
            heard = question.read(asked, got)
            assert heard is None or all(text.isprintable() for text in heard.facts.values())


def snmp(raw: bytes) -> None:
    """The first look at BER, and tables of whatever an agent may say."""
    accepted = ber.acceptable(raw)
    if accepted:
        _decode(raw)
    data = atheris.FuzzedDataProvider(raw)
    rows: list[tuple[tables.Oid, tables.Value]] = []
    for _ in range(data.ConsumeIntInRange(0, 12)):
        index = tuple(data.ConsumeIntListInRange(data.ConsumeIntInRange(0, 24), 0, 300))
        kind = data.ConsumeIntInRange(0, 2)
        rows.append((index, data.ConsumeBytes(20) if kind else data.ConsumeIntInRange(-1, 2**31)))
    device = tables.Device(ip_address("198.18.0.1"))
    device.interfaces = tables.interfaces(lambda _: rows)
    for reading in (tables.arp(lambda _: rows), tables.physical(lambda _: rows)):
        device.neighbours.extend(reading)
    device.forwarded.extend(tables.forwarding(lambda _: rows, device))
    device.peers.extend([*tables.lldp(lambda _: rows, device), *tables.cdp(lambda _: rows, device)])


def _decode(raw: bytes) -> None:
    """What passed the first look costs the library's decoder little, whatever it makes of it."""
    from pyasn1.codec.ber import decoder  # type: ignore[import-untyped]
    from pyasn1.error import PyAsn1Error  # type: ignore[import-untyped]
    from pysnmp.proto.api import v2c  # type: ignore[import-untyped]

    started = time.thread_time()
    with contextlib.suppress(PyAsn1Error, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
        decoder.decode(raw, asn1Spec=v2c.Message())
    assert time.thread_time() - started < 5


def files(raw: bytes) -> None:
    """Fingerprint files of every kind, and the file with the credentials: a fault is named, nothing else happens."""
    text = raw.decode("utf-8", "replace")
    path = Path(FOLDER.name) / "file.xml"
    path.write_text(text, encoding="utf-8")
    for read in (lambda: read_recog(path), lambda: read_nmap(path), lambda: load([path]), lambda: read_own(text, "x")):
        try:
            read()
        except FingerprintFileError:
            continue
    with contextlib.suppress(ValueError):
        parse_credentials(text)
    with contextlib.suppress(MakerFileError):
        holds_prefixes(path)
        read = read_makers(path).names
        kept = save(path.parent, "kept", Assigned(read, 0))
        assert {prefix: maker.name for prefix, maker in look_up([Source("x", (kept,))]).of_prefix.items()} == read
    look_up([Source("x", (path,))])
    look_up([Source("x", (path,))], ["44:19:b6:00:00:01", text])
    for fingerprints in KNOWN.values():
        identify(fingerprints, text)


def announcements(raw: bytes) -> None:
    """What devices tell a link of themselves, the pages that this leads to, and the lease files of DHCP servers."""
    sender = ip_address("198.18.0.1")
    found: list[Told | None] = [
        ssdp.read(raw),
        ssdp.read_description(raw),
        wsd.read(raw, _Any()),
        wsd.read_metadata(raw),
    ]
    message = mdns.read(raw)
    if message is not None:
        mdns.kinds_of(message)
        found.append(mdns.told_by(message, sender))
    for told in found:
        if told is not None:
            assert all(page.address == sender for page in descriptions.pages_of(sender, told))
            words = (*told.hosts, *told.names, *told.services, told.model, told.vendor, told.device, told.system)
            assert all(word.isprintable() for word in words)
    for lease in leases.parse(raw.decode("utf-8", "replace"), 0.0):
        assert (lease.hostname + lease.mac + lease.dhcp_id).isprintable()


class _Any:
    """Every mark is ours."""

    def __contains__(self, _: object) -> bool:
        return True


def packets(raw: bytes) -> None:
    """Packets from their network header on, as a raw socket gives them."""
    read_ipv4(raw)
    read_ipv6(raw)
    read_arp_reply(raw)
    read_advertisement(raw)
    read_link_answer(raw, 0x4141, b"A" * 16)
    read_echo4(raw, 0x4141, b"A" * 16)
    read_echo6(raw, 0x4141, b"A" * 16)
    parse.arp_sender(raw)
    pieces = headers.Reassembly()
    for packet in (raw, raw[: len(raw) // 2], raw[len(raw) // 2 :]):
        upper = headers.walk(packet)
        if upper is None:
            continue
        for whole in pieces.add(upper) if upper.fragment else (upper,):
            parse.advertisement(whole, "02:00:00:00:00:01", own=False)
            parse.checksum_holds(whole)
            parse.server(whole)
            parse.query_version(whole)
            parse.neighbour(whole, "02:00:00:00:00:01")


QUESTION = make_query(from_text("www.school.example"), "AAAA", use_edns=0, id=0x4141)


def names(raw: bytes) -> None:
    """Answers of name servers, and pages of sites with all that they refer to."""
    response = parse_dns(QUESTION, b"AA" + raw)
    if response is not None:
        assert len(resolve.read(QUESTION, response, 0.0).addresses) <= resolve.MAX_ADDRESSES
    page = site_text.decode(raw)
    markup.references(page, "http://www.school.example/")
    site_text.visible(page)


FOLDER = tempfile.TemporaryDirectory(prefix="edusec-fuzz-")
TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (conversations, pages, binaries, answers, snmp, files, announcements, packets, names)
}

if __name__ == "__main__":
    chosen = TARGETS[sys.argv[1]]
    from tests.fuzz.seeds import write

    write(sys.argv[1], Path(FOLDER.name) / "seeds", len(TALKS))
    atheris.Setup([sys.argv[0], *sys.argv[2:], f"{FOLDER.name}/seeds"], chosen)
    atheris.Fuzz()
