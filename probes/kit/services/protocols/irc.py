"""IRC (RFC 1459, IRCv3): the server's name and its capabilities, without registering a user."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end, text

_LINE = re.compile(rb":([A-Za-z0-9][\w.-]{0,62}) (?:(\d{3})|NOTICE|CAP|ERROR) (?:\S{1,64} )?[^\r\n]{0,400}")
_NOTICE = re.compile(rb"(?:NOTICE (?:AUTH|\*) :|ERROR :)[^\r\n]{1,400}")


def talk(_host: str, _port: int) -> Talk:
    """Ask for the capabilities; those of a maker's own name the product."""
    yield Send(b"CAP LS 302\r\n")
    return read((yield Receive(lambda raw: b" CAP " in raw or b" 451 " in raw, 4096)))


def read(raw: bytes) -> Heard | None:
    """Read lines of a server, whatever made it speak."""
    lines = [line for line in raw.split(b"\r\n")[:32] if line]
    named = next((found for line in lines if (found := _LINE.fullmatch(line))), None)
    if not line_end(raw) or (named is None and not any(_NOTICE.fullmatch(line) for line in lines)):
        return None
    said = tuple(("irc.line", text(line)) for line in lines[:8])
    return Heard("irc", {"host.name": text(named[1])} if named else {}, said)
