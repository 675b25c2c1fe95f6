"""XMPP (RFC 6120): the header and the features of a stream; the program's address is among them (XEP-0115)."""

import re
from functools import partial

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (5222, 5269)
MAX_STREAM = 8192
_OPEN = re.compile(rb"<stream:stream\s[^>]{1,1024}>")
_FROM = re.compile(rb"<stream:stream\s[^>]{0,512}?\bfrom=[\"']([\w.-]{1,253})[\"']")
_NODE = re.compile(rb"<c\s[^>]{0,512}?\bnode=[\"']([^\"'>]{1,256})[\"']")
_ENDS = (b"</stream:features>", b"<stream:features/>", b"</stream:error>", b"</stream:stream>")


def talk(host: str, port: int) -> Talk:
    """Open a stream to the address; a server that names its own domain then is asked for that once more."""
    heard = yield from _ask(host, host, port)
    if heard is not None and (domain := heard.facts.get("realm", host)) != host:
        return Heard(heard.service, heard.facts, heard.answers, (partial(_ask, domain),))
    return heard


def read(raw: bytes) -> Heard | None:
    """Read the beginning of a server's stream."""
    if _OPEN.search(raw) is None:
        return None
    answers = [("xmpp.stream", text(raw, 1024))]
    if (node := _NODE.search(raw)) is not None:
        answers.append(("xmpp.node", text(node[1])))
    found = _FROM.search(raw)
    return Heard("xmpp-client", {"realm": text(found[1])} if found else {}, tuple(answers))


def _ask(domain: str, _host: str, _port: int) -> Talk:
    """Open a stream to a domain; nobody logs in."""
    yield Send(
        f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'>".encode("ascii", errors="replace")
    )
    return read((yield Receive(lambda raw: any(end in raw for end in _ENDS), MAX_STREAM)))
