"""What the gateway knows of the devices around it, and what it offers itself, held against the whitelist handed down.

Nothing is sent. A device that the table lacks may be there all the same, so nothing is covered: unknown, not absent.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import ip_network

from probes.kit.contract import CannotRun, Context, Probe, Yield
from probes.kit.machine import proc
from probes.kit.machine.neighbours import LIVE, Neighbour, State, neighbours
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address, Network
from wire.text import Text
from wire.types import (
    EntryKind,
    Observation,
    Outcome,
    SectionKind,
    Skipped,
    Target,
    TargetKind,
    Transport,
    Value,
    WhitelistEntry,
)
from wire.whitelist import Standing, match_host, match_service, normal_mac

_NAME = "asset_whitelist"
_MAX_OBSERVATIONS = 45_000


@dataclass(frozen=True, slots=True)
class Options:
    """What counts as being there."""

    max_age: float = option(
        1800.0,
        zh="邻居最近一次确认在线的最长时间，更早的不报告",
        en="how long ago a neighbour may last have proved to be there",
        unit="s",
        minimum=1,
        maximum=604_800,
    )
    services: bool = option(
        True, zh="同时报告本机对外监听的端口", en="report the ports that this machine offers to others too"
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Give one line per neighbour that proved to be there lately, and one per port of this machine open to others."""
    today = datetime.now(UTC).date()
    try:
        table = neighbours()
    except OSError as error:
        raise CannotRun(because("no_neighbours", error.strerror or str(error))) from None
    found = [item for item in table if _is_there(item, options.max_age)]
    hosts = ListedHosts(context.policy.whitelist)
    now = time.time()
    for item in sorted(found, key=lambda item: (item.address.version, int(item.address), item.interface))[
        :_MAX_OBSERVATIONS
    ]:
        yield Observation(_NAME, "neighbour_table", _host(item), Outcome.SEEN, now, _about(item, hosts, today))
    if len(found) > _MAX_OBSERVATIONS:
        yield Skipped("neighbours", because("too_large", f"only the first {_MAX_OBSERVATIONS} are reported"))
    if options.services:
        try:
            yield from _services(context.policy.whitelist, today, now)
        except OSError as error:
            yield Skipped("listening ports", because("no_accounting", error.strerror or str(error)))


def _is_there(item: Neighbour, max_age: float) -> bool:
    if item.state not in LIVE or not item.mac or item.address.is_multicast or item.address.is_loopback:
        return False
    # The kernel keeps stale lines for as long as the table is small, which may be days after a device has left.
    return item.state is not State.PERMANENT and (item.confirmed is None or item.confirmed <= max_age)


def _host(item: Neighbour) -> Target:
    zone = f"%{item.interface}" if item.address.is_link_local and item.address.version == 6 else ""
    return Target(TargetKind.HOST, f"{item.address}{zone}")


def _about(item: Neighbour, hosts: "ListedHosts", today: date) -> dict[str, Value]:
    mac = normal_mac(item.mac)
    return {
        "mac": mac,
        "local_mac": bool(int(mac[:2], 16) & 0x02),
        "interface": item.interface,
        "standing": hosts.standing(item.address, mac, today).value,
    }


class ListedHosts:
    """The HOST entries of a whitelist, so laid out that thousands of them and thousands of neighbours meet quickly."""

    def __init__(self, entries: Iterable[WhitelistEntry]) -> None:
        self._exact: dict[str, list[WhitelistEntry]] = defaultdict(list)
        self._prefixes: list[tuple[Network, WhitelistEntry]] = []
        self._any = False
        for entry in entries:
            if entry.kind is not EntryKind.HOST:
                continue
            self._any = True
            mac = normal_mac(entry.value)
            try:
                network = None if mac else ip_network(entry.value, strict=False)
            except ValueError:
                continue
            if network is not None and network.num_addresses > 1:
                self._prefixes.append((network, entry))
            else:
                self._exact[mac or str(network.network_address if network else "")].append(entry)

    def standing(self, address: Address, mac: str, today: date) -> Standing:
        """Judge a host; `wire.whitelist` decides among the entries that can concern it at all."""
        near = [*self._exact.get(str(address), ()), *self._exact.get(mac, ())]
        near += [
            entry for network, entry in self._prefixes if network.version == address.version and address in network
        ]
        if near:
            return match_host(near, [str(address)], mac, today).standing
        return Standing.UNLISTED if self._any else Standing.NO_LIST


def _services(whitelist: tuple[WhitelistEntry, ...], today: date, now: float) -> Iterator[Observation]:
    own = proc.local_ports()
    ports = [entry for entry in whitelist if entry.kind is EntryKind.PORT]
    for item in proc.listeners():
        # What only this machine can reach is nobody's exposure; UDP ports of its own questions come and go.
        if item.address.is_loopback or (item.transport is Transport.UDP and item.port in own):
            continue
        target = Target(TargetKind.SERVICE, str(item.address), item.port, item.transport)
        standing = match_service(ports, str(item.address), item.transport, item.port, today).standing
        yield Observation(_NAME, "listening", target, Outcome.SEEN, now, {"standing": standing.value})


PROBE = Probe(
    Text("邻居设备与本机监听端口是否在白名单内", "neighbours and own listening ports against the whitelist"),
    SectionKind.STATE,
    Options,
    run,
)
