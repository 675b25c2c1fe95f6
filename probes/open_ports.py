"""Open TCP ports of listed addresses, found by raw SYNs or complete handshakes that carry no payload.

Both engines say the same. Raw SYNs are faster and need CAP_NET_RAW; where that is missing, handshakes take over, and
one observation of this machine itself, with the method `connect`, says why.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from probes.kit.blocks import CODE_OF, PENDING, Block
from probes.kit.contract import CannotRun, Context, Preview, Privilege, Probe, Progress, Yield
from probes.kit.engine import AUTO, ENGINES, SYN, Caps, Engine, choose
from probes.kit.fingerprint.model import FingerprintFileError
from probes.kit.neighbours import links, not_hosts, own_addresses, route_to
from probes.kit.net import Net
from probes.kit.options import option
from probes.kit.outcomes import Settled
from probes.kit.plan import BLOCK_HOSTS, Plan, addresses_of
from probes.kit.reasons import because
from probes.kit.scope import Address
from probes.kit.shared_options import hosts_option
from probes.kit.targets import MAX_ADDRESSES, parse_targets, plain_prefixes, prefixes
from wire.ports import expand, format_ports, parse_ports
from wire.text import Text
from wire.types import (
    Coverage,
    Family,
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
_MAX_SKIPPED = 900
_MAX_TEXT = 1000
_MAX_WHAT = 1024
_MAX_GROUPS = 32
_OPEN, _CLOSED = CODE_OF[Settled.OPEN], CODE_OF[Settled.CLOSED]
_FILTERED = frozenset({CODE_OF[Settled.PROHIBITED], CODE_OF[Settled.NO_HOST], CODE_OF[Settled.TIMEOUT]})
_ANSWERS = frozenset({_OPEN, _CLOSED, CODE_OF[Settled.PROHIBITED]})
_UNSETTLED = {
    CODE_OF[Settled.UNREACHABLE]: "unreachable",
    CODE_OF[Settled.DENIED]: "denied",
    CODE_OF[Settled.RESOURCES]: "resources",
    CODE_OF[Settled.LOST]: "loss",
}
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
        1024, zh="同时进行的连接数上限（connect）", en="most connections at a time (connect)", minimum=1, maximum=60000
    )
    per_host: int = option(
        64,
        zh="对同一地址同时进行的连接数上限（connect）",
        en="most connections to one address at a time (connect)",
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
    scan = _scan(options, replace(context, deadline=context.deadline - kept_back))
    yield from enrich.identified(
        scan,
        context.net,
        context.deadline - 0.5,
        fingerprints=imported.fingerprints,
        probes=imported.probes,
    )


def preview(options: Options, net: Net) -> Preview:
    """Say what a run would send; see `Preview`."""
    from probes.kit.preview import of_handshakes, of_syns, portions, printers_among
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
    named = {str(span.address(span.low)) for span in parse_targets(options.targets) if len(span) == 1}
    plan = _plan(options, net)
    engine = Engine(net, _caps(options), options.engine, plan.total)
    skipped: list[Skipped] = []
    covered = _Covered()
    room = _MAX_OBSERVATIONS
    yield Progress(0, plan.total, engine.why)
    for block in engine.run(plan.blocks(), context.deadline - options.timeout - 0.5):
        if block is not None:
            seen = list(_observations(block, engine.method, named))
            yield from islice(seen, room)
            if len(seen) > room:
                _skip(skipped, addresses_of(block.hosts), "too_large")
            else:
                yield from covered.add(_settled(block, plan.nobody_among(block), engine.unfinished, skipped))
            room = max(0, room - len(seen))
        yield Progress(engine.done, plan.total, engine.why, engine.sending, engine.lost)
    if engine.why:
        values: dict[str, Value] = {"engine": engine.method, "why": engine.why}
        yield Observation("open_ports", engine.method, _SELF, Outcome.SEEN, time.time(), values)
    yield from covered.rest()
    skipped.extend(plan.unreached(engine.unfinished))
    skipped[:0] = plan.refused()
    yield from islice(skipped, _MAX_SKIPPED)
    if len(skipped) > _MAX_SKIPPED:
        yield Skipped("...", because("too_large", f"more than {_MAX_SKIPPED} parts were skipped"))


def _places(row: bytes, code: int) -> list[int]:
    return [place for place, found in enumerate(row) if found == code]


def _observations(block: Block, method: str, named: set[str]) -> Iterator[Observation]:
    now = time.time()
    count = len(block.ports)
    for host, gate in enumerate(block.hosts):
        row = block.row(host)
        for place in _places(row, _OPEN):
            target = Target(TargetKind.SERVICE, gate.address, block.ports[place], Transport.TCP)
            duration = block.round_trips.get(host * count + place, 0.0)
            yield Observation("open_ports", method, target, Outcome.OPEN, now, {}, duration)
        if gate.address in named or any(code in row for code in _ANSWERS):
            alive = _OPEN in row or _CLOSED in row
            values: dict[str, Value] = {}
            for name, codes in (("closed", {_CLOSED}), ("filtered", _FILTERED)):
                text = format_ports(port for port, code in zip(block.ports, row, strict=True) if code in codes)
                if text and len(text) <= _MAX_TEXT:
                    values[name] = text
            outcome = Outcome.SEEN if alive else Outcome.UNKNOWN
            yield Observation("open_ports", method, Target(TargetKind.HOST, gate.address), outcome, now, values)


class _Covered:
    """Joins what blocks covered, so that a scan of many ports stays within the bounds of a section."""

    def __init__(self) -> None:
        self._held: dict[tuple[Family, str], list[Address]] = defaultdict(list)

    def add(self, settled: Iterable[tuple[str, list[Address]]]) -> Iterator[Coverage]:
        """Take ports with the addresses on which they are settled; give what has grown to a block's size."""
        for ports, addresses in settled:
            key: tuple[Family, str] = (4 if addresses[0].version == 4 else 6, ports)
            self._held[key].extend(addresses)
            if len(self._held[key]) >= BLOCK_HOSTS:
                yield Coverage(prefixes(self._held.pop(key)), *key, Transport.TCP)

    def rest(self) -> Iterator[Coverage]:
        """Give what is still held."""
        for key, addresses in self._held.items():
            yield Coverage(prefixes(addresses), *key, Transport.TCP)


def _settled(
    block: Block, nobody: frozenset[Address], why_not: str, skipped: list[Skipped]
) -> Iterator[tuple[str, list[Address]]]:
    """Give what was settled: answered, refused on the way, or silent through all tries; the rest goes to `skipped`.

    `why_not` is the reason of pairs that are still pending.
    """
    unfinished: list[Address] = []
    groups: dict[bytes, list[Address]] = defaultdict(list)
    for host, gate in enumerate(block.hosts):
        row = block.row(host)
        if PENDING in row:
            unfinished.append(gate.parsed)
        else:
            groups[bytes(code if code in _UNSETTLED else PENDING for code in row)].append(gate.parsed)
    skipped.extend(Skipped(prefix, why_not) for prefix in plain_prefixes(unfinished))
    if not any(code in block.states for code in _ANSWERS) and not _on_live_link(block):
        _skip(skipped, [address for group in groups.values() for address in group], "no_answer")
        return
    for row, addresses in sorted(groups.items())[:_MAX_GROUPS]:
        settled = format_ports(port for port, code in zip(block.ports, row, strict=True) if code == PENDING)
        if settled:
            yield settled, [*addresses, *(nobody if not any(row) else ())]
        for code in sorted(set(row) - {PENDING}):
            ports = format_ports(port for port, found in zip(block.ports, row, strict=True) if found == code)
            _skip(skipped, addresses, _UNSETTLED[code], f" ports {ports}" if settled else "")
    for row, addresses in sorted(groups.items())[_MAX_GROUPS:]:
        _skip(skipped, addresses, _UNSETTLED[max(row)])


def _skip(skipped: list[Skipped], addresses: list[Address], code: str, ports: str = "") -> None:
    skipped.extend(Skipped((prefix + ports)[:_MAX_WHAT], because(code)) for prefix in plain_prefixes(addresses))


def _on_live_link(block: Block) -> bool:
    """Tell whether the addresses are on a link of this machine that is up, where silence means that nobody is there."""
    route = route_to(block.hosts[0].parsed)
    if route is None or route.gateway is not None:
        return False
    return any(link.name == route.interface and link.up for link in links().values())


PROBE = Probe(
    Text("开放的 TCP 端口", "open TCP ports"),
    SectionKind.STATE,
    Options,
    run,
    privileges=frozenset({Privilege.NET_RAW}),
    preview=preview,
)
