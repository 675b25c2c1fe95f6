"""Services that speak first: one connection, nothing sent, and the greeting tells which protocol it is."""

import re
from collections.abc import Callable
from itertools import pairwise

from probes.kit.services.protocols import irc, munin, mysql, ssh, starttls, telnet, vnc
from probes.kit.services.talk import Heard, Receive, Talk, line_end, text, with_raw

MAX_GREETING = 4096
_CODE = re.compile(rb"220[ -]")
_MAIL_PORTS = frozenset({25, 465, 587, 2525})
_TURNS = frozenset({(0x7E, 0x20), (0x7E, 0x21), (0x7D, 0x20), (0x7D, 0x21)})
"""Where the row of all characters begins anew, as servers differ on its ends."""
_FTP = re.compile(rb"220[ -][^\r\n]*(?:\bS?FTPS?\b|FTPd?\b)", re.IGNORECASE)
_SMTP = re.compile(rb"220[ -][^\r\n]*\b(?:E?SMTP|Mail)\b", re.IGNORECASE)


def talk(_host: str, port: int, seconds: float = 3.0, *, inside_tls: bool = False) -> Talk:
    """Wait for a greeting; None when the other side keeps silent, so that the caller can speak first instead."""
    raw = yield Receive(_settled, MAX_GREETING, seconds)
    heard = read(raw, port) if raw else None
    if heard is None:
        return None
    heard = with_raw(heard, "NULL", raw)
    if heard.service == "ssh":
        heard = yield from ssh.go_on(heard, raw)
    elif heard.service == "vnc":
        heard = yield from vnc.go_on(heard, raw)
    elif heard.service == "telnet":
        heard = with_raw((yield from telnet.go_on(raw)), "NULL", raw)
    elif heard.service == "munin":
        heard = yield from munin.go_on(heard)
    elif heard.service in starttls.UPGRADES and not inside_tls:
        heard = yield from starttls.go_on(heard)
    return heard


def read(raw: bytes, port: int = 0) -> Heard | None:
    """Tell the protocol from a greeting; a text in no known form is `unknown` with its banner as a fact.

    The port decides only where the words leave it open: mail and file servers may both say no more than `220 ready`.
    """
    for reader in READERS:
        heard = reader(raw)
        if heard is not None:
            if heard.service == "ftp" and port in _MAIL_PORTS and not _FTP.match(raw):
                return _smtp(heard.facts["banner"])
            return heard
    banner = _first_line(raw)
    return Heard("unknown", {"banner": banner}, (("text.banner", banner),)) if banner else None


def _first_line(raw: bytes) -> str:
    return text(raw.split(b"\n", 1)[0])


def _settled(raw: bytes) -> bool:
    return (
        line_end(raw) or mysql.whole(raw) or _nbd(raw) is not None or (raw[:1] == bytes([telnet.IAC]) and len(raw) >= 3)
    )


def _ftp_or_smtp(raw: bytes) -> Heard | None:
    if not _CODE.match(raw):
        return None
    banner = _first_line(raw)
    if _SMTP.match(raw):
        return _smtp(banner)
    return Heard("ftp", {"banner": banner}, (("text.banner", banner), ("ftp.banner", banner[4:])))


def _smtp(banner: str) -> Heard:
    return Heard("smtp", {"banner": banner}, (("text.banner", banner), ("smtp.banner", banner[4:])))


def _dict(raw: bytes) -> Heard | None:
    """Read a dictionary server's greeting (RFC 2229 section 3.1), which begins as one of FTP does."""
    if not re.match(rb"220 [^\r\n]{0,400}<[\w.-]{0,200}> <[^<>\s]{1,200}>\r?\n", raw):
        return None
    banner = _first_line(raw)
    return Heard("dict", {"banner": banner}, (("text.banner", banner),))


def _vmware(raw: bytes) -> Heard | None:
    """Read the greeting of the console and copy service of VMware's hosts, which begins as one of FTP does, too."""
    if not re.match(rb"220 VMware Authentication Daemon Version \d", raw):
        return None
    return Heard("vmware-auth", {"banner": _first_line(raw), "service.vendor": "VMware"})


def _nbd(raw: bytes) -> Heard | None:
    """Read what begins a network block device's negotiation (its doc/proto.md): of today's kind, or of the old one."""
    return Heard("nbd") if raw[:16] in (b"NBDMAGICIHAVEOPT", b"NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53") else None


def _sieve(raw: bytes) -> Heard | None:
    """Read the abilities of ManageSieve (RFC 5804 section 1.7), its implementation among them."""
    found = re.search(rb'(?:^|\n)"IMPLEMENTATION" "([^"\r\n]{1,200})"\r?\n', raw, re.IGNORECASE)
    banner = text(found[1]) if found else ""
    return Heard("sieve", {"banner": banner}, (("sieve.implementation", banner),)) if banner else None


def _gpsd(raw: bytes) -> Heard | None:
    """Read gpsd's first object (gpsd_json(5))."""
    found = re.match(rb'\{"class":"VERSION","release":"(\d[\w.]{0,31})["~ -]', raw)
    version = text(found[1]) if found else ""
    product = {"service.vendor": "gpsd", "service.product": "gpsd", "service.version": version}
    return Heard("gpsd", {**product, "service.cpe23": f"cpe:/a:gpsd_project:gpsd:{version}"}) if version else None


def of_inetd(raw: bytes) -> Heard | None:
    """Read what small old services send unasked: all characters (RFC 864), or what day it is (RFC 867)."""
    pairs = list(pairwise(raw[:32]))
    if len(pairs) == 31 and all(after == before + 1 or (before, after) in _TURNS for before, after in pairs):
        return Heard("chargen")
    if re.fullmatch(rb"[\w ,:+-]{10,40}\d\d:\d\d:\d\d [\w+ -]{2,20}\r?\n", raw):
        return Heard("daytime", {"banner": _first_line(raw)})
    return None


def _pop3(raw: bytes) -> Heard | None:
    if not raw.startswith(b"+OK"):
        return None
    banner = _first_line(raw)
    return Heard("pop3", {"banner": banner}, (("text.banner", banner), ("pop3.banner", banner[4:])))


def _imap(raw: bytes) -> Heard | None:
    if not raw.startswith((b"* OK", b"* PREAUTH")):
        return None
    banner = _first_line(raw)
    return Heard("imap", {"banner": banner}, (("text.banner", banner), ("imap4.banner", banner.removeprefix("* OK "))))


def _rsync(raw: bytes) -> Heard | None:
    found = re.match(rb"@RSYNCD: (\d[\d.]*)", raw)
    banner = _first_line(raw)
    return Heard("rsync", {"protocol": text(found[1])}, (("text.banner", banner),)) if found else None


def _svn(raw: bytes) -> Heard | None:
    """Read svnserve's list of the versions and abilities that it has (protocol 2)."""
    found = re.match(rb"\( success \( (\d) \d \( [^)]{0,256}\) \( ", raw)
    facts = {"service.vendor": "Apache", "service.product": "Subversion", "service.cpe23": "cpe:/a:apache:subversion"}
    return Heard("svn", {**facts, "protocol": f"svn {text(found[1])}"}) if found else None


READERS: tuple[Callable[[bytes], Heard | None], ...] = (
    ssh.read,
    _dict,
    _vmware,
    _ftp_or_smtp,
    _pop3,
    _imap,
    vnc.read,
    _rsync,
    _svn,
    telnet.read,
    irc.read,
    mysql.read,
    munin.read,
    _nbd,
    _sieve,
    _gpsd,
    of_inetd,
)
