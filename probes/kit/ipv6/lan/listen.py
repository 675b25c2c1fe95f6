"""The helper's work: sockets, no more privileges, then a bounded time of listening, with at most a few questions."""

import os
import select
import socket
import struct
import time
from contextlib import ExitStack
from ipaddress import IPv6Address

from probes.kit.errors import CannotRun
from probes.kit.ipv6.lan.ear import Ear
from probes.kit.ipv6.lan.filters import ARP, SNAP, link_talk
from probes.kit.ipv6.lan.messages import LinkTask, ListenJob, ListenSaid
from probes.kit.ipv6.lan.write import MARK_BYTES, dhcp_questions, guard_source, guard_test, router_solicitation
from probes.kit.machine.neighbours import Own, own_addresses
from probes.kit.raw.helper.messages import BadJob
from probes.kit.raw.helper.outlet import Outlet
from probes.kit.raw.helper.privilege import NOT_ALLOWED, give_up_all
from probes.kit.raw.packets.frames import ETHERTYPES
from probes.kit.raw.packets.ring import SOL_PACKET, attach_filter

_EVERYTHING = 0x0003  # ETH_P_ALL: the only protocol that shows what this machine itself sends
_ADD_MEMBERSHIP, _ALL_MULTICAST, _STATISTICS = 1, 2, 6
_OUTGOING = 4
_RECEIVE_BUFFER = 4 << 20
_AT_ONCE = 512
_LOOK_SECONDS = 0.25
_WAITED_SECONDS = 0.5


class _Link:
    """One link: its sockets and what was heard on it."""

    def __init__(self, task: LinkTask, own: tuple[Own, ...], mark: bytes, *, guarded: bool, stack: ExitStack) -> None:
        self.task, self.mark = task, mark
        self.ear = Ear(task.interface, (mark,) if guarded else ())
        self.asked = self.guard_sent = False
        self.problem = ""
        self.source = next(
            (
                item.address.ip.packed
                for item in own
                if item.interface == task.interface and item.usable and item.address.ip.is_link_local
                and isinstance(item.address.ip, IPv6Address)
            ),
            None,
        )  # fmt: skip
        try:
            index = socket.if_nametoindex(task.interface)
            self.socket = stack.enter_context(_packet_socket(socket.SOCK_DGRAM))
            # Protocol 0 receives nothing: the filter is in place before bind() lets packets in.
            attach_filter(self.socket, link_talk())
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            # Without it a card may keep to itself what is sent to groups that nobody here has joined.
            everyone = struct.pack("iHH8s", index, _ALL_MULTICAST, 0, b"")
            self.socket.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, everyone)
            self.socket.bind((task.interface, _EVERYTHING))
            self.sender: socket.socket | None = None
            if task.ask or task.guard_to:
                self.sender = stack.enter_context(_packet_socket(socket.SOCK_RAW))
                self.sender.bind((task.interface, 0))
        except PermissionError:
            raise CannotRun(NOT_ALLOWED) from None
        except OSError as error:
            raise BadJob(f"interface: {task.interface}: {error.strerror}") from None
        self.hardware: bytes = self.socket.getsockname()[4]

    def ask(self) -> None:
        """Send what the task lets out, once."""
        if self.sender is None or len(self.hardware) != 6:
            return
        frames = []
        if self.task.ask:
            frames.append(router_solicitation(self.source, self.hardware))
            if self.source is not None:
                frames.extend(dhcp_questions(self.source, self.hardware, os.urandom(6)))
        if self.task.guard_to:
            frames.extend(guard_test(guard_source(self.mark), self.hardware, self.mark).values())
        try:
            for frame in frames:
                self.sender.send(frame)
        except OSError as error:
            self.problem = os.strerror(error.errno or 0)
            return
        self.asked = self.task.ask
        self.guard_sent = bool(self.task.guard_to)

    def take(self) -> None:
        """Take in what has arrived, a bounded number at a time."""
        for _ in range(_AT_ONCE):
            try:
                packet, (_, protocol, kind, _, hardware) = self.socket.recvfrom(SNAP)
            except BlockingIOError:
                return
            except OSError as error:
                self.problem = os.strerror(error.errno or 0)
                return
            if protocol == ARP:
                self.ear.arp(packet, own=kind == _OUTGOING)
            elif protocol == ETHERTYPES[6]:
                self.ear.ipv6(packet, hardware, own=kind == _OUTGOING)

    def count_dropped(self) -> None:
        """Note that packets found the buffer full."""
        # struct tpacket_stats: tp_packets, tp_drops
        if struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, _STATISTICS, 8))[1]:
            self.ear.complete = False


def listen(job: ListenJob, outlet: Outlet) -> None:
    """Do a job and say its results; raises BadJob, CannotRun, OSError or ParentGone."""
    with ExitStack() as stack:
        own, mark = own_addresses(), os.urandom(MARK_BYTES)
        guarded = {task.guard_to for task in job.links}
        links = [
            _Link(task, own, mark, guarded=task.interface in guarded, stack=stack)
            for task in job.links
        ]  # fmt: skip
        give_up_all()
        poll = select.poll()
        for link in links:
            poll.register(link.socket, select.POLLIN)
        started = time.monotonic()
        end, told = started + job.seconds, started
        for link in links:
            link.ask()
        while (left := end - (now := time.monotonic())) > 0:
            if now - told >= _WAITED_SECONDS:
                told = now
                outlet.say(ListenSaid(waited=now - started))
                outlet.flush()
                outlet.check()
            poll.poll(min(left, _LOOK_SECONDS) * 1000)
            for link in links:
                link.take()
        for link in links:
            link.count_dropped()
            for hosts in link.ear.hosts():
                outlet.say(ListenSaid(hosts=hosts))
            outlet.say(
                ListenSaid(
                    heard=link.ear.told(
                        asked=link.asked,
                        seconds=time.monotonic() - started,
                        problem=link.problem,
                        guard_sent=link.guard_sent,
                    )
                )
            )


def _packet_socket(kind: int) -> socket.socket:
    return socket.socket(socket.AF_PACKET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
