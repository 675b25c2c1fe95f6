"""DCE RPC (C706 chapter 12, MS-RPCE): a bind to the endpoint mapper, and what NTLM's challenge tells in its answer.

The answer to the first of NTLM's three messages holds names and the build of Windows; nothing is called, no user named.
"""

import struct
from uuid import UUID

from probes.kit.services.protocols import ntlm
from probes.kit.services.talk import Heard, Receive, Send, Talk

PORTS = (135,)
HEAD = 16
MAX_ANSWER = 4096
_BIND, _BIND_ACK, _BIND_NAK, _FAULT = 11, 12, 13, 3
_MAPPER = UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa")
_NDR = UUID("8a885d04-1ceb-11c9-9fe8-08002b104860")
_NTLM, _CONNECT = 10, 2


def talk(_host: str, _port: int) -> Talk:
    """Bind and leave."""
    context = struct.pack("<HBx16sI16sI", 0, 1, _MAPPER.bytes_le, 3, _NDR.bytes_le, 2)
    body = struct.pack("<HHIBxxx", 4280, 4280, 0, 1) + context
    token = struct.pack("<BBBBI", _NTLM, _CONNECT, 0, 0, 0) + ntlm.NEGOTIATE
    size = HEAD + len(body) + len(token)
    yield Send(struct.pack("<BBBBIHHI", 5, 0, _BIND, 3, 0x10, size, len(ntlm.NEGOTIATE), 1) + body + token)
    return read((yield Receive(_whole, MAX_ANSWER)))


def read(raw: bytes) -> Heard | None:
    """Read the answer to our call, number 1; a refusal is an answer of this protocol too."""
    if (
        len(raw) < HEAD
        or raw[:2] != b"\x05\0"
        or raw[2] not in (_BIND_ACK, _BIND_NAK, _FAULT)
        or raw[12:16] != b"\1\0\0\0"
    ):
        return None
    facts = ntlm.facts_of(raw[HEAD:])
    if "os.product" in facts:
        facts |= {"os.family": "Windows", "service.vendor": "Microsoft", "service.product": "Windows RPC"}
    return Heard("msrpc", facts)


def _whole(raw: bytes) -> bool:
    return len(raw) >= HEAD and len(raw) >= min(int.from_bytes(raw[8:10], "little"), MAX_ANSWER)
