"""SSH (RFC 4253): the identification string, and the server's algorithms and host keys if it goes on."""

import re

from probes.kit.services.talk import Heard, text

_IDENTIFICATION = re.compile(rb"(?:[^\n]{0,255}\n){0,8}?SSH-(\d\.\d{1,2})-([^\r\n]{1,253})")


def read(raw: bytes) -> Heard | None:
    """Read an identification string; lines may stand before it (RFC 4253, section 4.2)."""
    found = _IDENTIFICATION.match(raw)
    if found is None:
        return None
    banner = text(found[2])
    return Heard("ssh", {"protocol": text(found[1]), "banner": banner}, (("ssh.banner", banner),))
