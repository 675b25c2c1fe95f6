"""Open UDP ports of listed addresses: each is asked in its own protocol, and silence is told apart from an error."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from probes.kit.contract import Context, Probe, Progress, Yield
from probes.kit.datagram_sweep import Answered, sweep
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.scope import Address
from probes.kit.services.datagrams import QUESTIONS
from probes.kit.services.enrich import values_of
from probes.kit.targets import parse_targets, plain_prefixes, prefixes
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


@dataclass(frozen=True, slots=True)
class Options:
    """What to ask."""

    targets: tuple[str, ...] = option(
        ("127.0.0.1", "::1"),
        zh=f"询问的地址、网段或范围；地址数乘端口数不超过 {MAX_PAIRS}",
        en=f"addresses, prefixes or ranges; addresses times ports at most {MAX_PAIRS}",
        check=parse_targets,
    )
    ports: str = option(
        DEFAULT_PORTS, zh="询问的 UDP 端口集合", en="set of UDP ports, such as 53,123,161", check=parse_ports
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Ask every port; give those that answered, and cover only what an answer or an error settled.

    What stays silent is open or filtered: nobody can tell, so it is not covered, and stays unknown to a collector.
    """
    ports = expand(parse_ports(options.ports))
    addresses = [address for span in parse_targets(options.targets) for address in span]
    room = MAX_PAIRS // max(1, len(ports))
    asked, left_out = addresses[:room], addresses[room:]
    parsed = {str(address): address for address in asked}
    total = len(asked) * len(ports)
    known = by_key(built_in())
    settled: dict[Address, set[int]] = defaultdict(set)
    refused: dict[str, list[Address]] = defaultdict(list)
    pairs = ((str(address), port) for address in asked for port in ports)
    alive: set[str] = set()
    for done, answer in enumerate(sweep(context.net, pairs, context.deadline - 1.0), 1):
        address = parsed[answer.address]
        if answer.refused is not None:
            refused[answer.refused.skipped.reason].append(address)
        elif answer.outcome in _SETTLED:
            settled[address].add(answer.port)
        if answer.outcome is Outcome.OPEN:
            yield _service(answer, {} if answer.heard is None else values_of(answer.heard, known))
        if answer.outcome in (Outcome.OPEN, Outcome.CLOSED):
            alive.add(answer.address)
        yield Progress(done, total)
    now = time.time()
    for name in sorted(alive):
        yield Observation("udp_ports", _METHOD, Target(TargetKind.HOST, name), Outcome.SEEN, now)
    yield from _coverage(settled)
    skipped = [Skipped(prefix, reason) for reason, out in refused.items() for prefix in plain_prefixes(set(out))]
    skipped += [Skipped(prefix, because("too_large", str(MAX_PAIRS))) for prefix in plain_prefixes(left_out)]
    yield from skipped[:_MAX_SKIPPED]


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
)
