"""RTSP (RFC 7826, RFC 2326): OPTIONS, as cameras and recorders answer it."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (554, 8554)


def talk(host: str, port: int) -> Talk:
    """Ask which methods there are; no stream is described or set up."""
    name = f"[{host}]" if ":" in host else host
    yield Send(f"OPTIONS rtsp://{name}:{port}/ RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode("ascii", errors="replace"))
    raw = yield Receive(lambda got: b"\r\n\r\n" in got, 8192)
    if not re.match(rb"RTSP/\d\.\d \d{3}", raw):
        return None
    server = re.search(rb"\r\n(?:Server|User-Agent): *([^\r\n]{1,256})", raw, re.IGNORECASE)
    realm = re.search(rb"realm=\"([^\"]{1,128})\"", raw)
    facts = {"rtsp.status": text(raw[9:12])}
    if realm:
        facts["realm"] = text(realm[1])
    answers = (("rtsp_header.server", text(server[1])),) if server else ()
    return Heard("rtsp", facts, answers)
