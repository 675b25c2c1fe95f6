"""The helper's work on whole links: ask by ARP, ND and groups, take what answers, ask again what did not."""

import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from ipaddress import IPv6Address

from probes.kit.ports.order import shuffled
from probes.kit.raw.helper.outlet import Outlet
from probes.kit.raw.helper.privilege import give_up_all
from probes.kit.raw.helper.waiting import OutOfTime, Waiting
from probes.kit.raw.link.addresses import read_arp_reply
from probes.kit.raw.link.answers import read_link_answer
from probes.kit.raw.link.asked import AskedLink, addresses_of, open_link
from probes.kit.raw.link.controls import MOST_ROUNDS
from probes.kit.raw.link.echoes import Echoes
from probes.kit.raw.link.frames import COOKIE_BYTES
from probes.kit.raw.link.messages import ARP, ICMP, ND, LinkDone, LinkJob, LinkSaid
from probes.kit.raw.link.sockets import QueueFull, arrived
from probes.kit.raw.link.telling import Telling
from probes.kit.raw.packets.bursts import burst_of
from probes.kit.scope.model import Scope
from probes.kit.sending.pacing import Pace

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


def work_on_links(job: LinkJob, outlet: Outlet) -> None:
    """Do a job and say its results; raises BadJob, CannotRun, OSError or ParentGone."""
    started = time.monotonic()
    today = datetime.now(UTC).date()
    scope = Scope(job.scope)
    with ExitStack() as closing:
        links = [open_link(task, job.tries, scope, today, closing) for task in job.links]
        echoes = Echoes(item for item in addresses_of(job.echo) if scope.allows_address(item, None, today))
        closing.callback(echoes.close)
        give_up_all()
        run = _Run(job, links, echoes, started + job.seconds, outlet)
        complete = run.go()
        outlet.say(LinkSaid(done=run.figures(complete, time.monotonic() - started)))


class _Run:
    """One run over all links and everything beyond them."""

    def __init__(self, job: LinkJob, links: list[AskedLink], echoes: Echoes, deadline: float, outlet: Outlet) -> None:
        self.sent = self.unasked = 0
        self._job = job
        self._links = links
        self._echoes = echoes
        self._deadline = deadline
        self._outlet = outlet
        self._telling = Telling(outlet)
        self._pace = Pace(job.rate, burst_of(job.rate))
        self._echo_pace = Pace(job.echo_rate, burst_of(job.echo_rate))
        self._mark = int.from_bytes(os.urandom(2), "big")
        self._cookie = os.urandom(COOKIE_BYTES)
        self._sent_at: dict[bytes, float] = {}
        self._longest = self._achieved = 0.0
        self._group_asked = self._all_asked = 0.0
        self._kept = self._told = time.monotonic()
        self._total = sum(len(link.missing) for link in links) + len(self._echoes.missing)
        answering = [sock for link in links for sock in (link.sockets.arp, link.sockets.six)]
        self._waiting = Waiting([*answering, *echoes.sockets.values()], self._receive)

    def go(self) -> bool:
        """Ask everything; tell whether all of it was asked and waited for."""
        try:
            for number in range(MOST_ROUNDS):
                if number < 2:
                    self._ask_groups()
                if not self._ask_missing(number):
                    break
                self._all_asked = self._all_asked or time.monotonic()
                self._waiting.wait(self._settling(), self._anything)
                if self._settled(number):
                    self._waiting.wait(self._patience(), self._anything)
                if self._settled(number):  # unless a late answer showed that another round is worth while
                    break
                self._slow_down()
            if not self._anything():
                # All have answered; whoever claims an address too, after the first one did, is heard as well.
                self._waiting.wait(_SECOND_CLAIM_SECONDS, lambda: True)
            if self._group_asked:
                self._waiting.wait(self._group_asked + _GROUP_SECONDS - time.monotonic(), lambda: True)
                self._confirm()
        except OutOfTime:
            return False
        finally:
            self._telling.tell()
        return True

    def figures(self, complete: bool, seconds: float) -> LinkDone:
        """Sum up."""
        return LinkDone(
            complete=complete,
            sent=self.sent,
            answers=self._telling.answers,
            unasked=self.unasked,
            dropped=sum(link.sockets.count_dropped() for link in self._links),
            seconds=seconds,
            lossy=tuple(link.sockets.name for link in self._links if link.lossy),
            down=tuple(f"{link.sockets.name}: {link.down}" for link in self._links if link.down),
        )

    def _anything(self) -> bool:
        return bool(self._echoes.missing) or any(link.missing and not link.down for link in self._links)

    def _settled(self, number: int) -> bool:
        return all(link.settled for link in self._links) and (number + 1 >= self._job.tries or not self._echoes.missing)

    def _slow_down(self) -> None:
        """Ask the next round no faster than questions came through in this one: a switch may be counting."""
        left = sum(len(link.missing) for link in self._links)
        rates = [link.controls.slower(self._achieved, left) for link in self._links if not link.settled]
        if rates and min(rates) < self._achieved:
            self._pace.rate = min(self._job.rate, *rates)

    def _ask_groups(self) -> None:
        for link in self._links:
            for frame in link.group_questions(self._mark, self._cookie):
                self._group_asked = time.monotonic()
                self._send(link, frame)

    def _ask_missing(self, number: int) -> bool:
        """Ask all that has not answered, and the controls, in random order; tell whether there was anything to ask."""
        work: list[tuple[AskedLink | None, bytes]] = []
        for link in self._links:
            if not link.settled:
                work += [(link, address) for address in link.begin_round()]
        if number < self._job.tries:
            work += [(None, address) for address in self._echoes.missing]
        started, before = time.monotonic(), self.sent
        self._ask_all(work)
        self._achieved = (self.sent - before) / max(time.monotonic() - started, 0.001)
        return bool(work)

    def _ask_all(self, work: list[tuple[AskedLink | None, bytes]]) -> None:
        for place in shuffled(len(work)):
            link, address = work[place]
            self._sent_at[address] = time.monotonic()
            if link is None:
                self._ping(address)
            elif (frame := link.question(address)) is not None:
                self._send(link, frame)

    def _send(self, link: AskedLink, frame: bytes) -> None:
        while not link.down:
            self._hold_pace(self._pace)
            try:
                link.sockets.send(frame)
            except QueueFull:
                self._waiting.pause(_FULL_QUEUE_SECONDS)
                continue
            except OSError as error:
                link.down = os.strerror(error.errno or 0)
                return
            self.sent += 1
            if self.sent % _TAKE_IN == 0:
                self._receive()
            return

    def _ping(self, address: bytes) -> None:
        if address in self._echoes.missing:
            self._hold_pace(self._echo_pace)
            self.sent += self._echoes.ask(address)

    def _hold_pace(self, pace: Pace) -> None:
        pace.spend(1)
        left = pace.wait()
        if left > 0:
            self._waiting.pause(left)

    def _confirm(self) -> None:
        """Ask by ND for those that only a group has brought up: their hardware address, and whether they are real."""
        work: list[tuple[AskedLink | None, bytes]] = [
            (link, address) for link in self._links for address in link.unconfirmed()
        ]
        for _ in range(self._job.tries):
            work = [(link, address) for link, address in work if link and address in link.missing]
            if not work:
                return
            self._ask_all(work)
            self._waiting.wait(self._settling(), self._anything)

    def _settling(self) -> float:
        longest = self._longest
        return min(self._job.wait, max(_SETTLING, _TRIPS_BETWEEN * longest) if longest else _UNKNOWN_TRIP)

    def _patience(self) -> float:
        if not self._longest or self._echoes.missing:
            return self._job.wait
        left = self._all_asked + _LEAST_WINDOW - time.monotonic()
        return min(self._job.wait, max(_LEAST_PATIENCE, _TRIPS_AT_END * self._longest, left))

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
        for address in self._echoes.arrived():
            self._note_trip(address)
            self._telling.heard(ICMP, address, b"", "")
        self._keep_house()

    def _take(self, link: AskedLink, method: str, address: bytes, hardware: bytes) -> None:
        """Take an answer to a question of ours; what nobody asked for is counted and nothing else."""
        if address not in link.asked:
            self.unasked += 1
            return
        first = address in link.missing
        if link.take(address, hardware):
            if first:
                self._note_trip(address)
            self._telling.heard(method, address, hardware, link.sockets.name)

    def _take_unasked(self, link: AskedLink, method: str, address: bytes, hardware: bytes) -> None:
        if link.take_unasked(method, address):
            # Any but a link-local address may have answered through a router, and would be lent its hardware address.
            known = hardware if IPv6Address(address).is_link_local else b""
            self._telling.heard(method, address, known, link.sockets.name)

    def _note_trip(self, address: bytes) -> None:
        sent = self._sent_at.get(address)
        if sent is not None:
            self._longest = max(self._longest, time.monotonic() - sent)

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now > self._deadline:
            raise OutOfTime
        if now - self._kept < _HOUSEKEEPING_SECONDS:
            return
        self._kept = now
        self._telling.tell()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            left = sum(len(link.missing) for link in self._links) + len(self._echoes.missing)
            self._telling.progress(max(0, self._total - left), self._total, self.sent)
        self._outlet.flush()
        self._outlet.check()
