"""Microsoft SQL Server (MS-TDS 2.2.6.5): the pre-login packet, whose answer carries the server's version."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk

PORTS = (1433,)
# One option (version, 6 bytes at offset 11), one for encryption (1 byte at 17), then the end mark.
_OPTIONS = struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF) + bytes(6) + b"\x02"
REQUEST = struct.pack(">BBHHBB", 0x12, 1, 8 + len(_OPTIONS), 0, 0, 0) + _OPTIONS
RELEASES = {8: "2000", 9: "2005", 10: "2008", 11: "2012", 12: "2014", 13: "2016", 14: "2017", 15: "2019", 16: "2022"}
ENCRYPTION = {0: "off", 1: "on", 2: "not supported", 3: "required"}


def talk(_host: str, _port: int) -> Talk:
    """Send a pre-login packet; no login follows."""
    yield Send(REQUEST)
    return read((yield Receive(_whole, 4096)))


def read(raw: bytes) -> Heard | None:
    """Read the answer: a table of options, each a number, an offset and a length."""
    if not _whole(raw) or raw[0] != 4:
        return None
    body, options, at = raw[8:], {}, 0
    while at + 5 <= len(body) and body[at] != 0xFF and at < 64:
        number, offset, size = struct.unpack_from(">BHH", body, at)
        options[number] = body[offset : offset + min(size, 64)]
        at += 5
    version = options.get(0, b"")
    if len(version) < 6:
        return None
    major, minor, build = struct.unpack_from(">BBH", version)
    facts = {
        "service.vendor": "Microsoft",
        "service.product": "SQL Server",
        "service.version": f"{major}.{minor}.{build}",
        "service.edition": RELEASES.get(major, ""),
        "service.cpe23": f"cpe:/a:microsoft:sql_server:{RELEASES.get(major, '')}",
        "os.family": "Windows",
    }
    if options.get(1):
        facts["encryption"] = ENCRYPTION.get(options[1][0], "unknown")
    return Heard("ms-sql-s", {name: value for name, value in facts.items() if value})


def _whole(raw: bytes) -> bool:
    return len(raw) >= 8 and len(raw) >= min(int.from_bytes(raw[2:4], "big"), 4096)
