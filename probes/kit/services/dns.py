"""DNS over TCP (RFC 7766): the version that name servers tell in class CHAOS (RFC 4892)."""

from probes.kit.services import datagrams
from probes.kit.services.talk import Receive, Send, Talk, at_least


def talk(_host: str, _port: int) -> Talk:
    """Ask for version.bind; the question and its reader are those of UDP, behind a length of two bytes."""
    question = datagrams.question(53)
    asked = question.make()
    yield Send(len(asked).to_bytes(2, "big") + asked)
    raw = yield Receive(_whole, 4096)
    return question.read(asked, raw[2:]) if _whole(raw) else None


def _whole(raw: bytes) -> bool:
    return len(raw) >= 2 and at_least(2 + min(int.from_bytes(raw[:2], "big"), 4094))(raw)
