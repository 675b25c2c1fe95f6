"""Entries of the scope, checked: values in their one plain spelling, and no more than one person can authorise."""

from dataclasses import replace
from datetime import date, timedelta
from ipaddress import IPv6Network, ip_network

from probes.kit.errors import ScopeError
from probes.kit.scope.addresses import NAT64, Network
from wire.ports import parse_ports
from wire.text import Text, TextError, text_of, within
from wire.types import ScopeEntry

MAX_DAYS = 400
"""Longest authorisation in days, so that each is looked at again about once a year."""
SHORTEST_PREFIX = {4: 8, 6: 20}
"""The largest prefixes that one person can seriously authorise: a /8 of IPv4, a provider's /20 of IPv6."""
MAX_TEXT = 256

_WAYS_TO_IPV4 = (NAT64, IPv6Network("2002::/16"))
"""Prefixes of IPv6 that hold all of IPv4 (RFC 6052, RFC 3056)."""
_SHARED_SUFFIXES = frozenset({"ac", "com", "edu", "gov", "mil", "net", "org"})


def normal_domain(name: str) -> str:
    """Write a domain in lower-case ASCII (RFC 5890 A-labels) without the last dot; raises ValueError if it is none."""
    if len(name) > 253 + 1:
        raise TextError("超过 253 个字符", "longer than 253 characters")
    text = name.removesuffix(".").lower()
    try:
        ascii_name = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        raise TextError("有一段不能写成域名", "has a label that cannot be written as a domain name") from None
    labels = ascii_name.split(".")
    for label in labels:
        if not 1 <= len(label) <= 63 or label[0] == "-" or label[-1] == "-":
            raise TextError("有一段为空、过长，或以连字符开头或结尾", "has an empty, too long or hyphen-ended label")
        if not all(char.isalnum() or char in "-_" for char in label):
            raise TextError("只能含字母、数字、连字符和点", "may hold letters, digits, hyphens and dots only")
    if labels[-1].isdigit() or labels[-1].startswith("0x") or len(ascii_name) > 253:
        raise TextError("以数字结尾，是写法特殊的地址", "ends in a number, so it is an address in an unusual spelling")
    return ascii_name


def check_entry(entry: ScopeEntry, today: date, *, new: bool = True) -> ScopeEntry:
    """Give an entry with its value in plain spelling, or raise ScopeError whose lines are `field: what`.

    A `new` entry must not end in the past; one from a file may, it then authorises nothing any more.
    """
    problems: list[Text] = []
    value = entry.value
    try:
        value = plain_value(entry.value.strip())
    except ValueError as error:
        problems.append(within("value", text_of(error)))
    for name, text in (("authoriser", entry.authoriser), ("reason", entry.reason)):
        if not text.strip():
            problems.append(
                Text(f"{name}：为空；请写明何人授权、为何授权", f"{name}: is empty; write who authorised this, or why")
            )
        elif len(text) > MAX_TEXT or not text.isprintable():
            problems.append(
                Text(
                    f"{name}：最多 {MAX_TEXT} 个可打印字符",
                    f"{name}: at most {MAX_TEXT} printable characters are allowed",
                )
            )
    wrong = _wrong_end(entry.until, today, new=new)
    if wrong is not None:
        problems.append(wrong)
    try:
        parse_ports(entry.ports)
    except ValueError as error:
        problems.append(within("ports", text_of(error)))
    if problems:
        raise ScopeError(*problems)
    return replace(entry, value=value, authoriser=entry.authoriser.strip(), reason=entry.reason.strip())


def _wrong_end(until: date | None, today: date, *, new: bool) -> Text | None:
    latest = today + timedelta(MAX_DAYS)
    if until is None:
        return Text(
            f"until：缺少；请写最后一天，不晚于 {latest}", f"until: is missing; give the last day, at most {latest}"
        )
    if until > latest:
        return Text(
            f"until：{until} 在 {MAX_DAYS} 天之后；不得晚于 {latest}",
            f"until: {until} is more than {MAX_DAYS} days away; the latest is {latest}",
        )
    if new and until < today:
        return Text(
            f"until：{until} 已过；今天是 {today}（UTC）", f"until: {until} is in the past; today is {today} (UTC)"
        )
    return None


def plain_value(value: str) -> str:
    """Write a prefix, address or domain in its one plain spelling; raises ValueError, also when it is too much."""
    network = network_of(value)
    if network is None:
        return plain_domain(value)
    if network.prefixlen < SHORTEST_PREFIX[network.version]:
        least = SHORTEST_PREFIX[network.version]
        raise TextError(
            f"{value} 过大；IPv{network.version} 网段最大为 /{least}，请拆分",
            f"{value} is too large; a prefix of IPv{network.version} may be /{least} at most, split it",
        )
    for way in _WAYS_TO_IPV4:
        if network.version == 6 and network.overlaps(way) and network.prefixlen < way.prefixlen + SHORTEST_PREFIX[4]:
            least = way.prefixlen + SHORTEST_PREFIX[4]
            raise TextError(
                f"{value} 通向的 IPv4 地址过多；{way} 之内的网段最大为 /{least}，请拆分",
                f"{value} leads to too much of IPv4; below {way} a prefix may be /{least} at most, split it",
            )
    if network.is_multicast or network.network_address.is_unspecified:
        raise TextError(f"{value} 不是主机的地址", f"{value} is not an address of hosts")
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def plain_domain(value: str) -> str:
    """Write a domain, or `*.` and one, in its plain spelling; raises ValueError, also when it has many owners."""
    star, name = ("*.", value[2:]) if value.startswith("*.") else ("", value)
    if "/" in name or ":" in name:
        raise TextError(
            f"{value!r} 不是地址、10.1.0.0/16 这样的网段或域名",
            f"{value!r} is neither an address, a prefix such as 10.1.0.0/16, nor a domain",
        )
    try:
        plain = normal_domain(name)
    except ValueError as error:
        why = text_of(error)
        raise TextError(f"{value!r} {why.zh}", f"{value!r} {why.en}") from None
    labels = plain.split(".")
    if len(labels) == 1 and plain != "localhost":
        raise TextError(
            f"{value!r} 是整个顶级域，请写其下的域名", f"{value!r} is a whole top-level domain; name one below it"
        )
    if star and len(labels) == 2 and (labels[0] in _SHARED_SUFFIXES and len(labels[1]) == 2):
        raise TextError(
            f"{value!r} 之下的域名属于许多单位，请写学校自己的域名",
            f"{value!r} holds domains of many owners; name the school's own domain",
        )
    return star + plain


def network_of(value: str) -> Network | None:
    """Read a prefix or address, None for what is written like neither; raises ValueError for bits behind its prefix."""
    # Netmasks, host masks and zones are other spellings, which people misread; they are no prefixes here.
    mask = value.partition("/")[2]
    if "%" in value or (mask and not (mask.isascii() and mask.isdigit())):
        return None
    try:
        network = ip_network(value)
    except ValueError:
        try:
            loose = ip_network(value, strict=False)
        except ValueError:
            return None
        raise TextError(
            f"{value} 前缀之后还有非零位，是否为 {loose}？",
            f"{value} has bits set behind its prefix; {loose} is meant?",
        ) from None
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise TextError(
            f"{value} 是 IPv4 映射地址，请写 IPv4 地址", f"{value} is an IPv4-mapped address; write the IPv4 address"
        )
    return network
