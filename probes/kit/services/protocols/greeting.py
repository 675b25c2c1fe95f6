"""Services that speak first: one connection, nothing sent, and the greeting tells which protocol it is."""

import re
from collections.abc import Callable

from probes.kit.services.protocols import irc, mysql, ssh, starttls, telnet, vnc
from probes.kit.services.talk import Heard, Receive, Talk, line_end, text, with_raw

MAX_GREETING = 4096
_CODE = re.compile(rb"220[ -]")
_SMTP = re.compile(rb"220[ -][^\r\n]*\b(?:E?SMTP|Mail)\b", re.IGNORECASE)


def talk(_host: str, _port: int, seconds: float = 3.0, *, inside_tls: bool = False) -> Talk:
    """Wait for a greeting; None when the other side keeps silent, so that the caller can speak first instead."""
    raw = yield Receive(_settled, MAX_GREETING, seconds)
    heard = read(raw) if raw else None
    if heard is None:
        return None
    heard = with_raw(heard, "NULL", raw)
    if heard.service == "ssh":
        heard = yield from ssh.go_on(heard, raw)
    elif heard.service == "vnc":
        heard = yield from vnc.go_on(heard, raw)
    elif heard.service == "telnet":
        heard = with_raw((yield from telnet.go_on(raw)), "NULL", raw)
    elif heard.service in starttls.UPGRADES and not inside_tls:
        heard = yield from starttls.go_on(heard)
    return heard


def read(raw: bytes) -> Heard | None:
    """Tell the protocol from a greeting; a text in no known form is `unknown` with its banner as a fact."""
    for reader in READERS:
        heard = reader(raw)
        if heard is not None:
            return heard
    banner = text(raw.split(b"\n", 1)[0])
    return Heard("unknown", {"banner": banner}, (("text.banner", banner),)) if banner else None


def _settled(raw: bytes) -> bool:
    return line_end(raw) or mysql.whole(raw) or (raw[:1] == bytes([telnet.IAC]) and len(raw) >= 3)


def _ftp_or_smtp(raw: bytes) -> Heard | None:
    if not _CODE.match(raw):
        return None
    banner = text(raw.split(b"\n", 1)[0])
    if _SMTP.match(raw):
        return Heard("smtp", {"banner": banner}, (("text.banner", banner), ("smtp.banner", banner[4:])))
    return Heard("ftp", {"banner": banner}, (("text.banner", banner), ("ftp.banner", banner[4:])))


def _pop3(raw: bytes) -> Heard | None:
    if not raw.startswith(b"+OK"):
        return None
    banner = text(raw.split(b"\n", 1)[0])
    return Heard("pop3", {"banner": banner}, (("text.banner", banner), ("pop3.banner", banner[4:])))


def _imap(raw: bytes) -> Heard | None:
    if not raw.startswith((b"* OK", b"* PREAUTH")):
        return None
    banner = text(raw.split(b"\n", 1)[0])
    return Heard("imap", {"banner": banner}, (("text.banner", banner), ("imap4.banner", banner.removeprefix("* OK "))))


def _rsync(raw: bytes) -> Heard | None:
    found = re.match(rb"@RSYNCD: (\d[\d.]*)", raw)
    banner = text(raw.split(b"\n", 1)[0])
    return Heard("rsync", {"protocol": text(found[1])}, (("text.banner", banner),)) if found else None


def _svn(raw: bytes) -> Heard | None:
    """Read svnserve's list of the versions and abilities that it has (protocol 2)."""
    found = re.match(rb"\( success \( (\d) \d \( [^)]{0,256}\) \( ", raw)
    facts = {"service.vendor": "Apache", "service.product": "Subversion", "service.cpe23": "cpe:/a:apache:subversion"}
    return Heard("svn", {**facts, "protocol": f"svn {text(found[1])}"}) if found else None


READERS: tuple[Callable[[bytes], Heard | None], ...] = (
    ssh.read,
    _ftp_or_smtp,
    _pop3,
    _imap,
    vnc.read,
    _rsync,
    _svn,
    telnet.read,
    irc.read,
    mysql.read,
)
