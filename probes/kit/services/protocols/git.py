"""Git's own protocol: a request for a repository that nobody names, which is refused, or its references."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (9418,)
_LINE = re.compile(rb"([0-9a-f]{4})(?:ERR ([^\n]{1,256})|[0-9a-f]{40}[ \0])")


def talk(host: str, _port: int) -> Talk:
    """Ask for the repository `/`; nothing of it is fetched."""
    said = f"git-upload-pack /\0host={host}\0".encode("ascii", errors="replace")
    yield Send(b"%04x" % (len(said) + 4) + said)
    return read((yield Receive(lambda raw: len(raw) >= 4, 4096)))


def read(raw: bytes) -> Heard | None:
    """Read the first line."""
    found = _LINE.match(raw)
    if found is None or int(found[1], 16) < 8:
        return None
    facts = {"service.vendor": "Git", "service.product": "Git", "service.cpe23": "cpe:/a:git-scm:git"}
    agent = re.search(rb"\bagent=git/(\d[\w.]{0,31})", raw)
    if agent is not None:
        facts |= {"service.version": text(agent[1]), "service.cpe23": f"cpe:/a:git-scm:git:{text(agent[1])}"}
    if found[2]:
        facts["refusal"] = text(found[2])
    return Heard("git", facts)
