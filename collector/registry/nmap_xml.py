"""Reads the elements of nmap's XML (`-oX`), line by line and within bounds, into a plain picture of the run."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from xml.sax.handler import ContentHandler

from collector.registry.sheets import Problems
from probes.kit.scope import Address
from wire.ports import MAX_SPEC, merge_ranges, parse_ports
from wire.text import Text
from wire.types import Outcome, Skipped, Transport, Value

MAX_HOSTS = 65_536
MAX_TEXT = 1000
SETTLED = {"open": Outcome.OPEN, "closed": Outcome.CLOSED, "filtered": Outcome.FILTERED}
_MAX_DEPTH = 16
_MAX_TIME = 253402300799.0


@dataclass(slots=True)
class Host:
    """A host as the file tells of it; `rest` is the state and ports of extraports, `untold` where nobody can tell."""

    up: bool = False
    timed_out: bool = False
    address: Address | None = None
    mac: str = ""
    name: str = ""
    ports: dict[tuple[Transport, int], tuple[str, dict[str, Value]]] = field(default_factory=dict)
    rest: dict[Transport, str] = field(default_factory=dict)
    untold: set[Transport] = field(default_factory=set)


@dataclass(slots=True)
class Run:
    """A run as the file tells of it; `asked` are the ports of scaninfo."""

    args: str = ""
    start: float | None = None
    finished: float | None = None
    failed: str = ""
    asked: dict[Transport, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)


class Reader(ContentHandler):
    """Takes what it knows, passes over the rest, and notes faults with their line."""

    def __init__(self, problems: Problems) -> None:
        """Start with nothing."""
        super().__init__()
        self.run = Run()
        self._problems = problems
        self._locator: Any = None
        self._depth = 0
        self._host: Host | None = None
        self._port: tuple[Transport, int] | None = None
        self._facts: dict[str, Value] = {}
        self._state = ""
        self._cpe: list[str] | None = None
        self._rest = ""

    def setDocumentLocator(self, locator: Any) -> None:  # noqa: N802 (the handler's own name)
        """Take what knows the line."""
        self._locator = locator

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802
        """Take the beginning of an element; raises ValueError for what is no scan of nmap's."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        if self._depth == 1 and (name != "nmaprun" or attrs.get("scanner", "nmap") != "nmap"):
            raise ValueError('the outermost element must be <nmaprun scanner="nmap">')
        start = getattr(self, f"_start_{name}", None)
        if start is not None:
            start(attrs)

    def endElement(self, name: str) -> None:  # noqa: N802
        """Take the end of an element."""
        self._depth -= 1
        end = getattr(self, f"_end_{name}", None)
        if end is not None:
            end()

    def characters(self, content: str) -> None:
        """Take text: only names of products have any."""
        if self._cpe is not None and sum(map(len, self._cpe)) < MAX_TEXT:
            self._cpe.append(content)

    def _start_nmaprun(self, attrs: Any) -> None:
        self.run.args = attrs.get("args", "")[:8192]
        self.run.start = self._time("start", attrs.get("start"))

    def _start_scaninfo(self, attrs: Any) -> None:
        transport = self._transport(attrs.get("protocol"))
        if transport is None:
            self.run.skipped.append(Skipped(f"{attrs.get('protocol', '')[:64]} ports", "too_large: tcp, udp"))
            return
        try:
            parse_ports_long(attrs.get("services", ""))
        except ValueError as error:
            self._fault("scaninfo.services", str(error)[:200])
            return
        self.run.asked[transport] = attrs.get("services", "")

    def _start_host(self, attrs: Any) -> None:
        if len(self.run.hosts) >= MAX_HOSTS:
            raise ValueError(f"more than {MAX_HOSTS} hosts; split the scan")
        self._host = Host(timed_out=attrs.get("timedout") == "true")
        self.run.hosts.append(self._host)

    def _end_host(self) -> None:
        if self._host is not None and self._host.up and self._host.address is None:
            self._fault("address", "a host that is up has no address")
        self._host = None

    def _start_status(self, attrs: Any) -> None:
        if self._host is not None:
            self._host.up = attrs.get("state") == "up"

    def _start_address(self, attrs: Any) -> None:
        if self._host is None:
            return
        text = attrs.get("addr", "")
        if attrs.get("addrtype", "ipv4") == "mac":
            self._host.mac = text[:64]
            return
        try:
            self._host.address = ip_address(text)
        except ValueError:
            self._fault("address", f"{text[:64]!r} is no address")

    def _start_hostname(self, attrs: Any) -> None:
        if self._host is not None and not self._host.name:
            self._host.name = attrs.get("name", "")[:255]

    def _start_extraports(self, attrs: Any) -> None:
        self._rest = attrs.get("state", "")

    def _start_extrareasons(self, attrs: Any) -> None:
        transport = self._transport(attrs.get("proto"))
        if self._host is None or transport is None:
            return
        if self._rest not in SETTLED:
            self._host.untold.add(transport)
            return
        text = attrs.get("ports", "")
        try:
            if text and len(text) <= MAX_SPEC and parse_ports(text):
                self._host.rest[transport] = f"{self._rest}:{text}"
        except ValueError as error:
            self._fault("extrareasons.ports", str(error)[:200])

    def _end_extraports(self) -> None:
        self._rest = ""

    def _start_port(self, attrs: Any) -> None:
        transport, number = self._transport(attrs.get("protocol")), attrs.get("portid", "")
        self._port, self._facts, self._state = None, {}, ""
        if transport is None:
            return
        if not (number.isascii() and number.isdigit() and len(number) <= 5 and int(number) <= 65535):
            self._fault("port.portid", f"{number[:64]!r} is no port")
            return
        self._port = (transport, int(number))

    def _start_state(self, attrs: Any) -> None:
        self._state = attrs.get("state", "")

    def _start_service(self, attrs: Any) -> None:
        named = {
            "service": "name",
            "product": "product",
            "version": "version",
            "system": "ostype",
            "device": "devicetype",
        }
        # A name out of a table of port numbers is no observation.
        if attrs.get("method") != "probed":
            return
        self._facts = {ours: attrs.get(theirs)[:MAX_TEXT] for ours, theirs in named.items() if attrs.get(theirs)}
        number = attrs.get("conf", "")
        if number.isascii() and number.isdigit() and int(number[:2]) <= 10:
            self._facts["confidence"] = int(number[:2]) / 10

    def _start_cpe(self, _attrs: Any) -> None:
        if self._port is not None and "cpe" not in self._facts:
            self._cpe = []

    def _end_cpe(self) -> None:
        if self._cpe is not None and (text := "".join(self._cpe).strip()[:MAX_TEXT]):
            self._facts["cpe"] = text
        self._cpe = None

    def _end_port(self) -> None:
        if self._host is not None and self._port is not None:
            self._host.ports[self._port] = (self._state, self._facts)
        self._port = None

    def _start_finished(self, attrs: Any) -> None:
        self.run.finished = self._time("finished.time", attrs.get("time"))
        if attrs.get("exit") == "error":
            self.run.failed = f"crashed: {attrs.get('errormsg', '')}"[:MAX_TEXT]

    def _transport(self, word: str | None) -> Transport | None:
        return Transport(word) if word in ("tcp", "udp") else None

    def _time(self, place: str, text: str | None) -> float | None:
        try:
            found = float(text or "")
            if not 0 <= found <= _MAX_TIME:
                raise ValueError
        except ValueError:
            self._fault(place, f"{(text or '')[:64]!r} is no time in seconds since 1970")
            return None
        return found

    def _fault(self, place: str, what: str) -> None:
        line = (self._locator.getLineNumber() if self._locator else 0) or 0
        self._problems.add(line, place, Text(what, what))


def parse_ports_long(text: str) -> tuple[tuple[int, int], ...]:
    """Read a port set that may be longer than what the wire allows; raises ValueError."""
    parts = text.split(",")
    pieces = (",".join(parts[place : place + 300]) for place in range(0, len(parts), 300))
    return merge_ranges(pair for piece in pieces for pair in parse_ports(piece))
