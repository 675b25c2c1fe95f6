"""Asking everybody on the links in the protocols that devices announce themselves with: mDNS, SSDP, WS-Discovery."""

import os
import select
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from probes.kit.discovery import mdns, ssdp, wsd
from probes.kit.discovery.told import DESCRIPTION, Told
from probes.kit.errors import READING, Refused
from probes.kit.machine.neighbours import Own
from probes.kit.scope.addresses import Address
from probes.kit.sending.multicast import Group
from probes.kit.sending.net import Net
from wire.types import Family

METHODS = (mdns.METHOD, ssdp.METHOD, wsd.METHOD)
_ASKED = 2
_AGAIN_SECONDS = 0.8
_AT_ONCE = 64
_MOST_ANSWERS = 20_000
"""Answers of one link and protocol that are read in all, whoever sends them."""
_MOST_OF_ONE = 40
_MOST_SENDERS = 4096
_MOST_KINDS = 64
_MOST_RESOLVED = 256
PROTOCOLS: Mapping[str, tuple[Mapping[int, str], int, int]] = {
    mdns.METHOD: (mdns.GROUPS, mdns.PORT, 255),
    ssdp.METHOD: (ssdp.GROUPS, ssdp.PORT, 1),
    wsd.METHOD: (wsd.GROUPS, wsd.PORT, 1),
}
"""Group by family, port, and hops: RFC 6762 section 11 asks for 255, and its groups never leave the link anyway."""

_QUESTIONS = {wsd.METHOD: len(wsd.questions())}

Same = Callable[[Address], Iterable[Address]]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One answer: who sent it on which link, and what it says."""

    sender: Address
    interface: str
    told: Told


@dataclass(slots=True, eq=False)
class _Talk:
    """One protocol on one link and family."""

    method: str
    group: Group
    waiting: list[bytes]
    read: Callable[[bytes, Address], Told | None]
    repeat: tuple[bytes, ...]
    heard: int = 0
    senders: Counter[Address] = field(default_factory=Counter)
    kinds: set[mdns.Labels] = field(default_factory=lambda: {name for name, _ in mdns.FIRST})
    marks: set[str] = field(default_factory=set)
    resolved: set[str] = field(default_factory=set)


class Chatter:
    """One round of asking on some links; afterwards `refused` holds what the scope or quiet hours kept back."""

    def __init__(self, net: Net, own: tuple[Own, ...], methods: Iterable[str], same: Same) -> None:
        """`same` gives the other addresses of whoever has one, as far as that is known by now."""
        self.refused: list[Refused] = []
        self._net = net
        self._own = own
        wanted = set(methods)
        self._methods = [method for method in METHODS if method in wanted]
        self._resolves = DESCRIPTION in wanted
        self._same = same
        self._mark = int.from_bytes(os.urandom(2), "big")
        self._named: set[mdns.Labels] = set()

    def run(
        self,
        links: Sequence[tuple[str, Family]],
        known: Mapping[str, Sequence[Address]],
        seconds: float,
        deadline: float,
    ) -> Iterator[Spoken | None]:
        """Ask, and yield what is said as it comes, and None now and then; ends by itself after `seconds`.

        `known` are addresses on each link whose names are asked for. Ends early at the deadline (time.monotonic()).
        """
        with ExitStack() as opened:
            talks = [talk for name, family in links for talk in self._open(name, family, known.get(name, ()), opened)]
            if not talks:
                return
            poll = select.poll()
            for talk in talks:
                poll.register(talk.group.socket, select.POLLIN)
            started = time.monotonic()
            end = min(deadline, started + seconds)
            asked = 0
            while (now := time.monotonic()) < end:
                if asked < _ASKED and now >= started + asked * _AGAIN_SECONDS:
                    asked += 1
                    for talk in talks:
                        talk.waiting.extend(talk.repeat)
                for talk in talks:
                    self._ask(talk)
                poll.poll(min(100, (end - now) * 1000))
                for talk in talks:
                    yield from self._listen(talk)
                yield None

    def _open(self, interface: str, family: Family, known: Sequence[Address], opened: ExitStack) -> Iterator[_Talk]:
        for method in self._methods:
            groups, port, hops = PROTOCOLS[method]
            try:
                group = Group(self._net, self._own, interface, groups[family], port, hops=hops)
            except Refused as refusal:
                self.refused.append(refusal)
                continue
            except OSError:  # no address of that family there, or the link is down
                continue
            opened.callback(group.close)
            yield self._talk(method, group, family, known)

    def _talk(self, method: str, group: Group, family: int, known: Sequence[Address]) -> _Talk:
        if method == mdns.METHOD:
            names = [mdns.reverse(address) for address in known if address.version == family]
            asked = (mdns.question(self._mark, mdns.FIRST), *mdns.questions(self._mark, names))
            return _Talk(method, group, [], self._read_mdns, asked)
        if method == ssdp.METHOD:
            return _Talk(method, group, [], lambda packet, _: ssdp.read(packet), (ssdp.question(family),))
        probes = wsd.questions()
        marks = set(probes)
        return _Talk(method, group, [], lambda packet, _: wsd.read(packet, marks), tuple(probes.values()), marks=marks)

    def _ask(self, talk: _Talk) -> None:
        waiting, talk.waiting = talk.waiting, []
        for payload in waiting:
            try:
                talk.group.ask(payload)
            except Refused as refusal:
                self.refused.append(refusal)
                talk.repeat = ()
                return

    def _listen(self, talk: _Talk) -> Iterator[Spoken]:
        if talk.heard >= _MOST_ANSWERS:
            # Taken off the socket all the same, or poll() would wake at once for ever.
            for _ in talk.group.answers(0, _AT_ONCE):
                pass
            return
        for packet, sender in talk.group.answers(mdns.MAX_DATAGRAM, _AT_ONCE):
            talk.heard += 1
            if sender not in talk.senders and len(talk.senders) >= _MOST_SENDERS:
                continue
            talk.senders[sender] += 1
            if talk.senders[sender] > _MOST_OF_ONE:
                continue
            try:
                told = talk.read(packet, sender)
            except READING:
                continue
            if told is None:
                continue
            if talk.method == mdns.METHOD:
                self._follow(talk)
            elif talk.method == wsd.METHOD and self._resolves:
                _resolve(talk, told)
            yield Spoken(sender, talk.group.interface, told)

    def _read_mdns(self, packet: bytes, sender: Address) -> Told | None:
        message = mdns.read(packet)
        if message is None or message.id not in (self._mark, 0):
            return None
        self._named = mdns.kinds_of(message)
        return mdns.told_by(message, sender, tuple(self._same(sender)))

    def _follow(self, talk: _Talk) -> None:
        """Ask for the instances of each kind of service that the message just read names, once."""
        for kind in sorted(self._named - talk.kinds)[: max(0, _MOST_KINDS - len(talk.kinds))]:
            talk.kinds.add(kind)
            talk.waiting.append(mdns.question(self._mark, [(kind, mdns.PTR)]))


def asked(method: str) -> int:
    """Give how many packets ask everybody on a link where nobody answers."""
    return _ASKED * _QUESTIONS.get(method, 1)


def _resolve(talk: _Talk, told: Told) -> None:
    """Ask, once, where an endpoint is that did not say so: its description is there."""
    endpoint = wsd.endpoint_of(told)
    if endpoint and not told.locations and endpoint not in talk.resolved and len(talk.resolved) < _MOST_RESOLVED:
        talk.resolved.add(endpoint)
        mark, question = wsd.resolve(endpoint)
        talk.marks.add(mark)
        talk.waiting.append(question)
