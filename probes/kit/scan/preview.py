"""What a scan would send, worked out from the same plan that the scan itself follows. Nothing leaves the machine."""

import math
from collections import defaultdict
from collections.abc import Iterable

from probes.kit.contract import Portion, Preview
from probes.kit.machine.routes import routes
from probes.kit.ports.blocks import Block
from probes.kit.ports.loss import MOST_TRIES
from probes.kit.raw.link.addresses import QUESTIONS
from probes.kit.raw.syn.blocks import HOSTS_AT_ONCE
from probes.kit.raw.syn.messages import MOST_ROUNDS
from probes.kit.scan.engine import CONNECT, SYN, Caps
from probes.kit.scope.targets import prefixes
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.sending.net import Gate, Net
from wire.ports import format_ports
from wire.types import Family

_RESENDS_LINEAR = 4
"""Handshakes that Linux repeats one second apart (net.ipv4.tcp_syn_linear_timeouts) before it doubles the wait."""
_SLACK_SECONDS = 0.25
_LOCAL_RATE = 20_000.0
_KERNEL_QUESTIONS = 3
"""The kernel asks for a neighbour so often, a second apart (net.ipv4.neigh.*.mcast_solicit, retrans_time_ms)."""
_PER_OPEN, _PER_OPEN_HERE = 6, 7
"""An ACK for the handshake and one for what the server says or closes at once, a reset; perhaps one look more."""


def portions(blocks: Iterable[Block]) -> tuple[Portion, ...]:
    """Join blocks of a plan that have family and ports in common; raises OSError when the kernel tells no routes."""
    found: dict[tuple[Family, bool, tuple[int, ...]], list[Gate]] = defaultdict(list)
    for block in blocks:
        for gate in block.hosts:
            found[gate.family, not gate.paced, block.ports].append(gate)
    return tuple(
        Portion(
            family,
            texts(gates),
            len(gates),
            format_ports(ports),
            len(gates) * len(ports),
            local,
            0 if local else _on_link(gates),
        )
        for (family, local, ports), gates in sorted(found.items(), key=lambda item: item[0][:2])
    )


def of_handshakes(caps: Caps, net: Net, found: tuple[Portion, ...]) -> Preview:
    """Give the traffic of the connect engine."""
    rate = min(net.pace.rate, caps.rate)
    connections, per_host = min(net.connections, caps.connections), min(net.per_host, caps.per_host)
    tries = 1 + caps.retries
    pairs = sum(part.pairs for part in found)
    waiting = tries * caps.timeout * max(pairs / connections, _most_ports(found) / per_host)
    packets = pairs * tries * syns_of_connect(caps.timeout)
    slow = max(seconds_at(rate, found, tries), waiting) + (tries * caps.timeout if pairs else 0.0)
    return Preview(
        CONNECT,
        portions=found,
        pairs=pairs,
        packets=packets,
        most_packets=pairs * (1 + MOST_TRIES) * syns_of_connect(caps.timeout),
        per_open=_PER_OPEN_HERE if any(part.local for part in found) else _PER_OPEN,
        rate=rate,
        connections=connections,
        per_host=per_host,
        seconds=(seconds_at(rate, found, 1), slow),
        link_questions=of_kernel(slow),
    )


def of_syns(caps: Caps, net: Net, found: tuple[Portion, ...]) -> Preview:
    """Give the traffic of the SYN engine."""
    rate = min(net.pace.rate, caps.rate)
    tries = 1 + caps.retries
    pairs = sum(part.pairs for part in found)
    remote = [part for part in found if not part.local]
    once = max(seconds_at(rate, found, 1), _most_ports(remote) / caps.host_rate)
    helpers = sum(-(-part.addresses // HOSTS_AT_ONCE) for part in found)
    return Preview(
        SYN,
        portions=found,
        pairs=pairs,
        packets=pairs * tries,
        most_packets=pairs * MOST_ROUNDS,
        per_open=tries,
        rate=rate,
        host_rate=caps.host_rate,
        seconds=(once, tries * once + helpers * caps.timeout),
        link_questions=QUESTIONS,
    )


def _most_ports(found: Iterable[Portion]) -> int:
    return max((part.pairs // part.addresses for part in found), default=0)


def printers_among(ports: Iterable[int]) -> str:
    """Give the printers' ports of a set."""
    return format_ports(PRINTER_PORTS.intersection(ports))


def syns_of_connect(timeout: float) -> int:
    """Give how many SYNs the kernel may send for one handshake that we give up after `timeout` seconds.

    It repeats them by itself: a second after the first one, then each second, later at doubled distances.
    """
    count, at, wait = 1, 1.0, 1.0
    while at <= timeout + _SLACK_SECONDS:
        count += 1
        wait = wait if count <= _RESENDS_LINEAR + 1 else 2 * wait
        at += wait
    return count


def seconds_at(rate: float, some: Iterable[Portion], times: int) -> float:
    """Give how long it takes to ask each pair so many times at a rate, from which this machine itself is exempt."""
    pairs = dict.fromkeys((True, False), 0)
    for portion in some:
        pairs[portion.local] += portion.pairs
    return times * (pairs[False] / rate + pairs[True] / _LOCAL_RATE)


def texts(gates: Iterable[Gate]) -> tuple[str, ...]:
    """Write addresses as prefixes, link-local ones (which name their interface) one by one."""
    plain = [gate.parsed for gate in gates if not gate.zone]
    return (*prefixes(plain), *(gate.address for gate in gates if gate.zone))


def of_kernel(seconds: float) -> int:
    """Give how often the kernel asks for a neighbour at most that keeps silent while a scan takes so long.

    What is sent after it gave up has it begin anew, so it is about once a second.
    """
    return _KERNEL_QUESTIONS + math.ceil(seconds)


def _on_link(gates: Iterable[Gate]) -> int:
    found = routes([(gate.parsed.packed, gate.zone) for gate in gates])
    return sum(route is not None and route.gateway is None and not route.local for route in found)
