"""Where Prometheus is sent to: an agent says where its metrics are, and one that was taken over may say anything.

Prometheus stands in the data centre. So an address counts by itself only if it leads back to the agent's own side: the
address that its report came from, or one of its unit's registered networks (or of those that the configuration names),
at a port for metrics and at /metrics. Names lead wherever their owner wants; like all else they need a person's word.
"""

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from collector.answers import views
from collector.core import Core
from collector.errors import BadInput
from collector.memory.directory import AgentRecord, require
from collector.memory.people import Person, Role
from collector.memory.registered import Kind
from collector.store import audit
from collector.store.contract import Turn
from wire.ports import contains, parse_ports
from wire.text import Text

STATES = ("none", "local", "listed", "approved", "refused")
"""No address is told; one that only the gateway itself reaches; one by the rule; one by a person's word; neither."""
MAX_URL = 256
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)


class Place(NamedTuple):
    """Where metrics are; `host` has no brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> str:
        """Write host and port as Prometheus takes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Verdict(NamedTuple):
    """What becomes of an agent's address: one of STATES, the place if Prometheus is told it, else why not."""

    state: str
    place: Place | None = None
    reason: Text | None = None


def place_of(url: str) -> Place | None:
    """Take a URL apart that an agent sent: a stranger's words must not become other labels, users or queries."""
    if not url.isascii() or not url.isprintable() or len(url) > MAX_URL:  # urlsplit would drop line ends without a word
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    path = parts.path or "/metrics"
    plain = parts.scheme in ("http", "https") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if not plain or port == 0 or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        return None
    bare = host.strip("[]")
    if (address := _address(bare)) is not None:
        bare = str(address)
    elif host.startswith("["):
        return None
    return Place(parts.scheme, bare.lower(), port or (443 if parts.scheme == "https" else 80), path)


def verdict(core: Core, record: AgentRecord) -> Verdict:
    """Judge where an agent says that its metrics are; from memory."""
    state = core.sections.agents().get(record.identity.id)
    if state is None or not state.metrics_url:
        return Verdict("none")
    place = place_of(state.metrics_url)
    if place is None:
        return _refused("不是可抓取的 http(s) 地址", "it is no http(s) address that can be scraped")
    if record.scrape and place == place_of(record.scrape):
        return Verdict("approved", place)
    address, source = _address(place.host), _address(state.source)
    rule = core.settings.scraping
    if address is None:
        local = place.host == "localhost"
        return Verdict("local") if local else _refused("主机名可以指向任何地方", "a name can lead anywhere")
    own = rule.source and address == source
    if address.is_loopback and not own:
        return Verdict("local")
    if place.path != "/metrics":
        return _refused("路径须为 /metrics", "the path must be /metrics")
    if not contains(parse_ports(rule.ports), place.port):
        return _refused(f"端口 {place.port} 不在 {rule.ports} 中", f"port {place.port} is none of {rule.ports}")
    if not own and not _registered(core, record.identity.unit, address):
        came = state.source or "?"
        return _refused(
            f"既不是上报来源地址 {came}，也不在该单位登记的网段内",
            f"it is neither where the report came from, {came}, nor in a network registered for the unit",
        )
    return Verdict("listed", place)


def scrape_targets(core: Core) -> list[views.ScrapeTarget]:
    """Give the agents that Prometheus may scrape, with the labels that only the collector knows; by id."""
    found = []
    for ident, record in sorted(core.directory.agents.items()):
        place = verdict(core, record).place if record.revoked is None else None
        if place is None:
            continue
        node = core.directory.units[record.identity.unit]
        county = core.directory.units[node.county]
        found.append(
            views.ScrapeTarget(
                scheme=place.scheme,
                address=place.address,
                path=place.path,
                agent=ident,
                unit=node.code,
                unit_name=node.name,
                county=county.code,
                county_name=county.name,
            )
        )
    return found


def approve(core: Core, person: Person, agent_id: str, url: str) -> None:
    """Let Prometheus be sent to this very address of an agent, or ("") withdraw that; raises NotFound, BadInput."""
    require(person, Role.OPERATOR)
    record = core.directory.held(person, agent_id)
    if url and place_of(url) is None:
        raise BadInput(
            Text(
                "url：须为 http(s) 地址，如 http://192.0.2.7:9917/metrics",
                "url: must be an http(s) address such as http://192.0.2.7:9917/metrics",
            )
        )
    now = core.clock()

    def work(turn: Turn) -> None:
        turn.run("UPDATE agent SET scrape = ? WHERE id = ?", (url, agent_id))
        audit.record(turn, now, person.name, "agent.metrics", agent_id, {"unit": record.identity.unit, "url": url})
        turn.after_commit(lambda: core.directory.put_agent(replace(core.directory.agents[agent_id], scrape=url)))

    core.store.write(work)


def _registered(core: Core, unit: str, address: IPv4Address | IPv6Address) -> bool:
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    own = (entry.key for entry in core.register.own(unit) if entry.kind is Kind.NETWORK)
    return any(address in ip_network(prefix) for prefix in (*own, *core.settings.scraping.networks))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address in whatever form it comes; an IPv4 address within IPv6 is that IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _refused(zh: str, en: str) -> Verdict:
    return Verdict("refused", None, Text(zh, en))
