"""Who is on the links: asked by the raw helper where there is CAP_NET_RAW, else through the kernel's own questions."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import islice

from probes.kit.contract import Progress
from probes.kit.discovery.look import Look, Settled
from probes.kit.errors import Refused
from probes.kit.machine.neighbours import LIVE, State, links, neighbours
from probes.kit.ports.order import shuffled
from probes.kit.raw.link.client import find_hosts
from probes.kit.raw.link.messages import GROUP_METHODS, ICMP, Heard, LinkDone, LinkJob, LinkTask
from probes.kit.scope.addresses import Address
from probes.kit.scope.model import ALL_PORTS
from probes.kit.scope.targets import prefixes
from probes.kit.sending.multicast import link_prefixes, require_link
from probes.kit.sending.net import Gate, Net
from wire.types import Family, Outcome, ScopeEntry, Skipped

_LEAST_SECONDS = 1.0
_KERNEL_AT_ONCE = 384
"""Addresses that the kernel is made to ask for at a time; its tables hold 1024 by default (gc_thresh3)."""
_KERNEL_SECONDS = 5.0
"""After three requests, each a second apart, the kernel gives an address up."""
_CONTROLS = 32
"""Silent addresses that the kernel asks once more: one that answers now proves that questions get lost."""
_NETBIOS = 137
_ALIVE = frozenset({"open", "closed"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be asked on links and beyond; `groups` are the links on which all IPv6 hosts are asked at once."""

    on_link: Mapping[str, Sequence[Gate]]
    groups: Sequence[str] = ()
    echo: Sequence[Gate] = ()
    methods: frozenset[str] = frozenset()
    rate: float = 5_000.0
    echo_rate: float = 2_000.0
    tries: int = 3
    wait: float = 1.0


def ask_raw(look: Look, wish: Wish) -> Iterator[Progress]:
    """Ask by ARP, ND, to groups and by echo through the helper; raises CannotRun when that fails."""
    net, settled = look.net, look.settled
    groups = {name: _groups(look, name, wish.methods) for name in wish.groups}
    gates = [gate for gates in wish.on_link.values() for gate in gates]
    asked = {name: _of_methods(gates, wish.methods) for name, gates in wish.on_link.items()}
    echo = [gate for gate in wish.echo if gate.ports == ALL_PORTS] if ICMP in wish.methods else []
    tasks = tuple(
        LinkTask(name, _texts(asked.get(name, ())), groups.get(name, ()))
        for name in sorted({*asked, *groups})
        if asked.get(name) or groups.get(name)
    )
    if not tasks and not echo:
        return
    if look.deadline - time.monotonic() < _LEAST_SECONDS:
        settled.unfinished += _addresses(gates)
        return
    before = _up()
    done = None
    listening = find_hosts(_job(look, wish, tasks, echo))
    mark = net.gate_mark()
    try:
        for said in listening:
            if isinstance(said, Heard):
                look.seen.see(ip_address(said.address), said.method, mac=said.mac, interface=said.interface)
            elif isinstance(said, LinkDone):
                done = said
                net.sent += said.sent
            else:
                yield Progress(said.settled, said.pairs)
            if mark != (mark := net.time_mark()):
                for gate in (*gates, *echo):
                    net.recheck(gate)
    except Refused as refusal:
        settled.stopped = refusal
        settled.skipped += [Skipped(text, refusal.skipped.reason) for text in _texts(gates)]
        return
    finally:
        listening.close()
    up = before & _up()
    for name, gates_here in asked.items():
        _settle(name, _addresses(gates_here), done, up, settled)


def _job(look: Look, wish: Wish, tasks: tuple[LinkTask, ...], echo: Sequence[Gate]) -> LinkJob:
    return LinkJob(
        links=tasks,
        scope=_scope(look.net),
        echo=_texts(echo),
        rate=max(1.0, min(look.net.pace.rate, wish.rate)),
        echo_rate=max(1.0, min(look.net.pace.rate, wish.echo_rate)),
        tries=wish.tries,
        wait=wish.wait,
        seconds=look.deadline - time.monotonic(),
    )


def _up() -> set[str]:
    return {link.name for link in links().values() if link.up}


def ask_kernel(look: Look, methods: frozenset[str]) -> Iterator[Progress]:
    """Send a datagram to each address on a link, so that the kernel asks for it, and read what it learnt in its tables.

    The datagram is the NetBIOS question, which is worth an answer of its own. Where a switch lets only some of so many
    questions through, nobody's silence is believed: `ask_silent_again` is to follow.
    """
    settled = look.settled
    total = sum(map(len, look.area.on_link.values()))
    done = 0
    for name, gates in look.area.on_link.items():
        asked = iter(_of_methods(gates, methods))
        silent = settled.silent[name] = []
        while some := list(islice(asked, _KERNEL_AT_ONCE)):
            if time.monotonic() >= look.deadline:
                settled.unfinished += [*_addresses(some), *_addresses(asked)]
                break
            silent += _touch(look, name, some)
            done += len(some)
            yield Progress(done, total)


def ask_silent_again(look: Look) -> None:
    """Settle who kept silent: absent, unless one of some that are asked once more answers after all."""
    settled = look.settled
    for name, silent in settled.silent.items():
        controls = [silent[place] for place in shuffled(len(silent))[:_CONTROLS]]
        if controls and time.monotonic() >= look.deadline:
            settled.unfinished += _addresses(silent)
            continue
        sound = len(_touch(look, name, controls)) == len(controls)
        found = {*settled.addresses}
        (settled.addresses if sound else settled.lossy).extend(
            gate.parsed for gate in silent if gate.parsed not in found
        )


def _touch(look: Look, name: str, gates: Sequence[Gate]) -> list[Gate]:
    """Have the kernel ask for addresses and take who answers; give those that it asked for in vain."""
    from probes.kit.scan.udp import sweep

    settled = look.settled
    refused: set[str] = set()
    reached: set[str] = set()
    started = time.monotonic()
    for answer in sweep(look.net, ((gate.address, _NETBIOS) for gate in gates), look.deadline):
        if answer.refused is not None:
            refused.add(answer.address)
            settled.skipped.append(answer.refused.skipped)
        elif answer.outcome in _ALIVE:
            settled.answers.append(answer)
            settled.asked.add(answer.address)
        elif answer.outcome is Outcome.OPEN_FILTERED:
            reached.add(answer.address)
    mine = {gate.parsed: gate for gate in gates if gate.address not in refused}
    end = min(look.deadline, started + _KERNEL_SECONDS)
    while True:
        table = {item.address: item for item in neighbours() if item.interface == name and item.address in mine}
        if all(item.state is not State.INCOMPLETE for item in table.values()) or time.monotonic() >= end:
            break
        time.sleep(0.1)
    up = name in _up()
    silent = []
    for address, gate in mine.items():
        entry = table.get(address)
        if entry is not None and entry.state in LIVE and entry.mac and entry.state is not State.PERMANENT:
            look.seen.see(address, "arp" if address.version == 4 else "nd", mac=entry.mac, interface=name)
            settled.addresses.append(address)
            if gate.address in reached:
                settled.asked.add(gate.address)
        elif entry is not None and entry.state is State.FAILED and up:
            silent.append(gate)
        else:
            (settled.unfinished if up else settled.down).append(address)
    return silent


def _groups(look: Look, name: str, methods: frozenset[str]) -> tuple[str, ...]:
    wanted = tuple(method for method in GROUP_METHODS if method in methods)
    if not wanted:
        return ()
    try:
        require_link(look.net, link_prefixes(look.own, name, 6), None)
    except Refused as refusal:
        look.settled.skipped.append(refusal.skipped)
        return ()
    return wanted


def _settle(name: str, addresses: list[Address], done: LinkDone | None, up: set[str], settled: Settled) -> None:
    if done is None or not done.complete:
        settled.unfinished += addresses
    elif name not in up or any(text.partition(": ")[0] == name for text in done.down):
        settled.down += addresses
    elif name in done.lossy:
        settled.lossy += addresses
    else:
        settled.addresses += addresses


def _of_methods(gates: Iterable[Gate], methods: frozenset[str]) -> list[Gate]:
    families: set[Family] = {family for family, method in ((4, "arp"), (6, "nd")) if method in methods}  # type: ignore[misc]
    return [gate for gate in gates if gate.family in families]


def _addresses(gates: Iterable[Gate]) -> list[Address]:
    return [gate.parsed for gate in gates]


def _texts(gates: Iterable[Gate]) -> tuple[str, ...]:
    held = _addresses(gates)
    return tuple(
        text for version in (4, 6) for text in prefixes(address for address in held if address.version == version)
    )


def _scope(net: Net) -> tuple[ScopeEntry, ...]:
    """Give the entries that the helper can check: those with prefixes."""
    found = []
    for entry in net.scope.entries:
        try:
            ip_network(entry.value)
        except ValueError:
            continue
        found.append(entry)
    return tuple(found)
