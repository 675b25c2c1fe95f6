"""SIP (RFC 3261): OPTIONS, which asks what a telephone or exchange can do and rings nobody."""

import os
import re

from probes.kit.services.talk import AGENT, Heard, Receive, Send, Talk, text

PORTS = (5060,)
_FIELDS = {"server": b"Server", "user-agent": b"User-Agent", "allow": b"Allow"}


def request(transport: str) -> bytes:
    """Write the request for UDP or TCP, with a mark of its own."""
    mark = os.urandom(6).hex()
    lines = (
        "OPTIONS sip:edusec SIP/2.0",
        f"Via: SIP/2.0/{transport} edusec;branch=z9hG4bK{mark};rport",
        f"From: <sip:edusec@edusec>;tag={mark}",
        "To: <sip:edusec>",
        f"Call-ID: {mark}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 1",
        f"User-Agent: {AGENT}",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def talk(_host: str, _port: int) -> Talk:
    """Ask over TCP."""
    yield Send(request("TCP"))
    return read(b"", (yield Receive(lambda raw: b"\r\n\r\n" in raw, 4096)))


def read(_asked: bytes, got: bytes) -> Heard | None:
    """Read the answer's status, and the names that it gives itself."""
    if not got.startswith(b"SIP/2.0 "):
        return None
    facts = {"status": text(got.split(b"\r\n", 1)[0])}
    answers: list[tuple[str, str]] = []
    for name, field in _FIELDS.items():
        found = re.search(rb"\r\n" + field + rb"[ \t]*: *([^\r\n]{1,256})", got, re.IGNORECASE)
        if found is not None:
            facts[f"sip.{name}"] = text(found[1])
            if name != "allow":
                answers.append(("sip_header.server", text(found[1])))
    return Heard("sip", facts, tuple(answers))
