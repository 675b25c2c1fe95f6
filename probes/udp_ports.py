"""Open UDP ports of listed addresses: each is asked in its own protocol, and silence is told apart from an error."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from probes.kit.contract import Context, Preview, Privilege, Probe, Progress, Silent, Yield
from probes.kit.evidence import HOSTNAME, LOCAL_MAC, MAC, is_local_mac, normal_hostname, normal_mac
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.machine.neighbours import not_hosts, own_addresses
from probes.kit.options import option
from probes.kit.ports.plan import Plan
from probes.kit.reasons import because
from probes.kit.scan.preview import of_kernel, portions, printers_among, seconds_at
from probes.kit.scan.udp import FIRST_WAIT, LEAST_ROUNDS, MOST_ROUNDS, ROUND_WAIT, Answered, at_once, sweep
from probes.kit.scope.addresses import Address
from probes.kit.scope.targets import covered, first, parse_targets, plain_prefixes
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.sending.net import Net
from probes.kit.services.datagrams.table import QUESTIONS, question
from probes.kit.services.enrich import values_of
from probes.kit.services.talk import Heard
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

if TYPE_CHECKING:
    from probes.kit.raw.packets.replies import Replies

DEFAULT_PORTS = format_ports(port for question in QUESTIONS for port in question.ports)
"""The ports whose protocols we speak; others can only be asked with an empty datagram."""
MAX_PAIRS = 65_536
_METHOD = "datagram"
_SELF = Target(TargetKind.AGENT, "self")
_SETTLED = frozenset({Outcome.OPEN, Outcome.CLOSED, Outcome.FILTERED})
_LISTED = {Outcome.CLOSED: "closed_udp", Outcome.FILTERED: "filtered_udp"}
"""Values of a host that list its ports which were refused, by itself or on the way."""
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
    batches = -(-pairs // at_once(net))
    slow = max(seconds_at(rate, found, LEAST_ROUNDS), batches * (FIRST_WAIT + (LEAST_ROUNDS - 1) * ROUND_WAIT))
    return Preview(
        method=_METHOD,
        portions=found,
        refused=(*plan.refused(), *too_many),
        pairs=pairs,
        packets=pairs * LEAST_ROUNDS,
        most_packets=pairs * MOST_ROUNDS,
        no_payload=printers_among(expand(parse_ports(options.ports))),
        rate=rate,
        connections=at_once(net),
        seconds=(seconds_at(rate, found, 1), slow),
        link_questions=of_kernel(slow),
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

    What stays silent is open or filtered: nobody can tell, so it is silent and not covered, and stays unknown to a
    collector. All of it is said as soon as the ports that are asked together are done.
    """
    plan, skipped = _plan(options, context.net)
    with ExitStack() as closing:
        replies, why = _replies(options, closing)
        context.relinquish()
        yield from _ask(plan, skipped, context, replies, why)


def _replies(options: Options, closing: ExitStack) -> "tuple[Replies | None, str]":
    """Open what hears the answers of DHCP servers where they are asked; else the reason why it cannot be."""
    if not any(question(port).answered_at for port in expand(parse_ports(options.ports))):
        return None, ""
    from probes.kit.raw.packets.replies import Replies

    try:
        replies = Replies()
    except OSError as error:
        return None, because("no_replies", "" if isinstance(error, PermissionError) else os.strerror(error.errno or 0))
    closing.callback(replies.close)
    return replies, ""


def _ask(plan: Plan, skipped: list[Skipped], context: Context, replies: "Replies | None", why: str) -> Iterator[Yield]:
    known = by_key(built_in())
    unheard = False
    hindered: dict[str, list[Address]] = defaultdict(list)
    answers = _Answers()
    pairs = ((gate.address, port) for block in plan.blocks() for gate in block.hosts for port in block.ports)
    for done, answer in enumerate(sweep(context.net, pairs, context.deadline - 1.0, replies), 1):
        address = ip_address(answer.address)
        if answer.refused is not None:
            hindered[answer.refused.skipped.reason].append(address)
        elif answer.why:
            hindered[because(answer.why)].append(address)
        else:
            answers.add(address, answer)
        unheard |= answer.outcome is Outcome.OPEN_FILTERED and bool(question(answer.port).answered_at)
        if answer.outcome is Outcome.OPEN:
            yield _service(answer, {} if answer.heard is None else values_of(answer.heard, known))
        if done % at_once(context.net) == 0:
            yield from answers.take()
        yield Progress(done, plan.total)
    yield from answers.take()
    if unheard and why:
        yield Observation("udp_ports", _METHOD, _SELF, Outcome.SEEN, time.time(), {"why": why})
    skipped[:0] = plan.refused()
    skipped += [Skipped(prefix, reason) for reason, out in hindered.items() for prefix in plain_prefixes(set(out))]
    yield from skipped[:_MAX_SKIPPED]


class _Answers:
    """What came of the ports that are asked together."""

    def __init__(self) -> None:
        self._settled: dict[Address, set[int]] = defaultdict(set)
        self._silent: dict[Address, set[int]] = defaultdict(set)
        self._alive: dict[str, dict[str, Value]] = {}
        self._refused: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))

    def add(self, address: Address, answer: Answered) -> None:
        if answer.outcome in _SETTLED:
            self._settled[address].add(answer.port)
        elif answer.outcome is Outcome.OPEN_FILTERED:
            self._silent[address].add(answer.port)
        if answer.outcome in _LISTED:
            self._refused[answer.address][_LISTED[answer.outcome]].add(answer.port)
        if answer.outcome in (Outcome.OPEN, Outcome.CLOSED):
            self._alive.setdefault(answer.address, {}).update(_who(answer.heard))

    def take(self) -> Iterator[Yield]:
        """Say it all, and begin anew."""
        now = time.time()
        for name, values in sorted(self._alive.items()):
            lists = {state: format_ports(ports) for state, ports in self._refused[name].items()}
            values |= {state: text for state, text in lists.items() if len(text) <= _MAX_TEXT}
            yield Observation("udp_ports", _METHOD, Target(TargetKind.HOST, name), Outcome.SEEN, now, values)
        yield from _coverage(self._settled)
        yield from map(Silent, _coverage(self._silent))
        for held in (self._settled, self._silent, self._alive, self._refused):
            held.clear()


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


def _coverage(found: dict[Address, set[int]]) -> Iterator[Coverage]:
    alike: dict[tuple[int, str], list[Address]] = defaultdict(list)
    for address, ports in found.items():
        alike[address.version, format_ports(ports)].append(address)
    for _, addresses in sorted(alike.items(), key=lambda item: item[0]):
        yield from covered(Transport.UDP, found[addresses[0]], addresses)


PROBE = Probe(
    Text("开放的 UDP 端口", "open UDP ports"),
    SectionKind.STATE,
    Options,
    run,
    privileges=frozenset({Privilege.NET_RAW}),
    preview=preview,
)
