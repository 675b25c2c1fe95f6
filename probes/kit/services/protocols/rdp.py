"""RDP (MS-RDPBCGR 2.2.1.1): the X.224 negotiation, the certificate, and what NTLM tells before any login.

Where CredSSP is spoken, the server answers the first of NTLM's three messages (MS-NLMP) with its names and the build of
its Windows; the third message, which would carry a user, is never sent.
"""

from probes.kit.services.protocols import ntlm
from probes.kit.services.protocols.tls import answers_of, shake
from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

PORTS = (3389,)
# TPKT header, X.224 connection request, RDP negotiation request for TLS and CredSSP.
REQUEST = bytes.fromhex("0300 0013 0ee0 0000 0000 0001 0008 0003 0000 00".replace(" ", ""))
CHOSEN = {0: "standard RDP security", 1: "TLS", 2: "CredSSP (NLA)", 8: "CredSSP with early authorisation"}
_WINDOWS = b"\x12\x34"
"""The source reference of Windows' confirmations. FreeRDP writes 0, and its NTLM gives out the build of a Windows 7."""
_ENCRYPTED = frozenset({1, 2, 8})
_CREDSSP = frozenset({2, 8})


def talk(host: str, _port: int) -> Talk:
    """Send the negotiation request, read the confirmation, and look at the certificate where there is one."""
    yield Send(REQUEST)
    raw = yield Receive(_whole, 256)
    if len(raw) < 11 or raw[0] != 3 or raw[5] >> 4 != 0xD:
        return None
    facts: dict[str, str] = {}
    chosen = -1
    if len(raw) >= 19 and raw[11] == 2:
        chosen = int.from_bytes(raw[15:19], "little")
        facts["security"] = CHOSEN.get(chosen, "unknown")
    elif len(raw) >= 19 and raw[11] == 3:
        facts["security"] = "refused"
    source = raw[8:10]
    confirm = (("rdp.confirm", f"{source.hex()} {raw[12]:02x} {chosen}"),) if chosen >= 0 else ()
    if chosen not in _ENCRYPTED or (secured := (yield from shake(host))) is None:
        return Heard("ms-wbt-server", facts, confirm)
    if chosen in _CREDSSP:
        yield Send(ntlm.credssp_request())
        told = ntlm.facts_of((yield Receive(ntlm.credssp_whole, 4096)))
        if source != _WINDOWS:
            told = {name: value for name, value in told.items() if not name.startswith("os.")}
        elif "os.product" in told:
            told |= {
                "os.family": "Windows",
                "service.vendor": "Microsoft",
                "service.product": "Remote Desktop Services",
            }
        facts |= told
    return Heard("ms-wbt-server", {**secured, **facts}, (*confirm, *answers_of(secured)))


def _whole(raw: bytes) -> bool:
    return len(raw) >= 4 and at_least(min(int.from_bytes(raw[2:4], "big"), 256))(raw)
