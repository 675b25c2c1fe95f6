"""AJP 1.3, the door between a web server and Tomcat: a CPing, which every connector answers with a CPong."""

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

PORTS = (8009,)
CPING = b"\x12\x34\x00\x01\x0a"
CPONG = b"AB\x00\x01\x09"


def talk(_host: str, _port: int) -> Talk:
    """Ping; no request is forwarded."""
    yield Send(CPING)
    raw = yield Receive(at_least(len(CPONG)), len(CPONG))
    return Heard("ajp13", {"protocol": "AJP 1.3"}) if raw == CPONG else None
