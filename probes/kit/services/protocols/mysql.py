"""MySQL and MariaDB: the server's first packet (protocol 10), or the error it gives to hosts it does not want."""

import re

from probes.kit.services.talk import Heard, text

MAX_PACKET = 4096
FORKS = (
    (re.compile(r"(?:5\.5\.5-)?(\d[\d.]*)-MariaDB"), "MariaDB", "MariaDB", "mariadb:mariadb"),
    (re.compile(r"[\d.]+-OceanBase-v(\d[\d.]*)"), "OceanBase", "OceanBase", "oceanbase:oceanbase"),
    (re.compile(r"[\d.]+-OBProxy-(\d[\d.]*)"), "OceanBase", "OBProxy", ""),
    (re.compile(r"[\d.]+-TiDB-v(\d[\d.]*)"), "PingCAP", "TiDB", "pingcap:tidb"),
    (re.compile(r"(\d[\d.]*)"), "Oracle", "MySQL", "oracle:mysql"),
)
"""Who answers by this protocol, each behind the version of MySQL that it imitates (MariaDB: 5.5.5- for old clients)."""


def whole(raw: bytes) -> bool:
    """Tell whether a whole first packet is there: 3 bytes of length (little-endian), number 0, then so many bytes."""
    return (
        len(raw) > 4
        and raw[3] == 0
        and 4 <= (size := int.from_bytes(raw[:3], "little")) <= MAX_PACKET
        and len(raw) >= 4 + size
    )


def read(raw: bytes) -> Heard | None:
    """Read the first packet."""
    if not whole(raw):
        return None
    if raw[4] == 0xFF:
        message = text(raw[7:])
        if not re.search(r"mysql|mariadb|host|connect", message, re.IGNORECASE):
            return None
        product = next((name for name in ("MariaDB", "MySQL") if name.lower() in message.lower()), "")
        return Heard("mysql", {"refusal": message} | ({"service.product": product} if product else {}))
    if raw[4] != 10 or b"\0" not in raw[5:]:
        return None
    version = text(raw[5:].split(b"\0", 1)[0])
    if not re.match(r"\d", version):
        return None
    number, vendor, product, cpe = next(
        (found[1], vendor, product, cpe)
        for pattern, vendor, product, cpe in FORKS
        if (found := pattern.match(version)) is not None
    )
    facts = {
        "service.vendor": vendor,
        "service.product": product,
        "service.version": number,
        "service.cpe23": f"cpe:/a:{cpe}:{number}" if cpe else "",
        "banner": version,
    }
    return Heard("mysql", facts, (("mysql.banners", version),))
