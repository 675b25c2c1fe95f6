"""What devices say of themselves where SSDP and WS-Discovery announce it: each page asked for once, over plain HTTP.

A page's place comes from a datagram that anybody may have sent in another's name. So none is asked but the very
sender, by its address, at port 80 or one from 1024 on that is in scope and no printer's; no redirect is followed, and a
query is only sent in the one form that Windows announces. Number, size and time of all that is asked are bounded.
"""

import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from probes.kit.discovery import ssdp, wsd
from probes.kit.discovery.told import Told
from probes.kit.errors import Refused
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from probes.kit.services.protocols import http
from probes.kit.services.talk import Heard, Receive, Send, Start, Talk
from wire.ports import contains, parse_ports

MOST = 1024
MOST_OF_ONE = 4
MOST_SECONDS = 12.0
"""For all pages together; each has ANSWER_SECONDS from its request on."""
ANSWER_SECONDS = 3.0
PORTS = "80,1024-9099,9108-65535"
"""Where a page may be: not at the ports of other services, and not at printers' (PRINTER_PORTS)."""
_ALLOWED = parse_ports(PORTS)
_AT_ONCE = 64
_MOST_PATH = 256
_URL = re.compile(
    r"http://(\[[0-9a-f:.]+(?:%[\w.-]+)?\]|[0-9.]+)(?::([0-9]{1,5}))?"
    r"((?:/[\w~:@+,=-][\w.~:@+,=-]*)*/?(?:\?content=uuid:[0-9a-f-]{36})?)",
    re.ASCII | re.IGNORECASE,
)
_OK = re.compile(rb"HTTP/1\.[01] 200\b")
_SOAP = "application/soap+xml; charset=utf-8"
_READERS = {ssdp.METHOD: ssdp.read_description, wsd.METHOD: wsd.read_metadata}


@dataclass(frozen=True, slots=True)
class Page:
    """Where a device's description is; `method` announced it, and `endpoint` is whom WS-Discovery's is about."""

    address: Address
    port: int
    path: str
    method: str
    endpoint: str = ""


class Announced:
    """The pages that were announced in a run and may be asked for, a few of each sender and MOST in all."""

    def __init__(self, net: Net) -> None:
        """Start with none; `net` tells which ports are in scope."""
        self.pages: dict[Page, None] = {}
        self._net = net
        self._of: Counter[Address] = Counter()

    def note(self, sender: Address, told: Told) -> None:
        """Keep the pages that an answer leads to."""
        for page in pages_of(sender, told):
            in_scope = contains(self._net.ports_of(sender), page.port)
            if in_scope and page not in self.pages and self._of[sender] < MOST_OF_ONE and len(self.pages) < MOST:
                self._of[sender] += 1
                self.pages[page] = None


def pages_of(sender: Address, told: Told) -> Iterator[Page]:
    """Give the pages that an answer announces at its sender's own address."""
    endpoint = wsd.endpoint_of(told) if told.method == wsd.METHOD else ""
    if told.method not in _READERS or (told.method == wsd.METHOD and not endpoint):
        return
    for location in told.locations[:MOST_OF_ONE]:
        found = _URL.fullmatch(location)
        if found is None or len(found[3]) > _MOST_PATH or not _is(sender, found[1].strip("[]")):
            continue
        port = int(found[2] or 80)
        if contains(_ALLOWED, port):
            yield Page(sender, port, found[3] or "/", told.method, endpoint)


def fetch(net: Net, pages: Collection[Page], deadline: float) -> Iterator[tuple[Address, Told] | Refused | None]:
    """Ask for pages; for each give its address and what it says, what the sending layer refused, or None."""
    if not pages:
        return
    # Imported on use: where nothing is announced, the parsers of all services and TLS are not loaded.
    from probes.kit.services.drive import Drive

    waiting: defaultdict[tuple[str, int], deque[Page]] = defaultdict(deque)
    for page in pages:
        waiting[str(page.address), page.port].append(page)

    def starts(address: str, port: int) -> Iterable[Start]:
        return (partial(_talk, waiting[address, port].popleft()),)

    pairs = [(str(page.address), page.port) for page in pages]
    drive = Drive(net, connections=_AT_ONCE, seconds=ANSWER_SECONDS, starts=starts)
    for result in drive.run(pairs, min(deadline, time.monotonic() + MOST_SECONDS)):
        told = None
        if result.heard is not None:
            [(method, text)] = result.heard.answers
            told = _READERS[method](text.encode("latin-1"))
        yield result.refused or (None if told is None else (ip_address(result.address), told))


def _is(sender: Address, host: str) -> bool:
    try:
        return int(ip_address(host)) == int(sender) and ip_address(host).version == sender.version
    except ValueError:
        return False


def _talk(page: Page, host: str, port: int) -> Talk:
    """Ask for the page; what it holds comes as Latin-1, whose characters are its bytes."""
    body = wsd.get(page.endpoint) if page.method == wsd.METHOD else b""
    yield Send(http.request(host.partition("%")[0], port, "http", page.path, body=body, kind=_SOAP))
    raw = yield Receive(http.complete, seconds=ANSWER_SECONDS)
    if not _OK.match(raw):
        return None
    return Heard("http", answers=((page.method, http.body(raw).decode("latin-1")),))
