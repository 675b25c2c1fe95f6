"""What an operator may name as a target: addresses, prefixes, ranges, and names that resolve without asking anybody."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t
from edusec.scan.request.excludes import Excluded
from probes.kit.errors import in_file
from probes.kit.scope.addresses import Address, Network, unmapped
from probes.kit.scope.entries import normal_domain
from probes.kit.scope.model import Scope

MAX_ADDRESSES = 1 << 16
"""Most addresses of one scan; a /64 is never enumerated."""
HOSTS_FILE = Path("/etc/hosts")
_MAX_HOSTS_BYTES = 4 << 20
_AUTHORISED_DAYS = 30


@dataclass(frozen=True, slots=True)
class Targets:
    """What to scan: prefixes, domains that the run resolves, and the name behind an address where one was given."""

    prefixes: tuple[str, ...]
    domains: tuple[str, ...]
    names: Mapping[str, str]
    excluded: Excluded = field(default_factory=Excluded)


def read_targets(
    words: Sequence[str],
    scope: Scope | None,
    today: date,
    *,
    exclude: Sequence[str] = (),
    hosts_file: Path = HOSTS_FILE,
) -> Targets:
    """Read targets, take out what is excluded, and check all that is left against the scope; sends nothing.

    Without a scope an agent elsewhere is to check them against its own; names of this machine's hosts file say nothing
    there. Raises Stop for a word that is no target, for too many addresses or none, for an excluded name that may be
    any of them, and for a target outside the scope, with the command that would authorise it.
    """
    known = _hosts(hosts_file) if scope is not None else {}
    named, without = _sort(words, known), _sort(exclude, known)
    _require_known(without.domains, named)
    excluded = Excluded(without.networks)
    left = dict.fromkeys(part for network in named.networks for part in excluded.left(network))
    zoned = [text for text in named.zoned if text not in without.zoned and ip_address(text) not in excluded]
    domains = [name for name in named.domains if name not in without.domains]
    if not (left or zoned or domains):
        raise Stop(t("排除之后没有剩下目标", "nothing is left of the targets once the excluded ones are out"))
    _require_few(left, len(zoned))
    if scope is not None:
        refused = [str(network) for network in left if not _within(network, scope, today)]
        refused += [text.partition("%")[0] for text in zoned if not scope.ports_of(ip_address(text), today)]
        refused += [name for name in domains if not scope.domain_ports(name, today)]
        if refused:
            raise Stop(outside(refused, scope, today))
    plain = tuple(_plain(network) for network in left)
    return Targets((*plain, *zoned), tuple(domains), named.names, excluded)


def _require_known(excluded: Iterable[str], named: "_Sorted") -> None:
    """Refuse a name of which nobody knows which of the addresses it is: it would be scanned all the same."""
    for name in excluded:
        if name not in named.domains or named.networks or named.zoned:
            raise Stop(
                t(
                    f"--exclude {name}：不在 hosts 文件里，不知是哪个地址；请写地址",
                    f"--exclude {name}: is not in the hosts file, so nobody knows its address; name the address",
                )
            )


def _require_few(networks: Iterable[Network], zoned: int) -> None:
    total = sum(network.num_addresses for network in networks) + zoned
    if total <= MAX_ADDRESSES:
        return
    large = next((network for network in networks if network.version == 6 and network.num_addresses > 1 << 16), None)
    if large is not None:
        raise Stop(
            t(
                f"{large}：IPv6 网段不逐个枚举；先用 edusec discover {large} 找出主机，再按地址扫描"
                "（或用 /112 及更小的网段）",
                f"{large}: an IPv6 prefix is not enumerated; find its hosts with edusec discover {large} and scan them "
                "by address (or prefixes of /112 and longer)",
            )
        )
    raise Stop(
        t(
            f"{total} 个地址太多，一次最多 {MAX_ADDRESSES} 个；请拆分",
            f"{total} addresses are too many, one scan takes {MAX_ADDRESSES}; split it",
        )
    )


def check_word(word: str) -> None:
    """Raise Stop for what can be no target, whatever the hosts file says."""
    _sort([word], {})


def require_ports(targets: Targets, ports: Iterable[int], scope: Scope, today: date) -> None:
    """Refuse ports that were asked for by number and are outside the scope; raises Stop with the command."""
    wanted = sorted(set(ports))
    for prefix in targets.prefixes:
        network = ip_network(prefix.partition("%")[0])
        for edge in {network[0], network[-1]}:
            missing = [port for port in wanted if not scope.allows_address(edge, port, today)]
            if missing:
                raise Stop(outside([str(_plain(network))], scope, today, ports=missing))


def outside(refused: Iterable[str], scope: Scope, today: date, ports: Sequence[int] = ()) -> str:
    """Say that targets are outside the scope, with the commands that would authorise them."""
    until = today + timedelta(_AUTHORISED_DAYS)
    extra = f" --ports {','.join(map(str, ports))}" if ports else ""
    who, why = t("授权人", "NAME"), t("理由或文号", "REASON")
    commands = [
        f'  edusec scope add {value} --authoriser "{who}" --reason "{why}" --until {until}{extra}{in_file(scope.file)}'
        for value in dict.fromkeys(value.removesuffix("/32").removesuffix("/128") for value in refused)
    ]
    head = t(
        "目标不在授权范围内，没有发送任何数据包。如已获授权，请先登记：",
        "outside the authorised scope; nothing was sent. If somebody authorised it, record that first:",
    )
    return "\n".join([head, *commands])


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Words by what they are; the names of the hosts file have become addresses."""

    networks: dict[Network, None] = field(default_factory=dict)
    zoned: dict[str, None] = field(default_factory=dict)
    domains: dict[str, None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def _sort(words: Iterable[str], known: Mapping[str, Sequence[Address]]) -> _Sorted:
    found = _Sorted()
    for word in words:
        if "%" in word:
            found.zoned[_zoned(word)] = None
        elif networks := _networks(word):
            found.networks.update(dict.fromkeys(networks))
        elif addresses := known.get(name := _name(word), ()):
            found.networks.update((ip_network(address), None) for address in addresses)
            found.names.update((str(address), name) for address in addresses)
        else:
            found.domains[name] = None
    return found


def _networks(word: str) -> list[Network]:
    try:
        network = _real(ip_network(word))
    except ValueError:
        pass
    else:
        if network.version == 6 and network.is_link_local:
            raise Stop(
                t(
                    f"{word}：链路本地地址须写明接口，如 {word}%eth0",
                    f"{word}: is link-local; add the interface, such as {word}%eth0",
                )
            )
        return [network]
    try:
        loose = ip_network(word, strict=False)
    except ValueError:
        return _range(word)
    raise Stop(
        t(f"{word}：前缀之后还有位，是否为 {loose}？", f"{word}: bits are set behind its prefix; is {loose} meant?")
    )


def _real(network: Network) -> Network:
    if network.num_addresses == 1:
        return ip_network(unmapped(network[0]))
    return network


def _range(word: str) -> list[Network]:
    low_text, dash, high_text = word.partition("-")
    try:
        low = ip_address(low_text)
    except ValueError:
        return []
    if not dash:
        return []
    if isinstance(low, IPv4Address) and high_text.isascii() and high_text.isdigit():
        high_text = f"{low_text.rpartition('.')[0]}.{high_text}"
    try:
        high = ip_address(high_text)
        if low.version == high.version and high < low:  # type: ignore[operator]
            raise Stop(t(f"{word}：范围写反了，应为 {high}-{low}", f"{word}: runs backwards; write {high}-{low}"))
        if isinstance(low, IPv4Address) and isinstance(high, IPv4Address):
            return list(summarize_address_range(low, high))
        if isinstance(low, IPv6Address) and isinstance(high, IPv6Address):
            return [_real(network) for network in summarize_address_range(low, high)]
    except ValueError:
        raise Stop(t(f"{word}：不是 10.20.0.1-50 这样的范围", f"{word}: is no range such as 10.20.0.1-50")) from None
    raise Stop(t(f"{word}：两端不是同一地址族", f"{word}: both ends must be of one family"))


def _zoned(word: str) -> str:
    try:
        return str(ip_address(word))
    except ValueError:
        raise Stop(_no_target(word)) from None


def _name(word: str) -> str:
    try:
        return normal_domain(word)
    except ValueError:
        raise Stop(_no_target(word)) from None


def _no_target(word: str) -> str:
    return t(
        f"{word}：不是目标。可用：地址、前缀 10.20.0.0/24、范围 10.20.0.1-50、主机名",
        f"{word}: is not a target. Allowed: an address, a prefix 10.20.0.0/24, a range 10.20.0.1-50, a host name",
    )


def _within(network: Network, scope: Scope, today: date) -> bool:
    """Tell whether every address of a network has some port in scope: its ends, and no gap between the entries."""
    position, end = int(network[0]), int(network[-1])
    if network.num_addresses == 1:
        return bool(scope.ports_of(network[0], today))
    spans = sorted(
        (int(entry[0]), int(entry[-1]))
        for entry in (_entry_network(item.value) for item in scope.entries if item.until is None or today <= item.until)
        if entry is not None and entry.version == network.version
    )
    for low, high in spans:
        if low <= position <= high:
            position = high + 1
        if position > end:
            return True
    return False


@cache
def _entry_network(value: str) -> Network | None:
    try:
        return ip_network(value)
    except ValueError:
        return None  # a domain


def _plain(network: Network) -> str:
    return str(network[0]) if network.num_addresses == 1 else str(network)


def _hosts(file: Path) -> dict[str, tuple[Address, ...]]:
    """Read the hosts file, so that names in it need no resolver; `localhost` is always known."""
    found: dict[str, list[Address]] = {}
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(_MAX_HOSTS_BYTES)
    except OSError:
        text = ""
    for line in text.splitlines():
        address_text, *names = line.partition("#")[0].split() or [""]
        try:
            address = ip_address(address_text)
        except ValueError:
            continue
        for name in names:
            found.setdefault(name.lower().removesuffix("."), []).append(address)
    found.setdefault("localhost", [ip_address("127.0.0.1"), ip_address("::1")])
    return {name: tuple(dict.fromkeys(addresses)) for name, addresses in found.items()}
