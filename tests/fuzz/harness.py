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

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["probes"]):
    from probes.kit.fingerprint.match import by_key, identify
    from probes.kit.fingerprint.model import FingerprintFileError
    from probes.kit.fingerprint.nmap import read_nmap
    from probes.kit.fingerprint.own import built_in, read_own
    from probes.kit.fingerprint.recog import read_recog
    from probes.kit.fingerprint.store import load
    from probes.kit.services import (
        certificate,
        datagrams,
        dns,
        greeting,
        http,
        identity,
        ldap,
        memcached,
        mongodb,
        mqtt,
        mssql,
        ntlm,
        onvif,
        postgresql,
        rdp,
        redis,
        rtsp,
        smb,
        tls,
    )
    from probes.kit.services.talk import MAX_FACT, Ciphered, Heard, Receive, Secure, Send, Talk
    from probes.kit.snmp import ber, tables
    from probes.kit.snmp.credentials import parse_credentials

TALKS: tuple[Callable[[str, int], Talk], ...] = (
    dns.talk, greeting.talk, http.talk, ldap.talk, memcached.talk, mongodb.talk, mqtt.talk, mssql.talk, postgresql.talk,
    rdp.talk, redis.talk, rtsp.talk, smb.talk, tls.talk, onvif.talk,
)  # fmt: skip
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
    mssql.read(raw)
    mongodb.document(raw)


def answers(raw: bytes) -> None:
    """Answers to the questions of UDP; the random mark of each question is repeated where its protocol has it."""
    for question in datagrams.QUESTIONS:
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

    started = time.monotonic()
    with contextlib.suppress(PyAsn1Error, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
        decoder.decode(raw, asn1Spec=v2c.Message())
    assert time.monotonic() - started < 5


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
    for fingerprints in KNOWN.values():
        identify(fingerprints, text)


FOLDER = tempfile.TemporaryDirectory(prefix="edusec-fuzz-")
TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (conversations, pages, binaries, answers, snmp, files)
}

if __name__ == "__main__":
    chosen = TARGETS[sys.argv[1]]
    from tests.fuzz.seeds import write

    write(sys.argv[1], Path(FOLDER.name) / "seeds", len(TALKS))
    atheris.Setup([sys.argv[0], *sys.argv[2:], f"{FOLDER.name}/seeds"], chosen)
    atheris.Fuzz()
