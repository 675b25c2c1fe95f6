"""The helper's work on whole links: ask by ARP, ND and groups, take what answers, ask again what did not."""

import itertools
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import blake2s
from ipaddress import IPv6Address, ip_address, ip_network

from probes.kit.evidence import normal_mac
from probes.kit.neighbours import own_addresses
from probes.kit.pacing import Pace
from probes.kit.raw.link_addresses import arp_request, read_arp_reply, solicitation
from probes.kit.raw.link_answers import read_echo4, read_echo6, read_link_answer
from probes.kit.raw.link_frames import COOKIE_BYTES, all_nodes_frame, echo_to_all, icmp4_echo, icmp6_echo, mld_query
from probes.kit.raw.link_messages import (
    ARP,
    ECHO,
    GROUP_METHODS,
    ICMP,
    MLD,
    MOST_HEARD,
    MOST_UNASKED,
    ND,
    OPT80,
    Heard,
    LinkDone,
    LinkJob,
    LinkSaid,
    LinkTask,
    write_heard,
)
from probes.kit.raw.link_sockets import EchoSockets, LinkSockets, QueueFull, arrived
from probes.kit.raw.messages import MAX_HOSTS, Progress
from probes.kit.raw.order import shuffled
from probes.kit.raw.outlet import Outlet
from probes.kit.raw.pace import burst_of
from probes.kit.raw.plan import BadJob
from probes.kit.raw.privilege import give_up_all
from probes.kit.scope import Address, Scope

_GROUP_SECONDS = 1.3
"""How long answers to a group come: MLD reports are spread over the second that our query allows."""
_SETTLING, _LEAST_PATIENCE, _UNKNOWN_TRIP = 0.05, 0.1, 0.25
_LEAST_WINDOW = 0.25
"""No address is given up sooner after its first question, however fast the others answered: cards that sleep wake up
at an access point's beacons, a tenth of a second apart.
"""
_TRIPS_BETWEEN, _TRIPS_AT_END = 2, 4
_SECOND_CLAIM_SECONDS = 0.05
_FULL_QUEUE_SECONDS = 0.002
_TAKE_IN = 64
"""Packets between two looks at what has arrived: a socket's buffer holds the answers to a few hundred."""
_HOUSEKEEPING_SECONDS = 0.1
_PROGRESS_SECONDS = 0.5
_OTHER_MACS = 4
"""Further MACs that are told of one address: two are a conflict, more are somebody's game."""


class _OutOfTime(Exception):
    """The deadline came first."""


@dataclass(slots=True, eq=False)
class _Link:
    """One link: `missing` are addresses that have not answered yet, with our address to ask from."""

    sockets: LinkSockets
    groups: tuple[str, ...]
    missing: dict[bytes, bytes]
    asked: set[bytes]
    macs: dict[bytes, set[bytes]] = field(default_factory=dict)
    heard: dict[bytes, set[str]] = field(default_factory=dict)
    down: str = ""
    overrun: bool = False


def work_on_links(job: LinkJob, outlet: Outlet) -> None:
    """Do a job and say its results; raises BadJob, CannotRun, OSError or ParentGone."""
    started = time.monotonic()
    today = datetime.now(UTC).date()
    scope = Scope(job.scope)
    with ExitStack() as closing:
        links = [_open(task, scope, today, closing) for task in job.links]
        echo = None
        beyond = [address for address in _addresses(job.echo) if scope.allows_address(address, None, today)]
        if beyond:
            echo = EchoSockets()
            closing.callback(echo.close)
        give_up_all()
        run = _Run(job, links, echo, beyond, scope, today, started + job.seconds, outlet)
        complete = run.go()
        outlet.say(LinkSaid(done=run.figures(complete, time.monotonic() - started)))


def _open(task: LinkTask, scope: Scope, today: date, closing: ExitStack) -> _Link:
    unknown = set(task.groups) - set(GROUP_METHODS)
    if unknown:
        raise BadJob(f"groups: {min(unknown)!r} is none of {', '.join(GROUP_METHODS)}")
    try:
        sockets = LinkSockets(task.interface, own_addresses())
    except OSError as error:
        raise BadJob(f"interface: {task.interface}: {error.strerror}") from None
    closing.callback(sockets.close)
    missing = {}
    for address in _addresses(task.sweep):
        source = sockets.source_for(address.packed)
        if source is not None and scope.ports_of(address, today) and address.packed not in sockets.own:
            missing[address.packed] = source
    return _Link(sockets, task.groups, missing, set(missing))


def _addresses(texts: tuple[str, ...]) -> list[Address]:
    found: dict[Address, None] = {}
    for text in texts:
        try:
            network = ip_network(text)
        except ValueError as error:
            raise BadJob(f"targets: {error}") from None
        if len(found) + network.num_addresses > MAX_HOSTS:
            raise BadJob(f"targets: with {text} it is over {MAX_HOSTS} addresses, split the job")
        found.update(dict.fromkeys(network))
    return list(found)


class _Run:
    """One run over all links and everything beyond them."""

    def __init__(
        self,
        job: LinkJob,
        links: list[_Link],
        echo: EchoSockets | None,
        beyond: list[Address],
        scope: Scope,
        today: date,
        deadline: float,
        outlet: Outlet,
    ) -> None:
        self.sent = self.answers = self.unasked = 0
        self._job = job
        self._links = links
        self._echo = echo
        self._beyond: dict[bytes, None] = dict.fromkeys(address.packed for address in beyond)
        self._scope, self._today = scope, today
        self._deadline = deadline
        self._outlet = outlet
        self._pace = Pace(job.rate, burst_of(job.rate))
        self._echo_pace = Pace(job.echo_rate, burst_of(job.echo_rate))
        self._mark = int.from_bytes(os.urandom(2), "big")
        self._key = os.urandom(32)
        self._cookie = os.urandom(COOKIE_BYTES)
        self._sent_at: dict[bytes, float] = {}
        self._longest = 0.0
        self._group_asked = self._all_asked = 0.0
        self._pending: list[str] = []
        self._kept = self._told = time.monotonic()
        self._total = sum(len(link.missing) for link in links) + len(self._beyond)
        self._poll = select.poll()
        for link in links:
            self._poll.register(link.sockets.arp, select.POLLIN)
            self._poll.register(link.sockets.six, select.POLLIN)
        for sock in echo.sockets.values() if echo else ():
            self._poll.register(sock, select.POLLIN)

    def go(self) -> bool:
        """Ask everything; tell whether all of it was asked and waited for."""
        try:
            for number in range(self._job.tries):
                if number < 2:
                    self._ask_groups()
                if not self._ask_missing():
                    break
                self._all_asked = self._all_asked or time.monotonic()
                self._wait(self._patience() if number == self._job.tries - 1 else self._settling(), self._anything)
            if not self._anything():
                # All have answered; whoever claims an address too, after the first one did, is heard as well.
                self._wait(_SECOND_CLAIM_SECONDS, lambda: True)
            if self._group_asked:
                self._wait(self._group_asked + _GROUP_SECONDS - time.monotonic(), lambda: True)
                self._confirm()
        except _OutOfTime:
            return False
        finally:
            self._tell()
        return True

    def figures(self, complete: bool, seconds: float) -> LinkDone:
        """Sum up."""
        return LinkDone(
            complete=complete,
            sent=self.sent,
            answers=self.answers,
            unasked=self.unasked,
            dropped=sum(link.sockets.count_dropped() for link in self._links),
            seconds=seconds,
            lossy=tuple(link.sockets.name for link in self._links if link.sockets.dropped or link.overrun),
            down=tuple(f"{link.sockets.name}: {link.down}" for link in self._links if link.down),
        )

    def _anything(self) -> bool:
        return bool(self._beyond) or any(link.missing and not link.down for link in self._links)

    def _ask_groups(self) -> None:
        for link in self._links:
            for frame in _group_frames(link, self._mark, self._cookie):
                self._group_asked = time.monotonic()
                self._send(link, frame)

    def _ask_missing(self) -> bool:
        """Ask all that has not answered, in random order; tell whether there was anything."""
        work: list[tuple[_Link | None, bytes]] = [(link, address) for link in self._links for address in link.missing]
        work += [(None, address) for address in self._beyond]
        self._ask_all(work)
        return bool(work)

    def _ask_all(self, work: list[tuple[_Link | None, bytes]]) -> None:
        for place in shuffled(len(work)):
            link, address = work[place]
            self._sent_at.setdefault(address, time.monotonic())
            if link is None:
                self._ping(address)
            elif address in link.missing:  # it may have answered meanwhile
                write = arp_request if len(address) == 4 else solicitation
                self._send(link, write(address, link.missing[address], link.sockets.hardware))

    def _send(self, link: _Link, frame: bytes) -> None:
        while not link.down:
            self._hold_pace(self._pace)
            try:
                link.sockets.send(frame)
            except QueueFull:
                self._pause(_FULL_QUEUE_SECONDS)
                continue
            except OSError as error:
                link.down = os.strerror(error.errno or 0)
                return
            self.sent += 1
            if self.sent % _TAKE_IN == 0:
                self._receive()
            return

    def _ping(self, address: bytes) -> None:
        if address not in self._beyond or self._echo is None:
            return
        self._hold_pace(self._echo_pace)
        family = 4 if len(address) == 4 else 6
        sock = self._echo.sockets.get(family)
        if sock is None:
            return
        cookie = self._cookie_of(address)
        try:
            packet = icmp4_echo(self._mark, cookie) if family == 4 else icmp6_echo(self._mark, cookie)
            sock.sendto(packet, (str(ip_address(address)), 0))
        except OSError:  # no route, or a full queue: it stays silent, which proves nothing anyway
            return
        self.sent += 1

    def _hold_pace(self, pace: Pace) -> None:
        pace.spend(1)
        left = pace.wait()
        if left > 0:
            self._pause(left)

    def _confirm(self) -> None:
        """Ask those by ND that only a group has brought up, for their hardware address and to see that they are real.

        Link-local ones sent their answer themselves; others may have sent it through a router.
        """
        work: list[tuple[_Link | None, bytes]] = []
        for link in self._links:
            for address in link.heard:
                source = link.sockets.source_for(address)
                there = ip_address(address)
                if (
                    source is not None
                    and address not in link.macs
                    and not there.is_link_local
                    and self._scope.ports_of(there, self._today)
                ):
                    link.missing[address] = source
                    link.asked.add(address)
                    work.append((link, address))
        for _ in range(self._job.tries):
            work = [(link, address) for link, address in work if link and address in link.missing]
            if not work:
                return
            self._ask_all(work)
            self._wait(self._settling(), self._anything)

    def _settling(self) -> float:
        longest = self._longest
        return min(self._job.wait, max(_SETTLING, _TRIPS_BETWEEN * longest) if longest else _UNKNOWN_TRIP)

    def _patience(self) -> float:
        if not self._longest or self._beyond:
            return self._job.wait
        left = self._all_asked + _LEAST_WINDOW - time.monotonic()
        return min(self._job.wait, max(_LEAST_PATIENCE, _TRIPS_AT_END * self._longest, left))

    def _wait(self, seconds: float, going: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while going() and (left := end - time.monotonic()) > 0:
            self._poll.poll(min(left, _HOUSEKEEPING_SECONDS) * 1000)
            self._receive()

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._poll.poll(left * 1000)
            self._receive()

    def _receive(self) -> None:
        for link in self._links:
            for packet, _ in arrived(link.sockets.arp):
                reply = read_arp_reply(packet)
                if reply is not None:
                    self._take(link, ARP, *reply)
            for packet, sender in arrived(link.sockets.six):
                answer = read_link_answer(packet, self._mark, self._cookie)
                if answer is not None and answer.method == ND:
                    self._take(link, ND, answer.address, answer.hardware)
                elif answer is not None and answer.address not in link.sockets.own:
                    self._take_unasked(link, answer.method, answer.address, sender)
        if self._echo is not None:
            self._receive_echoes(self._echo)
        self._keep_house()

    def _receive_echoes(self, echo: EchoSockets) -> None:
        for family, sock in echo.sockets.items():
            read = read_echo4 if family == 4 else read_echo6
            for _ in range(1024):
                try:
                    packet, sender = sock.recvfrom(256)
                except OSError:
                    break
                address = ip_address(sender[0].partition("%")[0]).packed
                if address in self._beyond and read(packet, self._mark, self._cookie_of(address)):
                    del self._beyond[address]
                    self._note_trip(address)
                    self._say(ICMP, address, b"", None)

    def _take(self, link: _Link, method: str, address: bytes, hardware: bytes) -> None:
        """Take an answer to a question of ours; what nobody asked for is counted and nothing else."""
        if address not in link.asked:
            self.unasked += 1
            return
        macs = link.macs.setdefault(address, set())
        if hardware in macs or len(macs) > _OTHER_MACS:
            return
        macs.add(hardware)
        if link.missing.pop(address, None) is not None:
            self._note_trip(address)
        self._say(method, address, hardware, link)

    def _take_unasked(self, link: _Link, method: str, address: bytes, hardware: bytes) -> None:
        if method not in link.groups:
            return
        methods = link.heard.get(address)
        if methods is None:
            if len(link.heard) >= MOST_UNASKED:
                link.overrun = True
                return
            methods = link.heard[address] = set()
        if method in methods:
            return
        methods.add(method)
        # Beyond link-local addresses a router may have passed the answer on, and would lend it its hardware address.
        self._say(method, address, hardware if IPv6Address(address).is_link_local else b"", link)

    def _say(self, method: str, address: bytes, hardware: bytes, link: _Link | None) -> None:
        self.answers += 1
        there = ip_address(address)
        name = link.sockets.name if link else ""
        text = f"{there}%{name}" if link and there.version == 6 and there.is_link_local else str(there)
        self._pending.append(write_heard(Heard(method, text, normal_mac(hardware), name)))

    def _note_trip(self, address: bytes) -> None:
        sent = self._sent_at.get(address)
        if sent is not None:
            self._longest = max(self._longest, time.monotonic() - sent)

    def _cookie_of(self, address: bytes) -> bytes:
        return blake2s(address, key=self._key, digest_size=COOKIE_BYTES).digest()

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now > self._deadline:
            raise _OutOfTime
        if now - self._kept < _HOUSEKEEPING_SECONDS:
            return
        self._kept = now
        self._tell()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            left = sum(len(link.missing) for link in self._links) + len(self._beyond)
            self._outlet.say(LinkSaid(progress=Progress(max(0, self._total - left), self._total, self.sent, 0.0)))
        self._outlet.flush()
        self._outlet.check()

    def _tell(self) -> None:
        for start in range(0, len(self._pending), MOST_HEARD):
            self._outlet.say(LinkSaid(heard=tuple(self._pending[start : start + MOST_HEARD])))
        self._pending.clear()


def _group_frames(link: _Link, mark: int, cookie: bytes) -> Iterator[bytes]:
    """Give the questions to everybody on a link; an echo from each of our prefixes, as hosts answer in kind."""
    hardware = link.sockets.hardware
    if not link.sockets.v6:
        return
    if MLD in link.groups:
        yield all_nodes_frame(hardware, mld_query())
    prefixes = {own.network: own.ip.packed for own in link.sockets.v6}
    for method, source in itertools.product((ECHO, OPT80), prefixes.values()):
        if method in link.groups:
            yield all_nodes_frame(hardware, echo_to_all(source, mark, cookie, option_80=method == OPT80))
