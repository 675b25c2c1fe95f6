"""RDP (MS-RDPBCGR 2.2.1.1): the X.224 negotiation, which says which security a server wants before any login."""

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

# TPKT header, X.224 connection request, RDP negotiation request for TLS and CredSSP.
REQUEST = bytes.fromhex("0300 0013 0ee0 0000 0000 0001 0008 0003 0000 00".replace(" ", ""))
CHOSEN = {0: "standard RDP security", 1: "TLS", 2: "CredSSP (NLA)", 8: "CredSSP with early authorisation"}


def talk(_host: str, _port: int) -> Talk:
    """Send the negotiation request and read the confirmation."""
    yield Send(REQUEST)
    raw = yield Receive(_whole, 256)
    if len(raw) < 11 or raw[0] != 3 or raw[5] >> 4 != 0xD:
        return None
    facts = {"os.family": "Windows"}
    if len(raw) >= 19 and raw[11] == 2:
        facts["security"] = CHOSEN.get(int.from_bytes(raw[15:19], "little"), "unknown")
    elif len(raw) >= 19 and raw[11] == 3:
        facts["security"] = "refused"
    return Heard("ms-wbt-server", facts)


def _whole(raw: bytes) -> bool:
    return len(raw) >= 4 and at_least(min(int.from_bytes(raw[2:4], "big"), 256))(raw)
