"""iSCSI (RFC 7143): a login without a password for a discovery session, and whether the target takes it."""

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

PORTS = (3260,)
HEAD = 48
_WORDS = b"InitiatorName=iqn.2000-01.invalid.edusec:look\0SessionType=Discovery\0AuthMethod=None\0"
_LOGIN_REQUEST, _LOGIN_RESPONSE = 0x43, 0x23
_NEGOTIATE = 0x81  # from security on to the operational stage
_SUCCESS, _REDIRECT, _INITIATOR = 0, 1, 2


def talk(_host: str, _port: int) -> Talk:
    """Ask to log in; no disk is listed or opened."""
    size = len(_WORDS)
    head = bytes([_LOGIN_REQUEST, _NEGOTIATE, 0, 0]) + size.to_bytes(4, "big") + b"\x80" + bytes(HEAD - 9)
    yield Send(head + _WORDS + bytes(-size % 4))
    return read((yield Receive(at_least(HEAD), 1024)))


def read(raw: bytes) -> Heard | None:
    """Read the login response; its status class says who was not content."""
    if len(raw) < HEAD or raw[0] != _LOGIN_RESPONSE or raw[4] or raw[36] > 3:
        return None
    kinds = {_SUCCESS: "none", _REDIRECT: "", _INITIATOR: "required"}
    authentication = kinds.get(raw[36], "")
    return Heard("iscsi", {"authentication": authentication} if authentication else {})
