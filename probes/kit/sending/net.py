"""The sending layer: every packet of every probe leaves through `Net`, which checks the scope before each of them."""

import errno
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import IPv6Address, ip_address

from probes.kit.errors import PayloadRefused, Quiet, Refused
from probes.kit.scope.addresses import Address, is_special, unmapped
from probes.kit.scope.model import ALL_PORTS, Ranges, Scope
from probes.kit.sending.connection import PRINTER_PORTS, RESET_ON_CLOSE, Connection, Datagrams, wait_connected
from probes.kit.sending.icmp import IcmpLine
from probes.kit.sending.outcomes import OUTCOMES, Settled, known_shortage, of_local_errno, of_remote_errno
from probes.kit.sending.pacing import Pace, QuietHours
from wire.ports import contains
from wire.types import Family, Outcome

DEFAULT_PER_HOST = 128
DEFAULT_CONNECTIONS = 2048
_TIME_CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Gate:
    """A checked address: its plain spelling, and the ports of it that may be reached until the day is over.

    A link-local address carries its interface (`fe80::1%eth0`), since on another one it is somebody else's; `parsed` is
    the address without it.
    """

    address: str
    family: Family
    ports: Ranges
    paced: bool
    parsed: Address
    zone: int = 0

    @property
    def plain(self) -> str:
        """The text of the address without its interface."""
        return self.address.partition("%")[0]

    @property
    def af(self) -> socket.AddressFamily:
        """The address family as sockets name it."""
        return socket.AF_INET if self.family == 4 else socket.AF_INET6

    def sockaddr(self, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Give what connect() takes; the address is numeric, so nothing is ever looked up."""
        return (self.address, port) if self.family == 4 else (self.plain, port, 0, self.zone)

    def allows(self, port: int) -> bool:
        """Tell whether the port may be reached."""
        return self.ports == ALL_PORTS or contains(self.ports, port)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt to connect; `connection` is there when it is open, `why` is the system's own word."""

    settled: Settled
    why: str
    seconds: float
    connection: Connection | None = None

    @property
    def outcome(self) -> Outcome:
        """The word of the wire for it."""
        return OUTCOMES[self.settled]


class Net:
    """The only door to the network, made once per probe run (in its own process) and not shared between threads.

    Net(scope)                                   with the default caps, or for example
    Net(scope, pace=Pace(2000), per_host=32, connections=512, quiet=(QuietHours.parse("07:30-12:00"),))

    `pace`         new connections and datagrams per second, all of this Net together; this machine itself is exempt
    `per_host`     connections open or under way at one address at a time
    `connections`  the same over all addresses (and never more than RLIMIT_NOFILE leaves)
    `quiet`        daily spans of local time in which nothing leaves this machine
    `clock`        seconds since 1970, for the dates of the scope and the quiet hours

    After a run: `refusals` counts the targets that were refused (for the metric), `sent` the connections and datagrams.
    Methods that send raise `Refused` (its `skipped` is ready to be yielded) and never send anything then.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        pace: Pace | None = None,
        per_host: int = DEFAULT_PER_HOST,
        connections: int = DEFAULT_CONNECTIONS,
        quiet: Iterable[QuietHours] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """See the class; nothing is opened yet."""
        if per_host < 1 or connections < 1:
            raise ValueError("at least one connection must be allowed")
        self.scope = scope
        self.pace = pace or Pace()
        self.per_host = per_host
        self.connections = connections
        self.quiet = tuple(quiet)
        self.refusals = 0
        self.sent = 0
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._lent: dict[Address, list[str]] = {}
        self._time_checked = -_TIME_CHECK_SECONDS
        self._quiet_now: QuietHours | None = None
        self._today = date.min
        self._gated: object = None

    def gate(self, address: str | Address, port: int | None = None) -> Gate:
        """Check an address (and a port of it, if given) once, for what is sent there next.

        Raises OutOfScope or Quiet, and Refused for an interface that this machine does not have; raises ValueError for
        a text that is not an address in its plain spelling.
        """
        parsed = unmapped(ip_address(address) if isinstance(address, str) else address)
        text = str(parsed)
        what = text if port is None else f"{text} port {port}"
        ports = self.ports_of(parsed)
        if not ports or (port is not None and ports != ALL_PORTS and not contains(ports, port)):
            raise self.count(self.scope.refusal(what, text.partition("%")[0]))
        if not parsed.is_loopback and (hours := self.quiet_hours()):
            raise self.count(Quiet(what, str(hours)))
        if self._gated is None:
            self._gated = self._today, self._quiet_now
        if zone := _zone(parsed):
            plain = text.partition("%")[0]
            parsed, text = IPv6Address(plain), f"{plain}%{socket.if_indextoname(zone)}"
        return Gate(text, 4 if parsed.version == 4 else 6, ports, not parsed.is_loopback, parsed, zone)

    def ports_of(self, address: Address) -> Ranges:
        """Give the ports of an address that are in scope now, by prefix or because a domain in scope led to it."""
        day = self.today()
        ports = self.scope.ports_of(address, day)
        for domain in self._lent.get(address, ()) if ports != ALL_PORTS else ():
            ports = (*ports, *self.scope.domain_ports(domain, day))
        return ALL_PORTS if ALL_PORTS[0] in ports else ports

    def lend(self, domain: str, addresses: Iterable[Address]) -> None:
        """Let a domain in scope authorise what it resolved to, but for addresses that are not public (RFC 6890).

        Only the kit's resolver calls this. Without it anyone who controls a zone could aim probes at the campus.
        """
        for address in addresses:
            if not is_special(address) and domain not in self._lent.setdefault(address, []):
                self._lent[address].append(domain)

    def today(self) -> date:
        """Give today's date (UTC) as the scope counts it."""
        self._check_time()
        return self._today

    def quiet_hours(self) -> QuietHours | None:
        """Give the quiet hours that hold now, if any."""
        self._check_time()
        return self._quiet_now

    def time_mark(self) -> object:
        """Give something that changes when gates must be checked again (another date, quiet hours)."""
        self._check_time()
        return self._today, self._quiet_now

    def gate_mark(self) -> object:
        """Give the time mark of the first check of an address: who begins only now must look whether it still holds."""
        return self._gated or self.time_mark()

    def recheck(self, gate: Gate) -> None:
        """Check again a gate that stays in use; raises Refused when it may not reach all of its ports any more."""
        again = self.gate(gate.address)
        if again.ports != gate.ports:
            raise self.count(self.scope.refusal(gate.address, gate.address))

    def count(self, refusal: Refused) -> Refused:
        """Count a refusal and give it back to be raised."""
        self.refusals += 1
        return refusal

    def narrow(self, rate: float, connections: int, per_host: int) -> None:
        """Lower the caps for all that is sent from now on; what is wider changes nothing."""
        self.pace.narrow(rate)
        self.connections, self.per_host = min(self.connections, connections), min(self.per_host, per_host)

    def share(self, parts: int) -> tuple["Net", ...]:
        """Give Nets for so many threads, each with its part of the caps; their counts are added by `absorb`."""
        return tuple(
            Net(
                self.scope,
                pace=Pace(self.pace.rate / parts),
                per_host=max(1, self.per_host // parts),
                connections=max(1, self.connections // parts),
                quiet=self.quiet,
                clock=self._clock,
            )
            for _ in range(parts)
        )

    def absorb(self, part: "Net") -> None:
        """Take over what a part (see `share`) counted; call it once, when its thread has ended."""
        self.refusals += part.refusals
        self.sent += part.sent

    def connect(self, address: str | Address, port: int, timeout: float, *, mss: int | None = None) -> Attempt:
        """Connect to one port of one address, with no other family or address tried; waits for the pace.

        `timeout` in seconds is for the handshake, `mss` the largest segment that the other side may send (RFC 9293
        section 3.7.1). Raises Refused.
        """
        gate = self.gate(address, port)
        if self._open[gate.address] >= self.per_host:
            cap = f"{self.per_host} connections per host"
            raise self.count(Refused(f"{gate.address} port {port}", "resources", cap))
        self._pay(gate)
        started = time.monotonic()
        try:
            sock = socket.socket(gate.af, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return _failed(of_local_errno(error.errno or 0), error.errno or 0, started)
        done = False
        try:
            if mss is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
            number = known_shortage(sock.connect_ex(gate.sockaddr(port)), gate.plain, gate.zone)
            settled = Settled.OPEN if number == 0 else of_local_errno(number)
            if number == errno.EINPROGRESS:
                if not wait_connected(sock, started + timeout):
                    return _failed(Settled.TIMEOUT, errno.ETIMEDOUT, started)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                settled = of_remote_errno(number) if number else Settled.OPEN
            # A port of this machine that nobody listens on can connect to itself (simultaneous open, RFC 9293 3.5).
            if settled is Settled.OPEN and sock.getsockname() == sock.getpeername():
                settled, number = Settled.CLOSED, errno.ECONNREFUSED
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            if settled is not Settled.OPEN:
                return _failed(settled, number, started)
            seconds = time.monotonic() - started
            done = True
        finally:
            if not done:
                sock.close()
        self._open[gate.address] += 1
        connection = Connection(sock, gate.address, port, seconds, lambda: self._closed(gate.address))
        return Attempt(Settled.OPEN, "", seconds, connection)

    def datagrams(self, address: str | Address, port: int) -> Datagrams:
        """Make a UDP socket for one port of one address; raises Refused, or OSError when there is no way to it."""
        gate = self.gate(address, port)
        sock = socket.socket(gate.af, socket.SOCK_DGRAM)
        try:
            sock.connect(gate.sockaddr(port))
        except OSError:
            sock.close()
            raise
        return Datagrams(sock, gate.address, port, lambda: self._pay(self.gate(address, port)))

    def icmp(self, address: str | Address, port: int | None = None) -> IcmpLine:
        """Make a socket whose packets show which ICMPv6 errors come back: UDP to a port, or echo without one.

        Raises Refused (a printer's port gets no payload of any kind), PermissionError when users may not send echo
        requests here, or OSError when there is no way.
        """
        gate = self.gate(address, port)
        if port in PRINTER_PORTS:
            raise self.count(PayloadRefused(f"{gate.address} port {port}"))
        if port is None:
            sock = socket.socket(gate.af, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
        else:
            sock = socket.socket(gate.af, socket.SOCK_DGRAM)
        try:
            sock.connect(gate.sockaddr(port or 0))
            return IcmpLine(sock, gate.plain, port, lambda: self._pay(self.gate(address, port)))
        except OSError:
            sock.close()
            raise

    def pay(self) -> None:
        """Wait for the pace and count a packet; for those parts of the sending layer that have sockets of their own."""
        while wait := self.pace.wait():
            time.sleep(wait)
        self.pace.spend(1)
        self.sent += 1

    def _pay(self, gate: Gate) -> None:
        if gate.paced:
            self.pay()
        else:
            self.sent += 1

    def _closed(self, address: str) -> None:
        self._open[address] -= 1

    def _check_time(self) -> None:
        now = time.monotonic()
        if now - self._time_checked < _TIME_CHECK_SECONDS:
            return
        self._time_checked = now
        moment = datetime.fromtimestamp(self._clock(), UTC)
        self._today = moment.date()
        local = moment.astimezone()
        self._quiet_now = next((hours for hours in self.quiet if local in hours), None)


def _zone(address: Address) -> int:
    if not isinstance(address, IPv6Address) or address.scope_id is None:
        return 0
    try:
        index = int(address.scope_id) if address.scope_id.isdigit() else socket.if_nametoindex(address.scope_id)
        socket.if_indextoname(index)
        return index
    except (OSError, OverflowError):
        raise Refused(str(address), "unreachable", "") from None


def _failed(settled: Settled, number: int, started: float) -> Attempt:
    return Attempt(settled, os.strerror(number), time.monotonic() - started)
