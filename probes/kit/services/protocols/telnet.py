"""Telnet (RFC 854): the options that a server opens with, and the text that comes once every one is refused."""

import re
from collections.abc import Generator

from probes.kit.services.talk import Heard, Receive, Send, text

IAC = 0xFF
MAX_TEXT = 4096
MOST_ROUNDS = 3
WAIT = 2.0
"""Seconds for the text after each round of options; login programs take a moment."""
_OPTION = re.compile(rb"\xff([\xfb-\xfe])([\x00-\xff])")
_VERBS = {0xFB: "WILL", 0xFC: "WONT", 0xFD: "DO", 0xFE: "DONT"}
_REFUSAL = {0xFB: 0xFE, 0xFD: 0xFC}
"""What is offered is not wanted, and what is asked for will not be done."""
_COMMAND = re.compile(rb"\xff\xfa[^\xff]{0,256}\xff\xf0|\xff[\xfb-\xfe][\x00-\xff]|\xff[\x00-\xff]", re.DOTALL)
_PROMPT = re.compile(rb"[:>#$%] ?$")


def read(raw: bytes) -> Heard | None:
    """Read what a server opens with."""
    return _heard(raw, raw) if raw[:1] == bytes([IAC]) else None


def go_on(raw: bytes) -> Generator[Send | Receive, bytes, Heard]:
    """Refuse each option once and listen for the text before the login; no name is given."""
    first, held, refused = raw, raw, set[bytes]()
    for _ in range(MOST_ROUNDS):
        answer = _refusals(held, refused)
        if not answer or _PROMPT.search(held):
            break
        yield Send(answer)
        held += yield Receive(_said_something, MAX_TEXT, WAIT)
    return _heard(first, held)


def _refusals(raw: bytes, refused: set[bytes]) -> bytes:
    answer = b""
    for found in _OPTION.finditer(raw):
        verb, option = found[1][0], found[2]
        if verb in _REFUSAL and (said := bytes([IAC, _REFUSAL[verb]]) + option) not in refused:
            refused.add(said)
            answer += said
    return answer


def _said_something(raw: bytes) -> bool:
    """Tell whether a prompt is there, or options that wait for an answer."""
    return _PROMPT.search(raw) is not None or _OPTION.search(raw) is not None


def _heard(first: bytes, held: bytes) -> Heard:
    banner = text(re.sub(rb"\s+", b" ", _COMMAND.sub(b"", held)))
    opening = " ".join(f"{_VERBS[found[1][0]]} {found[2][0]}" for found in list(_OPTION.finditer(first))[:16])
    return Heard(
        "telnet", {"banner": banner} if banner else {}, (("telnet.banner", banner), ("telnet.options", opening))
    )
