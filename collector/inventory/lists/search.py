"""The small search language of asset lists: words and `field:value` pairs, all of which must hold."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import IPv4Network

from sqlalchemy import ColumnElement, exists, false, func, not_, or_

from collector.answers.said import one_of
from collector.errors import BadInput
from collector.inventory.identity.devices import SHOWN_CARDS
from collector.inventory.keeping.subjects import PORT_STATES, PRESENCE
from collector.inventory.lists.vouched import told
from collector.sightings.addresses import address, network, plain, zone
from collector.store import tables
from collector.store.tables import asset, evidence, service
from probes.kit.makers.table import Makers, with_colons
from rules.facts import NOT_INTERNET, UNKNOWN, VANTAGES
from wire.ports import parse_ports
from wire.text import Text, text_of, within
from wire.whitelist import Standing, normal_mac

MAX_QUERY = 256
MAX_TERMS = 16
EXPOSED = (*reversed(VANTAGES), NOT_INTERNET, UNKNOWN)
MAX_PREFIXES = 10_000
"""MAC prefixes that a search by makers may compare with; the makers with most of them have some 2,000."""
OCTETS = {8: 1, 16: 2, 24: 3}
FIELDS = ("exposure", "ip", "mac", "maker", "name", "port", "presence", "product", "standing", "state", "unit")

_HEX = re.compile("[0-9a-f]+")


def conditions(
    q: str, now: float, exposure: ColumnElement[str], makers: Callable[[], Makers]
) -> list[ColumnElement[bool]]:
    """Read a search; raises BadInput, which says what is allowed. `exposure` is that of a service as people see it.

    `port`, `state`, `product` and `exposure` are about one and the same service; without a state it is an open one.
    """
    if len(q) > MAX_QUERY or len(q.split()) > MAX_TERMS:
        raise BadInput(
            Text(
                f"q：最多 {MAX_QUERY} 个字符、{MAX_TERMS} 个词",
                f"q: at most {MAX_QUERY} characters and {MAX_TERMS} words",
            )
        )
    found: list[ColumnElement[bool]] = []
    of_service: dict[str, ColumnElement[bool]] = {}
    made_by: list[str] = []
    for term in q.split():
        field, colon, value = term.partition(":")
        field = field.lower()
        if not colon or field not in FIELDS:
            if colon and field.isalpha() and not _HEX.fullmatch(field):
                allowed = ", ".join(FIELDS)
                raise BadInput(Text(f"q：{field!r} 不是 {allowed} 之一", f"q: {field!r} is none of {allowed}"))
            found.append(_word(term))
        elif field == "exposure":
            if value not in EXPOSED:
                raise BadInput(one_of("q: exposure", EXPOSED))
            of_service[field] = exposure == value
        elif field == "maker":
            made_by.append(value)
        elif field in ("port", "state", "product"):
            of_service[field] = _service(field, value, now)
        else:
            found.append(_asset(field, value, now))
    if made_by:
        found.extend(_made_by(made_by, makers()))
    if of_service:
        of_service.setdefault("state", _service("state", "open", now))
        vouching = (tables.section.c.county == service.c.county) & (tables.section.c.id == service.c.section)
        of_asset = (service.c.county == asset.c.county) & (service.c.asset == asset.c.id)
        found.append(exists().where(of_asset, vouching, *of_service.values()))
    return found


def _service(field: str, value: str, now: float) -> ColumnElement[bool]:
    if field == "state":
        if value not in PORT_STATES:
            raise BadInput(one_of("q: state", PORT_STATES))
        return told(service, "state", now) == value
    if field == "product":
        return service.c.product.contains(value, autoescape=True)
    try:
        ranges = parse_ports(value)
    except ValueError as error:
        raise BadInput(within("q: port", text_of(error))) from None
    return or_(*(service.c.port.between(low, high) for low, high in ranges))


def _asset(field: str, value: str, now: float) -> ColumnElement[bool]:
    if field == "unit":
        return asset.c.unit == value
    if field == "name":
        return asset.c.name.contains(value, autoescape=True)
    if field == "mac":
        return _evidence(SHOWN_CARDS, normal_mac(value) or value.lower())
    if field == "presence":
        if value not in PRESENCE:
            raise BadInput(one_of("q: presence", PRESENCE))
        return told(asset, "presence", now) == value
    if field == "standing":
        if value not in set(Standing):
            raise BadInput(one_of("q: standing", Standing))
        return asset.c.standing == value
    return _address(value)


def _made_by(values: Sequence[str], makers: Makers) -> Iterator[ColumnElement[bool]]:
    """Hold for an asset with a card of each maker; by the longest prefix, so not for what within it is another's."""
    if not makers.of_prefix:
        raise BadInput(
            Text(
                "q：maker：采集中心没有 MAC 前缀名录；安装 ieee-data，或见 edusec data import",
                "q: maker: the collector has no list of MAC prefixes; install ieee-data, or see edusec data import",
            )
        )
    named = [makers.named(value) for value in values]
    if sum(len(mine) + len(others) for mine, others in named) > MAX_PREFIXES:
        raise BadInput(
            Text(
                f"q：maker：匹配的 MAC 前缀超过 {MAX_PREFIXES} 个，请把名称写得更完整",
                f"q: maker: more than {MAX_PREFIXES} MAC prefixes match, write more of the name",
            )
        )
    for mine, others in named:
        of_mac = (
            _begins(size, mine) & not_(or_(false(), *(_begins(more, others) for more in _sizes(others) if more > size)))
            for size in _sizes(mine)
        )
        yield exists().where(_own_evidence(), evidence.c.kind.in_(SHOWN_CARDS), or_(false(), *of_mac))


def _sizes(prefixes: Collection[str]) -> list[int]:
    return sorted({len(prefix) for prefix in prefixes})


def _begins(size: int, prefixes: Collection[str]) -> ColumnElement[bool]:
    """Hold for evidence whose MAC begins with one of the prefixes of so many hex digits."""
    texts = sorted(with_colons(prefix) for prefix in prefixes if len(prefix) == size)
    return func.substr(evidence.c.value, 1, len(texts[0])).in_(texts)


def _address(value: str) -> ColumnElement[bool]:
    of_asset = (service.c.county == asset.c.county) & (service.c.asset == asset.c.id)
    single = address(value)
    if single is not None:
        where = plain(value)
        held = or_(_evidence(("address",), where, whole=True), exists().where(of_asset, service.c.address == where))
        if single.version == 4 or not single.is_link_local:
            return held
        # On any link, unless one is named.
        return or_(held, *(_evidence(("address",), where + mark) for mark in ("@" if zone(value) else "@%")))
    prefix = value
    if "/" in value:
        found = network(value)
        if not isinstance(found, IPv4Network) or found.prefixlen not in OCTETS:
            raise BadInput(
                Text(
                    "q: ip：须为地址、10.1. 这样的开头，或 /8、/16、/24 的 IPv4 网段",
                    "q: ip: must be an address, a beginning such as 10.1. or an IPv4 prefix of /8, /16 or /24",
                )
            )
        prefix = "".join(f"{octet}." for octet in str(found.network_address).split(".")[: OCTETS[found.prefixlen]])
    return or_(
        _evidence(("address",), prefix),
        exists().where(of_asset, service.c.address.startswith(prefix, autoescape=True)),
    )


def _word(term: str) -> ColumnElement[bool]:
    return or_(
        asset.c.name.contains(term, autoescape=True),
        asset.c.unit == term,
        exists().where(_own_evidence(), evidence.c.value.contains(term.lower(), autoescape=True)),
    )


def _evidence(kinds: tuple[str, ...], value: str, *, whole: bool = False) -> ColumnElement[bool]:
    matches = evidence.c.value == value if whole else evidence.c.value.startswith(value, autoescape=True)
    return exists().where(_own_evidence(), evidence.c.kind.in_(kinds), matches)


def _own_evidence() -> ColumnElement[bool]:
    return (evidence.c.county == asset.c.county) & (evidence.c.asset == asset.c.id)
