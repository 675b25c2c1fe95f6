"""Redis: PING, and INFO server if no password is asked for. Nothing is written and no password is tried."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end, text

PORTS = (6379,)


def talk(_host: str, _port: int) -> Talk:
    """Ask PING; an open server is asked for its version."""
    yield Send(b"PING\r\n")
    reply = yield Receive(line_end, 512)
    if reply.startswith((b"-NOAUTH", b"-DENIED", b"-ERR operation not permitted")):
        return _heard({"authentication": "required" if reply.startswith(b"-NOAUTH") else "protected mode"})
    if not reply.startswith(b"+PONG"):
        return None
    yield Send(b"INFO server\r\n")
    info = yield Receive(_whole, 16 << 10)
    version = re.search(rb"redis_version:([\w.]{1,32})", info)
    system = re.search(rb"\r\nos:([^\r\n]{1,128})", info)
    facts = {"authentication": "none"}
    if version:
        facts |= {"service.version": text(version[1]), "service.cpe23": f"cpe:/a:redis:redis:{text(version[1])}"}
    if system:
        facts["os.version"] = text(system[1])
    return _heard(facts)


def _heard(facts: dict[str, str]) -> Heard:
    return Heard(
        "redis", {"service.vendor": "Redis", "service.product": "Redis", "service.cpe23": "cpe:/a:redis:redis", **facts}
    )


def _whole(raw: bytes) -> bool:
    size = re.match(rb"\$(\d{1,6})\r\n", raw)
    return raw[:1] == b"-" or (size is not None and len(raw) >= size.end() + int(size[1]) + 2)
