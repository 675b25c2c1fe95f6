"""Open UDP ports of listed addresses: each is asked in its own protocol, and silence is told apart from an error."""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from probes.kit.connection import PRINTER_PORTS
from probes.kit.contract import Context, Preview, Probe, Progress, Yield
from probes.kit.datagram_sweep import (
    FIRST_WAIT,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    MOST_SOCKETS,
    ROUND_WAIT,
    Answered,
    sweep,
)
from probes.kit.evidence import HOSTNAME, LOCAL_MAC, MAC, is_local_mac, normal_hostname, normal_mac
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.neighbours import not_hosts, own_addresses
from probes.kit.net import Net
from probes.kit.options import option
from probes.kit.plan import Plan
from probes.kit.preview import portions, printers_among, seconds_at
from probes.kit.reasons import because
from probes.kit.scope import Address
from probes.kit.services.datagrams import QUESTIONS
from probes.kit.services.enrich import values_of
from probes.kit.services.talk import Heard
from probes.kit.shared_options import hosts_option
from probes.kit.targets import first, parse_targets, plain_prefixes, prefixes
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

DEFAULT_PORTS = format_ports(port for question in QUESTIONS for port in question.ports)
"""The ports whose protocols we speak; others can only be asked with an empty datagram."""
MAX_PAIRS = 65_536
_METHOD = "datagram"
_SETTLED = frozenset({Outcome.OPEN, Outcome.CLOSED, Outcome.FILTERED})
_MAX_SKIPPED = 900
_MAX_TEXT = 1000
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Options:
    """What to ask."""

    targets: tuple[str, ...] = hosts_option(
        zh=f"询问的地址、网段或范围；地址数乘端口数不超过 {MAX_PAIRS}",
        en=f"addresses, prefixes or ranges; addresses times ports at most {MAX_PAIRS}",
    )
    ports: str = option(
        DEFAULT_PORTS, zh="询问的 UDP 端口集合", en="set of UDP ports, such as 53,123,161", check=parse_ports
    )


def preview(options: Options, net: Net) -> Preview:
    """Say what a run would send; see `Preview`."""
    plan, too_many = _plan(options, net)
    found = portions(plan.blocks())
    pairs = sum(part.pairs for part in found)
    rate = net.pace.rate
    batches = -(-pairs // MOST_SOCKETS)
    return Preview(
        method=_METHOD,
        portions=found,
        refused=(*plan.refused(), *too_many),
        pairs=pairs,
        packets=pairs * LEAST_ROUNDS,
        most_packets=pairs * MOST_ROUNDS,
        no_payload=printers_among(expand(parse_ports(options.ports))),
        rate=rate,
        connections=MOST_SOCKETS,
        seconds=(
            seconds_at(rate, found, 1),
            max(seconds_at(rate, found, LEAST_ROUNDS), batches * (FIRST_WAIT + (LEAST_ROUNDS - 1) * ROUND_WAIT)),
        ),
    )


def _plan(options: Options, net: Net) -> tuple[Plan, list[Skipped]]:
    """Plan the work within MAX_PAIRS; say what is too much, and that printers are left alone."""
    asked = expand(parse_ports(options.ports))
    ports = [port for port in asked if port not in PRINTER_PORTS]
    kept, left = first(parse_targets(options.targets), MAX_PAIRS // max(1, len(ports)))
    too_many = plain_prefixes(address for span in left for address in span)
    skipped = [Skipped(prefix, because("too_large", str(MAX_PAIRS))) for prefix in too_many]
    if printers := printers_among(asked):
        skipped.append(Skipped(f"ports {printers}", because("printer_port")))
    return Plan(net, kept, ports, not_hosts(own_addresses())), skipped


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Ask every port; give those that answered, and cover only what an answer or an error settled.

    What stays silent is open or filtered: nobody can tell, so it is not covered, and stays unknown to a collector.
    """
    plan, skipped = _plan(options, context.net)
    known = by_key(built_in())
    settled: dict[Address, set[int]] = defaultdict(set)
    hindered: dict[str, list[Address]] = defaultdict(list)
    silent: dict[str, list[int]] = defaultdict(list)
    alive: dict[str, dict[str, Value]] = {}
    pairs = ((gate.address, port) for block in plan.blocks() for gate in block.hosts for port in block.ports)
    for done, answer in enumerate(sweep(context.net, pairs, context.deadline - 1.0), 1):
        address = ip_address(answer.address)
        if answer.refused is not None:
            hindered[answer.refused.skipped.reason].append(address)
        elif answer.why:
            hindered[because(answer.why)].append(address)
        elif answer.outcome in _SETTLED:
            settled[address].add(answer.port)
        elif answer.outcome is Outcome.OPEN_FILTERED:
            silent[answer.address].append(answer.port)
        if answer.outcome is Outcome.OPEN:
            yield _service(answer, {} if answer.heard is None else values_of(answer.heard, known))
        if answer.outcome in (Outcome.OPEN, Outcome.CLOSED):
            alive.setdefault(answer.address, {}).update(_who(answer.heard))
        yield Progress(done, plan.total)
    now = time.time()
    for name, values in sorted(alive.items()):
        if name in silent:
            values["open_filtered"] = format_ports(silent[name])[:_MAX_TEXT]
        yield Observation("udp_ports", _METHOD, Target(TargetKind.HOST, name), Outcome.SEEN, now, values)
    yield from _coverage(settled)
    skipped[:0] = plan.refused()
    skipped += [Skipped(prefix, reason) for reason, out in hindered.items() for prefix in plain_prefixes(set(out))]
    yield from skipped[:_MAX_SKIPPED]


def _who(heard: Heard | None) -> dict[str, Value]:
    """Give the evidence of who a device is that an answer holds (`kit.evidence`)."""
    if heard is None:
        return {}
    found: dict[str, Value] = {}
    if name := normal_hostname(heard.facts.get("host.name", "")):
        found[HOSTNAME] = name
    text = heard.facts.get("host.mac", "").replace("-", ":").lower()
    if _MAC.fullmatch(text) and (mac := normal_mac(bytes.fromhex(text.replace(":", "")))):
        found |= {MAC: mac, LOCAL_MAC: is_local_mac(mac)}
    return found


def _service(answer: Answered, values: dict[str, Value]) -> Observation:
    target = Target(TargetKind.SERVICE, answer.address, answer.port, Transport.UDP)
    return Observation("udp_ports", _METHOD, target, Outcome.OPEN, time.time(), values, answer.seconds)


def _coverage(settled: dict[Address, set[int]]) -> Iterator[Coverage]:
    groups: dict[tuple[int, str], list[Address]] = defaultdict(list)
    for address, ports in settled.items():
        groups[address.version, format_ports(ports)].append(address)
    for (version, text), addresses in sorted(groups.items(), key=lambda item: item[0]):
        yield Coverage(prefixes(addresses), 4 if version == 4 else 6, text, Transport.UDP)


PROBE = Probe(
    Text("开放的 UDP 端口", "open UDP ports"),
    SectionKind.STATE,
    Options,
    run,
    preview=preview,
)
