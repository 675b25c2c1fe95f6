"""Reads the elements of nmap's XML (`-oX`), line by line and within bounds, into a plain picture of the run."""

from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from xml.sax.handler import ContentHandler

from collector.sheets.reading import Problems
from probes.kit.evidence import normal_mac
from probes.kit.scope.addresses import Address
from wire.ports import MAX_SPEC, merge_ranges, parse_ports
from wire.text import Text, TextError, text_of
from wire.types import Outcome, Skipped, Transport, Value

MAX_HOSTS = 65_536
MAX_PORTS = 1 << 18
"""Single ports of all hosts together; each costs ten times what it takes in the file. Like ones are extraports."""
MAX_TEXT = 1000
SETTLED = {"open": Outcome.OPEN, "closed": Outcome.CLOSED, "filtered": Outcome.FILTERED}
_MAX_DEPTH = 16
_MAX_NAME = 57
"""Of a script or a detail; with what is put before it a name of a value has 64 characters at most."""
_MAX_SCRIPTS, _MAX_SCRIPT = 16, 500
_OWN_SCRIPT, _MAX_OWN = "edusec", 48
_MAX_TIME = 253402300799.0


@dataclass(slots=True)
class Host:
    """A host as the file tells of it; `rest` are ports of extraports by state, `untold` where nobody can tell."""

    up: bool = False
    timed_out: bool = False
    address: Address | None = None
    mac: str = ""
    name: str = ""
    system: str = ""
    system_accuracy: int = 0
    ports: dict[tuple[Transport, int], tuple[str, dict[str, Value]]] = field(default_factory=dict)
    rest: dict[tuple[Transport, str], list[str]] = field(default_factory=lambda: defaultdict(list))
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
        self._ports = 0
        self._facts: dict[str, Value] = {}
        self._scripts: dict[str, Value] = {}
        self._own = False
        self._key: str | None = None
        self._state = ""
        self._cpe: list[str] | None = None
        self._text: list[str] = []
        self._rest = ""

    def setDocumentLocator(self, locator: Any) -> None:  # noqa: N802 (the handler's own name)
        """Take what knows the line."""
        self._locator = locator

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802
        """Take the beginning of an element; raises ValueError for what is no scan of nmap's."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise TextError(f"嵌套超过 {_MAX_DEPTH} 层", f"nested more than {_MAX_DEPTH} deep")
        if self._depth == 1 and (name != "nmaprun" or attrs.get("scanner", "nmap") != "nmap"):
            raise TextError(
                '最外层元素须为 <nmaprun scanner="nmap">', 'the outermost element must be <nmaprun scanner="nmap">'
            )
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
        """Take text: only names of products and our own details have any."""
        held = self._cpe if self._cpe is not None else self._text if self._key is not None else None
        if held is not None and sum(map(len, held)) < MAX_TEXT:
            held.append(content)

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
            self._fault("scaninfo.services", text_of(error))
            return
        self.run.asked[transport] = attrs.get("services", "")

    def _start_host(self, attrs: Any) -> None:
        if len(self.run.hosts) >= MAX_HOSTS:
            raise TextError(f"超过 {MAX_HOSTS} 个主机，请拆分", f"more than {MAX_HOSTS} hosts; split the scan")
        self._host = Host(timed_out=attrs.get("timedout") == "true")
        self.run.hosts.append(self._host)

    def _end_host(self) -> None:
        if self._host is not None and self._host.up and self._host.address is None:
            self._fault("address", Text("在线的主机没有地址", "a host that is up has no address"))
        self._host = None

    def _start_status(self, attrs: Any) -> None:
        if self._host is not None:
            self._host.up = attrs.get("state") == "up"

    def _start_address(self, attrs: Any) -> None:
        if self._host is None:
            return
        text = attrs.get("addr", "")
        if attrs.get("addrtype", "ipv4") == "mac":
            self._host.mac = _mac(text)
            return
        try:
            self._host.address = ip_address(text)
        except ValueError:
            self._fault("address", Text(f"{text[:64]!r} 不是 IP 地址", f"{text[:64]!r} is no IP address"))

    def _start_hostname(self, attrs: Any) -> None:
        if self._host is not None and not self._host.name:
            self._host.name = attrs.get("name", "")[:255]

    def _start_osmatch(self, attrs: Any) -> None:
        accuracy = _percent(attrs.get("accuracy", ""))
        if self._host is not None and accuracy > self._host.system_accuracy:
            self._host.system, self._host.system_accuracy = attrs.get("name", "")[:MAX_TEXT], accuracy

    def _start_extraports(self, attrs: Any) -> None:
        self._rest = attrs.get("state", "")

    def _start_extrareasons(self, attrs: Any) -> None:
        transport = self._transport(attrs.get("proto"))
        if self._host is None or transport is None:
            return
        if self._rest not in SETTLED:
            self._host.untold.add(transport)
        text = attrs.get("ports", "")
        try:
            if text and len(text) <= MAX_SPEC and parse_ports(text):
                self._host.rest[transport, self._rest].append(text)
        except ValueError as error:
            self._fault("extrareasons.ports", text_of(error))

    def _end_extraports(self) -> None:
        self._rest = ""

    def _start_port(self, attrs: Any) -> None:
        transport, number = self._transport(attrs.get("protocol")), attrs.get("portid", "")
        self._port, self._facts, self._scripts, self._state = None, {}, {}, ""
        if transport is None:
            return
        if not (number.isascii() and number.isdigit() and len(number) <= 5 and int(number) <= 65535):
            self._fault(
                "port.portid",
                Text(f"{number[:64]!r} 不是端口（0-65535）", f"{number[:64]!r} is no port (0-65535)"),
            )
            return
        self._ports += 1
        if self._ports > MAX_PORTS:
            raise TextError(
                f"单独列出的端口超过 {MAX_PORTS} 个，请拆分", f"more than {MAX_PORTS} single ports; split the scan"
            )
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
            "extra": "extrainfo",
            "tunnel": "tunnel",
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
            self._host.ports[self._port] = (self._state, {**self._scripts, **self._facts})
        self._port = None

    def _start_script(self, attrs: Any) -> None:
        """Take what a script said of a port; one of our own files has all details of a service in elements of one."""
        name = attrs.get("id", "")[:_MAX_NAME]
        self._own = name == _OWN_SCRIPT
        if self._port is not None and not self._own and name and len(self._scripts) < _MAX_SCRIPTS:
            self._scripts[f"script.{name}"] = attrs.get("output", "").strip()[:_MAX_SCRIPT]

    def _end_script(self) -> None:
        self._own = False

    def _start_elem(self, attrs: Any) -> None:
        key = attrs.get("key", "")
        if self._own and self._port is not None and 0 < len(key) <= _MAX_NAME and len(self._scripts) < _MAX_OWN:
            self._key, self._text = key, []

    def _end_elem(self) -> None:
        if self._key is not None:
            self._scripts[self._key] = "".join(self._text)[:MAX_TEXT]
        self._key = None

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
            shown = repr((text or "")[:64])
            self._fault(
                place, Text(f"{shown} 不是时间（自 1970 年起的秒数）", f"{shown} is no time in seconds since 1970")
            )
            return None
        return found

    @property
    def line(self) -> int:
        """Which line is read just now; 0 before the first."""
        return (self._locator.getLineNumber() if self._locator else 0) or 0

    def _fault(self, place: str, what: Text) -> None:
        self._problems.add(self.line, place, what)


def _mac(text: str) -> str:
    try:
        return normal_mac(bytes.fromhex(text[:_MAX_NAME].replace(":", "")))
    except ValueError:
        return ""


def _percent(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 100 else 0


def parse_ports_long(text: str) -> tuple[tuple[int, int], ...]:
    """Read a port set that may be longer than what the wire allows; raises ValueError."""
    parts = text.split(",")
    pieces = (",".join(parts[place : place + 300]) for place in range(0, len(parts), 300))
    return merge_ranges(pair for piece in pieces for pair in parse_ports(piece))
