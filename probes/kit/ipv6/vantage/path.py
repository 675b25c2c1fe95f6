"""What the path does for a vantage point with IPv6: handshakes of both families, races, large pages, ICMPv6 errors."""

import fcntl
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from probes.kit.errors import Refused
from probes.kit.exchange.web import Stage, Url
from probes.kit.ipv6.names import Names
from probes.kit.ipv6.site.fetch import Page, Wish, fetch
from probes.kit.ipv6.vantage.gate import Endpoint
from probes.kit.ipv6.vantage.judge import Errors, Large, Line, Race
from probes.kit.machine.neighbours import route_to
from probes.kit.scope.addresses import Address
from probes.kit.sending.crew import work
from probes.kit.sending.icmp import (
    ECHO_REPLY,
    PACKET_TOO_BIG,
    PARAMETER_PROBLEM,
    TIME_EXCEEDED,
    UNKNOWN_OPTION,
    IcmpLine,
)
from probes.kit.sending.net import Net
from wire.types import Outcome

MAX_HOPS = 12
MAX_TARGETS = 3
_TRIES = 2
_SIOCGIFMTU = 0x8921
_RESOLUTION = 0.05
"""How long a browser waits for AAAA once it has A (RFC 8305 section 3)."""


@dataclass(frozen=True, slots=True)
class Site:
    """One site with an address of each family."""

    url: Url
    four: Address
    six: Address


def dual(names: Names, urls: Sequence[Url]) -> tuple[Site, ...]:
    """Keep the sites that have a usable address of each family. Raises Refused when no resolver is in scope."""
    found = []
    for url in urls:
        four, six = names.ask(url.host, "A").addresses, names.usable(url.host)
        if four and six:
            found.append(Site(url, four[0], six[0]))
    return tuple(found)


def handshakes(net: Net, site: Site, tries: int, timeout: float, deadline: float) -> tuple[Line, Line]:
    """Connect to one site over each family in turns, so that what grows or ebbs meanwhile favours neither."""
    seconds: dict[int, list[float]] = {4: [], 6: []}
    lost = {4: 0, 6: 0}
    for number in range(tries):
        pair = (site.four, site.six) if number % 2 else (site.six, site.four)
        for address in pair:
            if time.monotonic() + timeout > deadline:
                break
            attempt = net.connect(address, site.url.port, timeout)
            if attempt.connection is not None:
                attempt.connection.reset()
            if attempt.outcome in (Outcome.OPEN, Outcome.CLOSED):
                seconds[address.version].append(attempt.seconds)
            else:
                lost[address.version] += 1
    return Line(tuple(seconds[4]), lost[4]), Line(tuple(seconds[6]), lost[6])


def run_race(net: Net, names: Names, url: Url, delay: float, timeout: float) -> Race:
    """Race the families as a browser does (RFC 8305): IPv6 first, IPv4 `delay` seconds later or when IPv6 failed.

    A failure of either is told, whoever won. Raises Refused.
    """
    started = time.monotonic()
    resolved, settled = threading.Event(), threading.Event()
    # Both are asked at once by a browser; here the look-ups were made before, and their times count all the same.
    dns = {6: names.seconds(url.host, "AAAA"), 4: names.seconds(url.host, "A")}
    started = time.monotonic()

    def run(part: Net, family: int) -> tuple[int, float | None]:
        address = (names.usable(url.host) if family == 6 else names.ask(url.host, "A").addresses)[0]
        if family == 6:
            time.sleep(min(dns[6], timeout))
            resolved.set()
        else:
            time.sleep(min(dns[4], timeout))
            if resolved.wait(_RESOLUTION):
                settled.wait(delay)
        try:
            attempt = part.connect(address, url.port, timeout)
        finally:
            if family == 6:
                settled.set()
        if attempt.connection is None:
            return family, None
        attempt.connection.reset()
        return family, time.monotonic() - started

    found = dict(work(net, (6, 4), 2, lambda part: lambda family: run(part, family)))
    return Race(url.host, found.get(6), found.get(4))


def large_page(net: Net, url: Url, address: Address, wish: Wish, mss: int) -> Large:
    """Fetch a large page over IPv6; after a stall once more with small segments, and large again to be sure."""
    try:
        page = _whole(net, url, address, wish)
        if not page.stalled:
            return Large(f"{page.told}: {page.received} bytes", page.received, stalled=False)
        retry = _whole(net, url, address, replace(wish, mss=mss))
        if retry.stage is Stage.DONE and retry.complete and _whole(net, url, address, wish).stalled:
            told = f"stalled after {page.received} bytes, came with MSS {mss}: {retry.received} bytes"
            return Large(f"{page.told}; {told}", retry.received, stalled=True, mended=True)
        return Large(f"{page.told}; with MSS {mss}: {retry.told}", page.received, stalled=True)
    except Refused as refusal:
        return Large(str(refusal)[:200], 0, stalled=False, refused=True)


def _whole(net: Net, url: Url, address: Address, wish: Wish) -> Page:
    return fetch(net, url, address, wish)


def come_back(net: Net, endpoint: Endpoint, timeout: float) -> Errors:
    """Send echo requests and datagrams that must be answered by errors, and see which answers come. Raises Refused."""
    target = str(endpoint.address)
    big, hops = "", tuple[bool, ...]()
    try:
        with net.icmp(endpoint.address) as line:
            if _echo(line, 64, timeout):
                big = _full_size(line, _mtu(endpoint.address), timeout)
                hops = _between(line, timeout)
    except OSError:  # users may not send echo requests here, or there is no way
        pass
    return Errors(target, big, hops, _problem(net, endpoint, timeout))


def _echo(line: IcmpLine, size: int, timeout: float, hops: int | None = None) -> int | None:
    """Send up to two echo requests; gives the type of what came back, None for silence."""
    for _ in range(_TRIES):
        try:
            line.send(size, hops=hops)
        except OSError:
            return None
        found = line.receive(time.monotonic() + timeout)
        if found is not None:
            return int(found.type)
    return None


def _full_size(line: IcmpLine, mtu: int, timeout: float) -> str:
    found = _echo(line, mtu, timeout)
    return {ECHO_REPLY: "fits", PACKET_TOO_BIG: "told", None: "lost"}.get(found, "")


def _between(line: IcmpLine, timeout: float) -> tuple[bool, ...]:
    found: list[bool] = []
    for hops in range(1, MAX_HOPS + 1):
        answer = _echo(line, 64, timeout, hops)
        if answer == ECHO_REPLY:
            return tuple(found)
        found.append(answer == TIME_EXCEEDED)
        if len(found) >= 5 and not any(found[-4:]):
            break
    return tuple(found)


def _problem(net: Net, endpoint: Endpoint, timeout: float) -> bool | None:
    """Send a destination option that nobody knows; None without the right to (CAP_NET_RAW) or a way."""
    try:
        with net.icmp(endpoint.address, endpoint.port) as line:
            for _ in range(_TRIES):
                line.send(options=UNKNOWN_OPTION)
                found = line.receive(time.monotonic() + timeout)
                if found is not None:
                    return True if found.type == PARAMETER_PROBLEM else None
    except OSError:
        return None
    return False


def _mtu(address: IPv6Address) -> int:
    """Give the size of the largest packet that the interface to an address takes (netdevice(7))."""
    route = route_to(address)
    if route is None:
        return 1280
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        asked = struct.pack("16si12x", route.interface.encode()[:15], 0)
        return max(1280, min(9000, int(struct.unpack_from("i", fcntl.ioctl(sock, _SIOCGIFMTU, asked), 16)[0])))
