"""What gateways and switches know of the hosts behind them, read by SNMP: neighbours, forwarding, LLDP and CDP.

So hosts in other VLANs are seen without a packet to any of them. Only agents in scope are asked, each with the one
credential that the file names for it; no community is ever guessed. What a table lacks may be there all the same, so
nothing is covered: unknown, not absent.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from probes.kit.contract import CannotRun, Context, Probe, Progress, Yield
from probes.kit.errors import Refused
from probes.kit.evidence import HOSTNAME, normal_hostname
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.own import built_in
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.scope.targets import parse_targets
from probes.kit.services.datagrams.table import ENTERPRISES as VENDORS
from probes.kit.services.enrich import values_of
from probes.kit.services.talk import Heard, text
from probes.kit.snmp import merge, tables
from probes.kit.snmp.credentials import Credential, for_address, read_credentials
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Skipped, Target, TargetKind, Value

if TYPE_CHECKING:
    from probes.kit.snmp.session import Session

MAX_AGENTS = 256
MAX_OBSERVATIONS = 45_000
MAX_PEER_ROWS = 4096
"""Rows of each column about LLDP's and CDP's neighbours, whose texts are all held until the table is read."""
_GRACE = 1.0


def _agents(texts: Iterable[str]) -> None:
    if sum(map(len, parse_targets(texts))) > MAX_AGENTS:
        raise ValueError(f"at most {MAX_AGENTS} agents are asked")


@dataclass(frozen=True, slots=True)
class Options:
    """Whom to ask, and how much."""

    targets: tuple[str, ...] = option(
        (),
        zh=f"读取的网关与交换机地址，不超过 {MAX_AGENTS} 个",
        en=f"addresses of the gateways and switches to read, at most {MAX_AGENTS}",
        check=_agents,
    )
    credentials: str = option(
        "",
        zh="凭据文件（TOML，权限 600，属于代理用户）；从不尝试默认团体名",
        en="file with the credentials (TOML, mode 600, owned by the agent's user); no default community is ever tried",
    )
    port: int = option(161, zh="SNMP 的 UDP 端口", en="UDP port of SNMP", minimum=1, maximum=65535)
    seconds: float = option(
        60.0, zh="每台设备的最长时间", en="longest time for one device", unit="s", minimum=1, maximum=3600
    )
    rows: int = option(
        20_000, zh="每张表最多读取的行数", en="rows read of one table at most", minimum=1, maximum=200_000
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Read one device after the other; then give one line for each device, and what all of them know of hosts."""
    if not options.credentials or not options.targets:
        raise CannotRun(because("no_credentials"))
    credentials = read_credentials(options.credentials)
    addresses = [address for span in parse_targets(options.targets) for address in span]
    devices: list[tables.Device] = []
    for done, address in enumerate(addresses):
        yield Progress(done, len(addresses), str(address))
        credential = for_address(credentials, address)
        if credential is None:
            yield Skipped(str(address), because("no_credentials", "no entry of the file names it"))
            continue
        deadline = min(time.monotonic() + options.seconds, context.deadline - _GRACE)
        device = tables.Device(address)
        yield from _read(options, context, device, credential, deadline)
        if device.description or device.object_id or device.interfaces:
            devices.append(device)
    yield Progress(len(addresses), len(addresses))
    yield from bounded(devices)


def bounded(devices: list[tables.Device]) -> Iterator[Yield]:
    """Report what devices told, at most MAX_OBSERVATIONS, the same share of each table, and what was left out."""
    now = time.time()
    known = by_key(built_in())
    for device in devices:
        target = Target(TargetKind.HOST, str(device.address))
        yield Observation("snmp_tables", "snmp", target, Outcome.SEEN, now, _about(device, known))
    lists: list[list[Any]] = [
        part for device in devices for part in (device.neighbours, device.forwarded, device.peers)
    ]
    most = _share(map(len, lists), MAX_OBSERVATIONS)
    if any(len(part) > most for part in lists):
        yield Skipped("hosts", because("too_large", f"of each table only the first {most} rows are reported"))
        for part in lists:
            del part[most:]
    found = merge.observations(devices, now)
    yield from islice(found, MAX_OBSERVATIONS)
    if next(found, None) is not None:
        yield Skipped("hosts", because("too_large", f"only the first {MAX_OBSERVATIONS} are reported"))


def _share(sizes: Iterable[int], room: int) -> int:
    """Give how long a list may be so that all fit into the room; what short ones leave goes to the longer ones."""
    given = sorted(sizes)
    for place, size in enumerate(given):
        if size * (len(given) - place) > room:
            return room // (len(given) - place)
        room -= size
    return max(given, default=0)


def _about(device: tables.Device, known: dict[str, tuple[Fingerprint, ...]]) -> dict[str, Value]:
    heard = Heard("snmp", {}, (("snmp.sys_description", device.description),))
    values = {name: value for name, value in values_of(heard, known).items() if name != "service"}
    values |= merge.card(device.mac)
    for name, value in (
        ("description", device.description),
        ("name", device.name),
        (HOSTNAME, normal_hostname(device.name)),
        ("object_id", ".".join(map(str, device.object_id))),
        ("cables", merge.cables(device)),
    ):
        if value:
            values[name] = value
    prefix = len(tables.ENTERPRISES)
    if device.object_id[:prefix] == tables.ENTERPRISES and len(device.object_id) > prefix:
        vendor = VENDORS.get(device.object_id[prefix])
        if vendor:
            values.setdefault("vendor", vendor)
    return values


def _read(
    options: Options, context: Context, device: tables.Device, credential: Credential, deadline: float
) -> Iterator[Skipped]:
    """Fill in a device as far as it tells; give what of it could not be read, and why."""
    from probes.kit.snmp.session import BadAnswer, Denied, Late, Session, Silent

    what = str(device.address)
    try:
        with Session(context.net, device.address, options.port, credential, deadline) as session:
            yield from _fill_in(session, device, options.rows)
    except Refused as refusal:
        yield refusal.skipped
    except OSError as error:
        yield Skipped(what, because("unreachable", error.strerror or ""))
    except Silent as silence:
        yield Skipped(what, because("snmp_silent", str(silence)))
    except Denied as refusal:
        yield Skipped(what, because("snmp_refused", str(refusal)))
    except BadAnswer as fault:
        yield Skipped(what, because("snmp_bad_answer", str(fault)))
    except Late:
        yield Skipped(what, because("deadline"))


def _fill_in(session: "Session", device: tables.Device, rows: int) -> Iterator[Skipped]:
    from probes.kit.snmp.session import Denied

    for name, step in _steps(session, device, rows):
        what = f"{device.address} {name}"
        try:
            if step():
                yield Skipped(what, because("too_large", "it has more rows than are read"))
        except Denied as refusal:
            if not device.object_id and not device.description:
                raise
            yield Skipped(what, because("snmp_refused", str(refusal)))


def _steps(session: "Session", device: tables.Device, rows: int) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Give the readings of a device with their names; each tells whether a table was longer than what is read."""
    full: list[tables.Oid] = []

    def column(root: tables.Oid) -> Iterator[tuple[tables.Oid, tables.Value]]:
        most = rows if root[: len(tables.MIB2)] == tables.MIB2 else min(rows, MAX_PEER_ROWS)
        count = 0
        for row in session.column(root, most):
            count += 1
            yield row
        if count == most:
            full.append(root)

    def system() -> None:
        found = session.get(tables.SYS_DESCR, tables.SYS_OBJECT, tables.SYS_NAME)
        description, name, kind = (found.get(key) for key in (tables.SYS_DESCR, tables.SYS_NAME, tables.SYS_OBJECT))
        device.description = text(description) if isinstance(description, bytes) else ""
        device.name = text(name) if isinstance(name, bytes) else ""
        device.object_id = kind if isinstance(kind, tuple) else ()

    def cards() -> None:
        device.interfaces = tables.interfaces(column)
        device.mac = tables.own_mac(column, device.address, device.interfaces)

    def take(into: list[tables.Neighbour], read: Callable[[tables.Column], Iterator[tables.Neighbour]]) -> None:
        into.extend(read(column))

    def forwarding() -> None:
        device.forwarded.extend(tables.forwarding(column, device))

    def peers(read: Callable[[tables.Column, tables.Device], Iterator[tables.Peer]]) -> None:
        device.peers.extend(read(column, device))

    def noting(step: Callable[[], None]) -> bool:
        full.clear()
        step()
        return bool(full)

    for name, step in (
        ("system", system),
        ("interfaces", cards),
        ("ipNetToMedia", partial(take, device.neighbours, tables.arp)),
        ("ipNetToPhysical", partial(take, device.neighbours, tables.physical)),
        ("forwarding", forwarding),
        ("lldp", partial(peers, tables.lldp)),
        ("cdp", partial(peers, tables.cdp)),
    ):
        yield name, partial(noting, step)


PROBE = Probe(
    Text("网关与交换机的 SNMP 表：其他 VLAN 的设备", "SNMP tables of gateways and switches: hosts in other VLANs"),
    SectionKind.STATE,
    Options,
    run,
    needs=("snmp",),
)
