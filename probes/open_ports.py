"""Open TCP ports of listed addresses, found by raw SYNs or complete handshakes that carry no payload.

Both engines say the same. Raw SYNs are faster and need CAP_NET_RAW; where that is missing, handshakes take over, and
one observation of this machine itself, with the method `connect`, says why.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from probes.kit.contract import CannotRun, Context, Preview, Privilege, Probe, Progress, Silent, Yield
from probes.kit.evidence import LOCAL_MAC, MAC, PROXY_ADDRESSES, is_local_mac
from probes.kit.fingerprint.model import FingerprintFileError
from probes.kit.machine.neighbours import State, links, neighbours, not_hosts, own_addresses
from probes.kit.machine.routes import routes
from probes.kit.options import option
from probes.kit.ports.blocks import CODE_OF, PENDING, Block
from probes.kit.ports.plan import Plan, addresses_of
from probes.kit.reasons import because
from probes.kit.scan.engine import AUTO, ENGINES, SYN, Caps, Engine, choose
from probes.kit.scope.addresses import Address, Network
from probes.kit.scope.targets import MAX_ADDRESSES, covered, parse_targets, plain_prefixes
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import Settled
from probes.kit.shared_options import hosts_option
from wire.ports import expand, format_ports, parse_ports
from wire.text import Text
from wire.types import (
    Coverage,
    Observation,
    Outcome,
    SectionKind,
    Skipped,
    Target,
    TargetKind,
    Transport,
    Value,
)

DEFAULT_PORTS = (
    "21-23,25,53,80-81,88,110-111,135,137-139,143,179,389,443,445,465,512-515,548,554,587,593,631,636,873,902,993,995,"
    "1080,1099,1433,1521,1723,1883,2049,2181,2222,2375-2376,2379,3000,3128,3260,3306,3389,3690,4786,4848,4899,"
    "5000,5060,5222,5357,5432,5555,5601,5672,5800,5900-5901,5985-5986,6000,6379,6443,7001,7547,8000-8001,8008-8009,"
    "8080-8081,8088,8161,8291,8443,8554,8728,8848,8883,8888,8983,9000-9001,9042,9090,9092,9100,9200,9300,9443,9999,"
    "10000,10050-10051,10250,11211,15672,27017,34567,37777,49152,50000,50070,61616"
)
"""The high-risk ports of the domain's list, and what servers, cameras, printers and routers of schools listen on."""

_MAX_OBSERVATIONS = 45_000
_LEAST_OF_HOST = 1_000
"""Open ports that each host may have told, however many hosts there are: where all is open, others stay in sight."""
_MAX_SKIPPED = 900
_MAX_TEXT = 1000
_MAX_WHAT = 1024
_MAX_GROUPS = 32
_OPEN, _CLOSED, _TIMEOUT = (CODE_OF[settled] for settled in (Settled.OPEN, Settled.CLOSED, Settled.TIMEOUT))
_FILTERED = frozenset({CODE_OF[Settled.PROHIBITED], CODE_OF[Settled.NO_HOST], _TIMEOUT})
_ANSWERS = frozenset({_OPEN, _CLOSED, CODE_OF[Settled.PROHIBITED]})
_UNSETTLED = {
    CODE_OF[Settled.UNREACHABLE]: "unreachable",
    CODE_OF[Settled.DENIED]: "denied",
    CODE_OF[Settled.RESOURCES]: "resources",
    CODE_OF[Settled.LOST]: "loss",
}
_BY_HAND = frozenset({State.PERMANENT, State.NOARP})
_SELF = Target(TargetKind.AGENT, "self")


@dataclass(frozen=True, slots=True)
class Options:
    """What to scan and how hard."""

    targets: tuple[str, ...] = hosts_option(
        zh=f"扫描的地址、网段或范围，合计不超过 {MAX_ADDRESSES} 个地址；IPv6 网段须为 /112 或更小",
        en=f"addresses, prefixes or ranges, at most {MAX_ADDRESSES} addresses in all; IPv6 prefixes of /112 or longer",
    )
    ports: str = option(
        DEFAULT_PORTS, zh="扫描的 TCP 端口集合", en="set of TCP ports, such as 22,80,8000-8100", check=parse_ports
    )
    engine: str = option(
        AUTO,
        zh="扫描方式：syn 发送原始 SYN（需要 CAP_NET_RAW），connect 完成握手，auto 自动选择",
        en="raw SYNs (syn, needs CAP_NET_RAW), complete handshakes (connect), or whichever can be had and pays (auto)",
        choices=ENGINES,
    )
    rate: float = option(
        2000.0, zh="每秒 SYN 或新建连接数上限", en="most SYNs or new connections a second", minimum=1, maximum=1e6
    )
    host_rate: float = option(
        0.0,
        zh="每秒对同一地址的 SYN 数上限（syn）；0 表示 rate 的一半",
        en="most SYNs a second to one address (syn); 0 is half of the rate",
        minimum=0,
        maximum=1e6,
    )
    timeout: float = option(
        1.0, zh="等待应答的时间", en="how long to wait for an answer", unit="s", minimum=0.05, maximum=30
    )
    retries: int = option(1, zh="超时后的重试次数", en="tries after a timeout", minimum=0, maximum=5)
    connections: int = option(
        1024,
        zh="同时进行的连接数上限（connect、识别）",
        en="most connections at a time (connect, identify)",
        minimum=1,
        maximum=60000,
    )
    per_host: int = option(
        64,
        zh="对同一地址同时进行的连接数上限（connect、识别）",
        en="most connections to one address at a time (connect, identify)",
        minimum=1,
        maximum=60000,
    )
    identify: bool = option(
        True,
        zh="识别开放端口上的服务与产品（不尝试任何口令，打印机端口除外）",
        en="ask open ports which service and product they are (no password is tried, printers are left alone)",
    )
    fingerprints: tuple[str, ...] = option(
        (),
        zh="另外使用的指纹文件（edusec data import 生成）",
        en="further fingerprint files, made by edusec data import",
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Scan; give open services, one line per host that answered, and what was covered and what not."""
    # Those who ask services keep to them, too.
    context.net.narrow(options.rate, options.connections, options.per_host)
    if not options.identify:
        yield from _scan(options, context)
        return
    # Both take longer to load than a small scan takes.
    from probes.kit.fingerprint.store import load
    from probes.kit.services import enrich

    try:
        imported = load(Path(name) for name in options.fingerprints)
    except FingerprintFileError as error:
        raise CannotRun(str(error)) from None
    kept_back = enrich.SHARE * max(0.0, context.deadline - time.monotonic())

    def scan() -> Iterator[Yield]:
        yield from _scan(options, replace(context, deadline=context.deadline - kept_back))
        context.relinquish()  # from here on strangers are spoken with

    yield from enrich.identified(
        scan(),
        context.net,
        context.deadline - 0.5,
        fingerprints=imported.fingerprints,
        probes=imported.probes,
    )


def preview(options: Options, net: Net) -> Preview:
    """Say what a run would send; see `Preview`."""
    from probes.kit.scan.preview import of_handshakes, of_syns, portions, printers_among
    from probes.kit.services.plan import MOST_CONVERSATIONS

    plan = _plan(options, net)
    method, why = choose(options.engine, plan.total)
    found = portions(plan.blocks())
    traffic = (of_syns if method == SYN else of_handshakes)(_caps(options), net, found)
    return replace(
        traffic,
        why=why,
        refused=tuple(plan.refused()),
        conversations=MOST_CONVERSATIONS if options.identify else 0,
        no_payload=printers_among(port for part in found for port in expand(parse_ports(part.ports))),
    )


def _caps(options: Options) -> Caps:
    return Caps(
        timeout=options.timeout,
        retries=options.retries,
        rate=options.rate,
        host_rate=max(1.0, options.host_rate or options.rate / 2),
        connections=options.connections,
        per_host=options.per_host,
    )


def _plan(options: Options, net: Net) -> Plan:
    spans = parse_targets(options.targets)
    return Plan(net, spans, expand(parse_ports(options.ports)), not_hosts(own_addresses()))


def _scan(options: Options, context: Context) -> Iterator[Yield]:
    """Scan block by block."""
    net = context.net
    spans = parse_targets(options.targets)
    named = {str(span.address(span.low)) for span in spans if len(span) == 1}
    near = _near()
    plan = _plan(options, net)
    engine = Engine(net, _caps(options), options.engine, plan.total)
    skipped: list[Skipped] = []
    room = _MAX_OBSERVATIONS
    most = max(_LEAST_OF_HOST, room // (sum(map(len, spans)) or 1) - 1)
    yield Progress(0, plan.total, engine.why)
    opened = _Opened(most)
    for block in engine.run(plan.blocks(), context.deadline - options.timeout - 0.5):
        if block is None:
            seen = [item for begun in engine.begun for item in opened.of(begun, engine.method)]
        else:
            seen = [*opened.of(block, engine.method), *_hosts(block, engine.method, named, near)]
        yield from islice(seen, room)
        if block is not None and len(seen) > room:
            _skip(skipped, addresses_of(block.hosts), "too_large")
        elif block is not None:
            yield from _settled(block, plan.nobody_among(block), engine.unfinished, skipped, most)
        room = max(0, room - len(seen))
        yield Progress(engine.done, plan.total, engine.why, engine.sending, engine.lost)
    if engine.why:
        values: dict[str, Value] = {"engine": engine.method, "why": engine.why}
        yield Observation("open_ports", engine.method, _SELF, Outcome.SEEN, time.time(), values)
    skipped.extend(plan.unreached(engine.unfinished))
    skipped[:0] = plan.refused()
    yield from islice(skipped, _MAX_SKIPPED)
    if len(skipped) > _MAX_SKIPPED:
        yield Skipped("...", because("too_large", f"more than {_MAX_SKIPPED} parts were skipped"))


class _Opened:
    """Tells open ports as soon as they are found, each once, and `most` of each host: whoever ends a run has them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._told: dict[str, set[int]] = defaultdict(set)

    def of(self, block: Block, method: str) -> Iterator[Observation]:
        """Give what was not told yet of a block."""
        now, place = time.time(), block.states.find(_OPEN)
        while place >= 0:
            host, number = divmod(place, len(block.ports))
            address, port = block.hosts[host].address, block.ports[number]
            told = self._told[address]
            if port not in told and len(told) < self._most:
                told.add(port)
                target = Target(TargetKind.SERVICE, address, port, Transport.TCP)
                duration = block.round_trips.get(place, 0.0)
                yield Observation("open_ports", method, target, Outcome.OPEN, now, {}, duration)
            place = block.states.find(_OPEN, place + 1)


def _hosts(block: Block, method: str, named: set[str], near: Sequence[Network]) -> Iterator[Observation]:
    """Give those that answered, those that were named, and neighbours that answered ARP or ND and nothing else.

    A neighbour is there by its answer to ARP or ND, unless so many addresses have its card that it answers for others.
    What nobody was heard of at all filters nothing. `near` are the networks of this machine's links.
    """
    now, on_link = time.time(), _on_link(block, near)
    macs, neighbouring = _macs(block, method, on_link), set(on_link.values())
    fours = Counter(mac for host, mac in macs.items() if block.hosts[host].family == 4)
    for host, gate in enumerate(block.hosts):
        row, mac = block.row(host), macs.get(host, "")
        heard = any(code in row for code in _ANSWERS)
        if gate.address in named or heard or mac:
            alive = _OPEN in row or _CLOSED in row or (mac != "" and fours[mac] <= PROXY_ADDRESSES)
            values: dict[str, Value] = {MAC: mac, LOCAL_MAC: is_local_mac(mac)} if mac else {}
            silent = _FILTERED if heard or mac else frozenset() if host in neighbouring else {_TIMEOUT}
            for name, codes in (("closed", {_CLOSED}), ("filtered", silent)):
                text = format_ports(port for port, code in zip(block.ports, row, strict=True) if code in codes)
                if text and len(text) <= _MAX_TEXT:
                    values[name] = text
            outcome = Outcome.SEEN if alive else Outcome.UNKNOWN
            yield Observation("open_ports", method, Target(TargetKind.HOST, gate.address), outcome, now, values)


def _settled(
    block: Block, nobody: frozenset[Address], why_not: str, skipped: list[Skipped], most: int
) -> Iterator[Coverage | Silent]:
    """Give what was settled: answered, refused on the way, or silent through all tries; the rest goes to `skipped`.

    Where silence proves nothing (`_unproven`) it is silent and skipped. `why_not` is the reason of pairs that are still
    pending; a host with more than `most` open ports is not covered.
    """
    unfinished: list[Address] = []
    crowded: list[Address] = []
    groups: dict[bytes, list[Address]] = defaultdict(list)
    mute: dict[bytes, list[Address]] = defaultdict(list)
    unproven = _unproven(block)
    for host, address in enumerate(addresses_of(block.hosts)):
        row = block.row(host)
        if PENDING in row:
            unfinished.append(address)
        elif row.count(_OPEN) > most:
            crowded.append(address)
        else:
            alike = mute if host in unproven else groups
            alike[bytes(code if code in _UNSETTLED else PENDING for code in row)].append(address)
    skipped.extend(Skipped(prefix, why_not) for prefix in plain_prefixes(unfinished))
    _skip(skipped, crowded, "too_large")
    for row, addresses in sorted(mute.items()):
        # Where nothing was sent, silence is none of the path's doing.
        _skip(skipped, addresses, _UNSETTLED[max(row)] if PENDING not in row else "no_answer")
    yield from map(Silent, covered(Transport.TCP, block.ports, mute.get(bytes(len(block.ports)), ())))
    for row, addresses in sorted(groups.items())[:_MAX_GROUPS]:
        settled = [port for port, code in zip(block.ports, row, strict=True) if code == PENDING]
        yield from covered(Transport.TCP, settled, [*addresses, *(nobody if not any(row) else ())])
        for code in sorted(set(row) - {PENDING}):
            ports = format_ports(port for port, found in zip(block.ports, row, strict=True) if found == code)
            _skip(skipped, addresses, _UNSETTLED[code], f" ports {ports}" if settled else "")
    for row, addresses in sorted(groups.items())[_MAX_GROUPS:]:
        _skip(skipped, addresses, _UNSETTLED[max(row)])


def _skip(skipped: list[Skipped], addresses: list[Address], code: str, ports: str = "") -> None:
    skipped.extend(Skipped((prefix + ports)[:_MAX_WHAT], because(code)) for prefix in plain_prefixes(addresses))


_Place = tuple[bytes, str]
"""An address, and the interface of a link-local one: on another it is somebody else's."""


def _on_link(block: Block, near: Sequence[Network]) -> Mapping[_Place, int]:
    """Give the numbers of the hosts that are asked for their hardware addresses first."""
    hosts = ((host, gate) for host, gate in enumerate(block.hosts) if gate.paced)
    return {
        (gate.parsed.packed, gate.address.partition("%")[2]): host
        for host, gate in hosts
        if any(gate.parsed in network for network in near)
    }


def _macs(block: Block, method: str, on_link: Mapping[_Place, int]) -> Mapping[int, str]:
    """Give the hardware addresses of those that told theirs by ARP or ND while they were scanned, by their number."""
    if not on_link:
        return {}
    known = {
        (entry.address.packed, entry.interface if entry.address.is_link_local else ""): entry
        for entry in neighbours()
        if entry.mac
    }
    found = {}
    for place, host in on_link.items():
        entry, row = known.get(place), block.row(host)
        if entry is not None and entry.state in _BY_HAND:
            continue
        if method == SYN:  # the kernel knows only those that it spoke with itself
            found[host] = block.macs.get(host, "")
        elif entry is not None and (entry.state is State.REACHABLE or _OPEN in row or _CLOSED in row):
            found[host] = entry.mac
    return {host: mac for host, mac in found.items() if mac}


def _near() -> tuple[Network, ...]:
    """Give the networks of this machine's Ethernet links, where a host is asked for its hardware address first."""
    ethernet = {link.name for link in links().values() if link.mac and not link.loopback}
    return tuple(own.address.network for own in own_addresses() if own.interface in ethernet)


def _unproven(block: Block) -> frozenset[int]:
    """Give the numbers of the hosts whose silence proves nothing, since the way to them may be down.

    On an Ethernet link that is up it means that nobody is there. Beyond a router or through a tunnel it means so only
    where somebody else answered on the same way; this machine itself does whatever has become of its links.
    """
    mute = {host for host in range(len(block.hosts)) if not any(code in block.row(host) for code in _ANSWERS)}
    if not mute:
        return frozenset()
    try:
        found = routes([(gate.parsed.packed, gate.zone) for gate in block.hosts])
    except OSError:
        return frozenset(mute)
    live = {link.index for link in links().values() if link.up and (link.mac or link.loopback)}
    ways = [None if route is None else (route.interface, route.gateway, route.local) for route in found]
    proven = {way for host, way in enumerate(ways) if host not in mute}
    proven |= {way for way in ways if way is not None and way[0] in live and way[1] is None}
    return frozenset(host for host in mute if ways[host] is None or ways[host] not in proven)


PROBE = Probe(
    Text("开放的 TCP 端口", "open TCP ports"),
    SectionKind.STATE,
    Options,
    run,
    privileges=frozenset({Privilege.NET_RAW}),
    preview=preview,
)
