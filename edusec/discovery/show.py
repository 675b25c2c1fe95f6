"""A discovery for people: the devices, each with its addresses, and what is not known."""

from collections.abc import Iterator, Mapping

from collector.sightings.addresses import address
from edusec.discovery.devices import Device, Devices
from edusec.lang import current, t
from edusec.terminal.makers import marked, note
from edusec.terminal.render import safe, table
from edusec.terminal.words import word
from probes.kit import evidence
from probes.kit.discovery.sightings import LEASE
from probes.kit.makers.table import Maker, Makers
from probes.kit.reasons import explain
from wire.types import Body, Observation, Section, Value

_KIND = ("vendor", "model", "device")


def show(section: Section, found: Devices, makers: Makers) -> None:
    """Print the table, how many there are, what to know about them, and what was covered and what not."""
    body = section.body or Body()
    heads = (
        "#",
        t("名称", "NAME"),
        t("地址", "ADDRESS"),
        t("结果", "OUTCOME"),
        "MAC",
        t("厂商、型号", "MAKER, MODEL"),
        t("方法", "VIA"),
    )
    rows = [row for number, device in enumerate(found.all, 1) for row in _of_device(number, device, makers)]
    rows += [_of_nobody(span) for span in _spans(found)]
    if rows:
        table(heads, rows)
    else:
        print(t("没有发现主机", "no host was found"))
    leases = sum(item.method == LEASE for item in body.observations)
    addresses = sum(len(device.seen) for device in found.all)
    print(
        t(
            f"设备 {len(found.all)} 台，地址 {addresses} 个，DHCP 租约 {leases} 条",
            f"{len(found.all)} devices with {addresses} addresses, {leases} DHCP leases",
        )
    )
    for text in _notes(found, makers):
        print(safe(text))
    for covered in body.coverage:
        print(t("已覆盖", "covered"), safe(", ".join(covered.prefixes)))
    for part in body.skipped:
        print(t("未覆盖", "not covered"), safe(f"{part.what}: {explain(part.reason, current())}"))


def _of_device(number: int, device: Device, makers: Makers) -> Iterator[tuple[str, ...]]:
    """Give a row for each address; what holds for all of them stands in the first one only."""
    name = " ".join(filter(None, (device.said("name"), t("（本机）", "(this machine)") if device.mine else "")))
    first, *rest = device.seen
    made = [marked(maker.name) for maker in _makers(device, makers)]
    kind = " ".join(filter(None, (*made, _kind({fact: device.said(fact) for fact in _KIND}))))
    yield _row(str(number), name, first, kind)
    yield from (_row("", "", item, "") for item in rest)


def _spans(found: Devices) -> list[list[Observation]]:
    """Group the addresses of nobody: those in a row that one card answers for, and that say nothing of themselves."""
    spans: list[list[Observation]] = []
    for item in found.unknown:
        last = spans[-1][-1] if spans else None
        if last is not None and _mute(item, found) and _mute(last, found) and _follows(last, item):
            spans[-1].append(item)
        else:
            spans.append([item])
    return spans


def _mute(item: Observation, found: Devices) -> bool:
    values = item.values
    return values.get(evidence.MAC) in found.proxies and not (values.get("name") or _kind(values))


def _follows(last: Observation, item: Observation) -> bool:
    one, other = address(last.target.name), address(item.target.name)
    same = all(last.values.get(name) == item.values.get(name) for name in (evidence.MAC, "via", "other_macs"))
    near = one is not None and other is not None and one.version == other.version and int(other) == int(one) + 1
    return same and near and last.outcome is item.outcome


def _of_nobody(span: list[Observation]) -> tuple[str, ...]:
    first, last = span[0], span[-1]
    number, name, where, *rest = _row("?", str(first.values.get("name", "")), first, _kind(first.values))
    return number, name, where if first is last else f"{where}-{last.target.name}", *rest


def _row(number: str, name: str, item: Observation, kind: str) -> tuple[str, ...]:
    mac = str(item.values.get(evidence.MAC, ""))
    if item.values.get(evidence.LOCAL_MAC):
        mac += t("（随机）", " (local)")
    via = item.values.get("via") or ()
    methods = " ".join(via) if isinstance(via, tuple) else str(via)
    return number, name, item.target.name, word(item.outcome.value), mac, kind, methods


def _kind(said: Mapping[str, Value]) -> str:
    return " ".join(str(said[name]) for name in _KIND if said.get(name))


def _makers(device: Device, makers: Makers) -> tuple[Maker, ...]:
    """Give who made a device's cards, where it does not say itself who made it."""
    return () if device.said("vendor") else makers.of_all(device.macs)


def _notes(found: Devices, makers: Makers) -> Iterator[str]:
    if found.unknown:
        number = len(found.unknown)
        yield t(
            f"“?”：{number} 个地址不知属于哪台设备（无人证实、有两块网卡争用，或由代答者应答）",
            f"?: whose {number} addresses are is not known: nobody confirmed them, two cards claim them, or "
            "somebody answers for many",
        )
    for mac, number in sorted(found.proxies.items()):
        yield t(
            f"{mac} 以 {number} 个 IPv4 地址应答：一台有多个地址的服务器，或替他人应答的路由器（代理 ARP）",
            f"{mac} answers for {number} IPv4 addresses: one server with many, or a router for others (proxy ARP)",
        )
    if bare := sum(not device.macs and not device.mine for device in found.all):
        yield t(
            f"{bare} 台设备没有可见的 MAC（在路由器之后等）：其中两台可能实为一台",
            f"{bare} devices showed no MAC, as behind a router: two of them may be one",
        )
    if sources := {maker.source for device in found.all for maker in _makers(device, makers)}:
        yield note(sources)
    if any(device.local_mac and not device.mine for device in found.all):
        yield t(
            "（随机）：MAC 由系统自行生成（手机、虚拟机），换用新的之后看上去是另一台设备",
            "(local): a MAC that the system made up, as phones and virtual machines do: with a new one the same device "
            "looks like another",
        )
