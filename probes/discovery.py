"""Hosts on this gateway's networks and beyond: several methods together, since each of them misses some.

On a link ARP and ND settle who is there and who is not. Hosts with IPv6 in a prefix too large to be listed are asked
all at once (MLD, echo, an option that must be complained about) and by what devices announce themselves with; who keeps
silent then is unknown, not absent. Behind a router TCP and ICMP are tried together, and silence proves nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import islice
from typing import TYPE_CHECKING

from probes.kit.contract import CannotRun, Context, Preview, Privilege, Probe, Progress, Yield
from probes.kit.discovery.area import Area, check_targets, survey
from probes.kit.discovery.leases import DEFAULT_FILES, Lease, read_files
from probes.kit.discovery.look import Look, Settled
from probes.kit.discovery.on_links import Wish, ask_kernel, ask_raw, ask_silent_again
from probes.kit.discovery.sightings import LEASE, OWN, SPOKEN, TABLE, Sightings
from probes.kit.discovery.told import DESCRIPTION, Told, words
from probes.kit.errors import Refused
from probes.kit.machine.neighbours import LIVE, State, links, neighbours, own_addresses
from probes.kit.options import option
from probes.kit.raw.helper.client import why_not
from probes.kit.raw.link.messages import GROUP_METHODS
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.scope.targets import plain_prefixes, prefixes
from probes.kit.sending.net import Net
from wire.ports import expand, parse_ports
from wire.text import Text
from wire.types import Coverage, SectionKind, Skipped

if TYPE_CHECKING:
    from probes.kit.scan.udp import Answered

_ANNOUNCED = ("mdns", "ssdp", "wsd")
METHODS = ("arp", "nd", *GROUP_METHODS, *_ANNOUNCED, DESCRIPTION, "netbios", "tcp", "icmp", TABLE, LEASE)
_NETBIOS = 137
_MOST_NETBIOS = 4096
_MOST_CONFIRMED = 4096
_FRESH_SECONDS = 120.0
"""How long ago a neighbour may last have proved to be there, for the kernel's table to count."""
_MARGIN = 1.0
_MOST_OBSERVATIONS = 45_000
_MOST_SKIPPED = 900
_MOST_PREFIXES = 4000
_ALIVE = frozenset({"open", "closed"})


@dataclass(frozen=True, slots=True)
class Options:
    """What to look for, where, and how hard."""

    targets: tuple[str, ...] = option(
        (),
        zh="地址、网段或范围；默认为本机各接口所在的网段；大于 /112 的 IPv6 网段不逐个枚举，只询问其链路上的主机",
        en="addresses, prefixes or ranges; the networks of this machine's links by default; an IPv6 prefix larger than "
        "/112 is never enumerated, those on its link are asked all at once",
        check=check_targets,
    )
    methods: tuple[str, ...] = option(METHODS, zh="使用的方法", en="methods to use", choices=METHODS)
    ports: str = option(
        "22,80,443,445,3389,8000,8080,9100",
        zh="路由器之后的主机用来探活的 TCP 端口（只握手，不发送数据）",
        en="TCP ports to ping hosts behind routers on (a handshake, never a payload)",
        check=parse_ports,
    )
    rate: float = option(
        2000.0,
        zh="每秒发往路由器之后的数据包上限",
        en="most packets a second to hosts behind routers",
        minimum=1,
        maximum=1e6,
    )
    link_rate: float = option(
        5000.0,
        zh="每秒在本机所在链路上询问（ARP、ND）的次数上限；有低速无线接入的网段可调低",
        en="most questions a second on the links of this machine (ARP, ND); less suits links with slow wireless cells",
        minimum=1,
        maximum=1e6,
    )
    tries: int = option(
        3,
        zh="无应答时的询问总次数；链路丢包时会更多",
        en="how often to ask what does not answer; more often where questions get lost",
        minimum=1,
        maximum=6,
    )
    timeout: float = option(
        1.0, zh="等待应答的最长时间", en="how long to wait for an answer", unit="s", minimum=0.05, maximum=30
    )
    listen: float = option(
        3.0, zh="等待组播应答的时间", en="how long answers to a group are awaited", unit="s", minimum=0.5, maximum=60
    )
    leases: tuple[str, ...] = option(
        DEFAULT_FILES,
        zh="本机 DHCP 服务的租约文件（dnsmasq、ISC dhcpd、Kea）",
        en="lease files of DHCP servers on this machine (dnsmasq, ISC dhcpd, Kea)",
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Look; give one line per address that was seen or has a lease, and what was covered and what not."""
    net = context.net
    try:
        own, all_links = own_addresses(), links()
        area = survey(net, options.targets, own, all_links.values())
    except OSError as error:
        raise CannotRun(because("no_neighbours", error.strerror or str(error))) from None
    look = Look(net, own, area, context.deadline - _MARGIN)
    methods, seen, settled = frozenset(options.methods), look.seen, look.settled
    raw = why_not() is None
    if time.monotonic() >= look.deadline:
        yield from area.skipped[:_MOST_SKIPPED]
        yield Skipped("...", because("deadline"))
        return
    macs = {link.name: link.mac for link in all_links.values()}
    for item in own:
        if item.address.ip in area.own:
            seen.see(item.address.ip, OWN, mac=macs[item.interface], interface=item.interface)
    yield Progress(0, area.total)
    wish = Wish(
        on_link=area.on_link,
        groups=[name for name, family in area.links if family == 6],
        echo=area.beyond,
        methods=methods,
        rate=options.link_rate,
        echo_rate=options.rate,
        tries=options.tries,
        wait=options.timeout,
    )
    if raw:
        yield from ask_raw(look, wish)
    else:
        yield Progress(0, area.total, because("no_raw_links"))
        settled.skipped += _left_out(area, methods)
        yield from ask_kernel(look, methods)
    if "tcp" in methods and area.beyond and settled.stopped is None:
        # This and the two below are imported on use: a sweep by ARP alone is done before they are loaded.
        from probes.kit.discovery.beyond import Pings, tcp_ping

        pings = Pings(expand(parse_ports(options.ports)), raw, options.rate, options.timeout)
        yield from tcp_ping(look, pings)
    if TABLE in methods:
        _read_table(area, seen)
    yield from _ask_and_listen(look, options)
    if TABLE in methods:
        _read_table(area, seen)
    yield from _ask_netbios(look, methods)  # whom only these have brought up
    if raw:
        yield from _confirm(look, wish)
    yield from report(options, look)


def preview(options: Options, net: Net) -> Preview:
    """Say what a run would send; see `Preview`."""
    from probes.kit.discovery.outlook import Manner, outlook

    own = own_addresses()
    how = Manner(
        methods=frozenset(options.methods),
        ports=expand(parse_ports(options.ports)),
        raw=why_not() is None,
        tries=options.tries,
        rate=options.link_rate,
        listen=options.listen,
        timeout=options.timeout,
    )
    return outlook(net, survey(net, options.targets, own, links().values()), own, how)


def _left_out(area: Area, methods: frozenset[str]) -> list[Skipped]:
    """Say what nobody asks without CAP_NET_RAW: IPv6 hosts all at once, and echoes behind routers."""
    groups = " ".join(method for method in GROUP_METHODS if method in methods)
    found = [f"{name} {groups}" for name, family in area.links if family == 6 and groups]
    if area.beyond and "icmp" in methods:
        found.append("icmp")
    return [Skipped(what, because("no_raw_links")) for what in found]


def _ask_and_listen(look: Look, options: Options) -> Iterator[Progress]:
    """Ask those that were seen by name, and meanwhile everybody in the protocols that devices announce themselves with.

    Each of both has half of the rate.
    """
    net, seen, settled, methods = look.net, look.seen, look.settled, frozenset(options.methods)
    if not methods.intersection(_ANNOUNCED) or settled.stopped is not None:
        yield from _ask_each(look, methods)
        return
    from probes.kit.discovery.descriptions import fetch
    from probes.kit.discovery.speaking import Speaking

    parts = here, there = net.share(2)
    speaking = Speaking(replace(look, net=there), options.methods, options.listen)
    try:
        with speaking:
            yield from _ask_each(replace(look, net=here), methods)
            yield from speaking.rest()
    finally:
        for part in parts:
            net.absorb(part)
    settled.skipped += [refusal.skipped for refusal in speaking.refused]
    if DESCRIPTION not in methods:
        return
    pages = speaking.announced.pages
    for done, said in enumerate(fetch(net, pages, look.deadline), 1):
        if isinstance(said, Refused):
            settled.skipped.append(said.skipped)
        elif said is not None:
            address, told = said
            seen.see(address, DESCRIPTION)
            seen.tell(address, told)
        yield Progress(done, len(pages))


def _ask_each(look: Look, methods: frozenset[str]) -> Iterator[Progress]:
    ask_silent_again(look)
    yield from _ask_netbios(look, methods)


def _read_table(area: Area, seen: Sightings) -> None:
    """Take from the kernel's table who proved to be there a moment ago."""
    for item in neighbours():
        fresh = item.state is State.REACHABLE or (item.confirmed is not None and item.confirmed <= _FRESH_SECONDS)
        if item.state in LIVE and item.state is not State.PERMANENT and item.mac and fresh:
            address = item.address
            if address.version == 6 and address.is_link_local:
                address = type(address)(f"{address}%{item.interface}")
            # Whom another method saw is in the table because of our own questions, now and then.
            if area.wants(address) and address not in seen:
                seen.see(address, TABLE, mac=item.mac, interface=item.interface)


def _ask_netbios(look: Look, methods: frozenset[str]) -> Iterator[Progress]:
    """Ask those that were seen for their NetBIOS names, once; an answer or an ICMP error is a sign of life as well."""
    if "netbios" not in methods:
        return
    from probes.kit.scan.udp import sweep

    net, seen, settled = look.net, look.seen, look.settled
    while settled.answers:
        _take_netbios(settled.answers.pop(), seen)
    pairs = [
        (str(item.address), _NETBIOS)
        for item in seen.all()
        if item.address.version == 4 and OWN not in item.via and str(item.address) not in settled.asked
    ]
    allowed = [pair for pair in pairs if net.ports_of(_parsed(pair[0]))][:_MOST_NETBIOS]
    settled.asked.update(address for address, _ in allowed)
    for done, answer in enumerate(sweep(net, allowed, look.deadline), 1):
        if answer.refused is None:
            _take_netbios(answer, seen)
        yield Progress(done, len(allowed))


def _take_netbios(answer: "Answered", seen: Sightings) -> None:
    if answer.outcome not in _ALIVE:
        return
    address = _parsed(answer.address)
    # A closed port is an ICMP error, which only the host itself (or its firewall) sends.
    seen.see(address, "netbios" if answer.outcome == "open" else "icmp")
    if answer.heard is not None and answer.heard.service == "netbios-ns":
        facts = answer.heard.facts
        hosts = words([facts.get("host.name", "")])
        told = Told("netbios", hosts=hosts, workgroup=facts.get("host.domain", ""), mac=facts.get("host.mac", ""))
        seen.tell(address, told)


def _confirm(look: Look, wish: Wish) -> Iterator[Progress]:
    """Ask by ARP and ND for those that only spoke for themselves: anybody can send a datagram in another's name."""
    net, seen = look.net, look.seen
    families = [family for family, method in ((4, "arp"), (6, "nd")) if method in wish.methods]
    links_here = {name for name, _ in look.area.links}
    doubtful = [
        item
        for item in seen.all()
        if item.via <= SPOKEN and item.interface in links_here and item.address.version in families
        if net.ports_of(item.address)
    ][:_MOST_CONFIRMED]
    if not doubtful or net.quiet_hours():
        return
    on_link = {name: [net.gate(item.address) for item in doubtful if item.interface == name] for name in links_here}
    asked = Settled()
    wish = replace(wish, on_link=on_link, groups=(), echo=())
    yield from ask_raw(replace(look, settled=asked), wish)
    settled = {str(address) for address in asked.addresses}
    for item in doubtful:
        item.doubted = item.via <= SPOKEN and str(item.address).partition("%")[0] in settled


def report(options: Options, look: Look) -> Iterator[Yield]:
    """Report who was seen, what is covered, and what was left out."""
    area, seen, settled = look.area, look.seen, look.settled
    leases, skipped = _leases(options, area)
    observations = seen.observations(leases)
    yield from islice(observations, _MOST_OBSERVATIONS)
    untold = {_parsed(observation.target.name) for observation in observations}
    if untold:
        skipped.append(Skipped("...", because("too_large", f"more than {_MOST_OBSERVATIONS} observations")))
    # Whom nobody told of must not count as absent.
    yield from _coverage(area, {*settled.addresses, *settled.gone, *area.own} - untold)
    skipped += [*area.skipped, *dict.fromkeys(settled.skipped)]
    told = set(settled.gone)
    silent = [gate.parsed for gate in area.beyond if gate.parsed not in seen and gate.parsed not in told]
    for code, addresses in (
        ("deadline", settled.unfinished),
        ("answers_lost", settled.lossy),
        ("interface_down", settled.down),
        ("no_answer", silent),
    ):
        skipped += [Skipped(prefix, because(code)) for prefix in plain_prefixes(addresses)]
    yield from skipped[:_MOST_SKIPPED]
    if len(skipped) > _MOST_SKIPPED:
        yield Skipped("...", because("too_large", f"more than {_MOST_SKIPPED} parts were skipped"))


def _leases(options: Options, area: Area) -> tuple[list[Lease], list[Skipped]]:
    if LEASE not in options.methods:
        return [], []
    read = read_files(options.leases, time.time())
    found = [lease for item in read for lease in item.leases if not options.targets or area.wants(lease.address)]
    return found, [Skipped(item.path, because("unreadable", item.failure)) for item in read if item.failure]


def _coverage(area: Area, held: set[Address]) -> Iterator[Coverage]:
    """Cover what the link layer settled, this machine's own addresses, and what a router called absent."""
    if held <= set(area.own):
        return
    numbers = {(address.version, int(address)) for address in held}
    # The network and broadcast addresses next to those that were asked: no host can have them.
    held |= {
        address
        for address in area.nobody
        if {(address.version, int(address) - 1), (address.version, int(address) + 1)} & numbers
    }
    for version in (4, 6):
        found = prefixes(address for address in held if address.version == version)
        for start in range(0, len(found), _MOST_PREFIXES):
            yield Coverage(found[start : start + _MOST_PREFIXES], 4 if version == 4 else 6)


def _parsed(text: str) -> Address:
    return ip_address(text)


PROBE = Probe(
    Text("发现网络上的主机", "hosts on the networks"),
    SectionKind.STATE,
    Options,
    run,
    privileges=frozenset({Privilege.NET_RAW}),
    preview=preview,
)
