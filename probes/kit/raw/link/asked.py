"""One link that is being asked: whom, who has answered, and what its silence is worth."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address, ip_network

from probes.kit.machine.neighbours import own_addresses
from probes.kit.raw.helper.messages import MAX_HOSTS, BadJob
from probes.kit.raw.link.addresses import arp_request, solicitation
from probes.kit.raw.link.controls import Controls
from probes.kit.raw.link.frames import all_nodes_frame, echo_to_all, mld_query
from probes.kit.raw.link.messages import ECHO, GROUP_METHODS, MLD, MOST_UNASKED, OPT80, LinkTask
from probes.kit.raw.link.sockets import LinkSockets
from probes.kit.scope.addresses import Address
from probes.kit.scope.model import Scope

_OTHER_MACS = 4
"""Further MACs that are told of one address: two are a conflict, more are somebody's game."""


@dataclass(slots=True, eq=False)
class AskedLink:
    """`missing` are addresses that have not answered yet, `asked` all of them, each with our address to ask from."""

    sockets: LinkSockets
    groups: tuple[str, ...]
    missing: dict[bytes, bytes]
    asked: dict[bytes, bytes]
    controls: Controls
    in_scope: Callable[[Address], bool]
    macs: dict[bytes, set[bytes]] = field(default_factory=dict)
    heard: dict[bytes, set[str]] = field(default_factory=dict)
    down: str = ""
    overrun: bool = False

    @property
    def settled(self) -> bool:
        """Whether one more question would bring nobody."""
        return not self.missing or bool(self.down) or self.controls.enough

    @property
    def lossy(self) -> bool:
        """Whether silence on it proves nothing."""
        return bool(self.sockets.dropped) or self.overrun or (bool(self.missing) and not self.controls.proven)

    def begin_round(self) -> list[bytes]:
        """Give the addresses to ask in the next round: those that are missing, and the controls."""
        return [*self.missing, *self.controls.begin(self.macs.keys() & self.asked.keys())]

    def question(self, address: bytes) -> bytes | None:
        """Write the frame that asks for an address; None when it has answered meanwhile."""
        if address not in self.missing and not self.controls.awaits(address):
            return None
        write = arp_request if len(address) == 4 else solicitation
        return write(address, self.asked[address], self.sockets.hardware)

    def group_questions(self, mark: int, cookie: bytes) -> Iterator[bytes]:
        """Give the frames that ask everybody; an echo from each of our prefixes, as hosts answer in kind."""
        hardware = self.sockets.hardware
        if not self.sockets.v6:
            return
        if MLD in self.groups:
            yield all_nodes_frame(hardware, mld_query())
        prefixes = {own.network: own.ip.packed for own in self.sockets.v6}
        for method, source in itertools.product((ECHO, OPT80), prefixes.values()):
            if method in self.groups:
                yield all_nodes_frame(hardware, echo_to_all(source, mark, cookie, option_80=method == OPT80))

    def unconfirmed(self) -> list[bytes]:
        """Give the addresses that only a group has brought up, as missing from now on.

        Link-local ones sent their answer themselves; others may have sent it through a router.
        """
        found = []
        for address in self.heard:
            source, there = self.sockets.source_for(address), ip_address(address)
            if source and address not in self.macs and not there.is_link_local and self.in_scope(there):
                self.missing[address] = self.asked[address] = source
                found.append(address)
        return found

    def take(self, address: bytes, hardware: bytes) -> bool:
        """Take an answer for an address that was asked for; tell whether it says something new."""
        if address in self.macs:
            self.controls.answered(address)
        macs = self.macs.setdefault(address, set())
        if hardware in macs or len(macs) > _OTHER_MACS:
            return False
        macs.add(hardware)
        if self.missing.pop(address, None) is not None:
            self.controls.newcomer()
        return True

    def take_unasked(self, method: str, address: bytes) -> bool:
        """Take an answer to a question to everybody; tell whether it says something new."""
        if method not in self.groups:
            return False
        methods = self.heard.get(address)
        if methods is None:
            if len(self.heard) >= MOST_UNASKED:
                self.overrun = True
                return False
            methods = self.heard[address] = set()
        if method in methods:
            return False
        methods.add(method)
        return True


def open_link(task: LinkTask, tries: int, scope: Scope, today: date, closing: ExitStack) -> AskedLink:
    """Open the sockets of a link; raises BadJob for a task that cannot be done, CannotRun without the privilege."""
    unknown = set(task.groups) - set(GROUP_METHODS)
    if unknown:
        raise BadJob(f"groups: {min(unknown)!r} is none of {', '.join(GROUP_METHODS)}")
    try:
        sockets = LinkSockets(task.interface, own_addresses())
    except OSError as error:
        raise BadJob(f"interface: {task.interface}: {error.strerror}") from None
    closing.callback(sockets.close)

    def in_scope(address: Address) -> bool:
        return bool(scope.ports_of(address, today))

    missing = {}
    for address in addresses_of(task.sweep):
        source = sockets.source_for(address.packed)
        if source is not None and in_scope(address) and address.packed not in sockets.own:
            missing[address.packed] = source
    return AskedLink(sockets, task.groups, missing, dict(missing), Controls(tries), in_scope)


def addresses_of(texts: tuple[str, ...]) -> list[Address]:
    """Read addresses and prefixes, each address once; raises BadJob."""
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
