"""Whitelists as tables: the rows that are read and written, such that what goes out comes in the same."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date

from collector.sheets.reading import Column, Problems, Record
from collector.sheets.writing import unmarked
from collector.sightings.addresses import address, network
from wire.ports import parse_ports
from wire.text import Text, text_of
from wire.types import EntryKind, Transport, WhitelistEntry
from wire.whitelist import normal_mac

COLUMNS = (
    Column("unit", ("单位", "单位编码", "单位代码", "编码", "unit code", "code")),
    Column("kind", ("类型", "类别", "名单类型", "type"), required=True),
    Column("value", ("对象", "地址", "域名", "主机", "address", "domain", "host"), required=True),
    Column("transport", ("协议", "传输协议", "protocol", "proto")),
    Column("ports", ("端口", "端口号", "port")),
    Column("owner", ("责任人", "负责人"), required=True),
    Column("reason", ("用途", "事由", "理由", "why"), required=True),
    Column("approver", ("审批人", "批准人", "approved by"), required=True),
    Column("expires", ("有效期", "有效期至", "到期日期", "截止日期", "expiry", "valid to", "until")),
)
KIND_WORDS = {
    "domain": EntryKind.DOMAIN,
    "域名": EntryKind.DOMAIN,
    "网站": EntryKind.DOMAIN,
    "host": EntryKind.HOST,
    "主机": EntryKind.HOST,
    "设备": EntryKind.HOST,
    "port": EntryKind.PORT,
    "端口": EntryKind.PORT,
}
FOREVER = {"", "长期", "永久", "never", "-"}
WIDEST = {4: 8, 6: 16}
MAX_NAME = 256
MAX_DOMAIN = 253

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_DATE = re.compile("([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?|([0-9]{4})([0-9]{2})([0-9]{2})")


def read_entry(record: Record, problems: Problems) -> WhitelistEntry | None:
    """Read one row; adds its faults to the problems and gives None when there are any."""
    values = {field: unmarked(cell) for field, cell in record.values.items()}
    faults: list[tuple[str, Text]] = []
    word = values.get("kind", "").lower()
    kind = KIND_WORDS.get(word)
    if kind is None:
        faults.append(("kind", Text(f"{word!r} 不是 域名、主机、端口 之一", f"{word!r} is none of domain, host, port")))
    for field in ("owner", "reason", "approver"):
        if not values.get(field):
            faults.append((field, Text("必须填写", "must not be empty")))
        elif field != "reason" and len(values[field]) > MAX_NAME:
            faults.append((field, Text(f"超过 {MAX_NAME} 个字符", f"longer than {MAX_NAME} characters")))
    value = _VALUES[kind](values.get("value", ""), faults) if kind else ""
    ports, transport = _ports(kind, values, faults)
    expires = _date(values.get("expires", ""), faults)
    for field, text in faults:
        problems.add(record.line, field, text)
    if faults or kind is None:
        return None
    return WhitelistEntry(kind, value, values["owner"], values["reason"], values["approver"], expires, ports, transport)


def identify(unit: str, entry: WhitelistEntry) -> WhitelistEntry:
    """Give the entry its id: the same approval of the same unit has the same id each time it is imported."""
    parts = (unit, entry.kind.value, entry.value, entry.transport.value, entry.ports)
    return replace(entry, id=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24])


def rows_of(entries: Iterable[tuple[str, WhitelistEntry]]) -> Iterator[tuple[str, ...]]:
    """Give the rows of a file that imports to these (unit, entry) pairs, the header first."""
    yield tuple(column.headers[0] for column in COLUMNS)
    for unit, entry in entries:
        yield (
            unit,
            entry.kind.value,
            entry.value,
            entry.transport.value if entry.kind is EntryKind.PORT else "",
            entry.ports,
            entry.owner,
            entry.reason,
            entry.approver,
            entry.expires.isoformat() if entry.expires else "",
        )


def _domain(text: str, faults: list[tuple[str, Text]]) -> str:
    name = text.rstrip(".").lower()
    base = name.removeprefix("*.")
    if not base.isascii():
        try:
            base = base.encode("idna").decode("ascii")
        except UnicodeError:
            base = ""
    labels = base.split(".")
    if len(base) > MAX_DOMAIN or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        faults.append(
            (
                "value",
                Text(
                    f"{text!r} 不是域名（不含 http:// 和路径），如 www.example.edu.cn 或 *.example.edu.cn",
                    f"{text!r} is no domain (without http:// and path) such as www.example.edu.cn or *.example.edu.cn",
                ),
            )
        )
    return f"*.{base}" if name.startswith("*.") else base


def _host(text: str, faults: list[tuple[str, Text]]) -> str:
    return normal_mac(text) or _prefix(text, faults)


def _place(text: str, faults: list[tuple[str, Text]]) -> str:
    return "*" if text in ("*", "任意", "any") else _prefix(text, faults)


_VALUES: dict[EntryKind, Callable[[str, list[tuple[str, Text]]], str]] = {
    EntryKind.DOMAIN: _domain,
    EntryKind.HOST: _host,
    EntryKind.PORT: _place,
}


def _prefix(text: str, faults: list[tuple[str, Text]]) -> str:
    single = address(text) if "/" not in text else None
    if single is not None:
        return str(single)
    found = network(text) if "/" in text else None
    if found is None:
        faults.append(
            (
                "value",
                Text(f"{text!r} 不是 IP 地址、网段或 MAC", f"{text!r} is no IP address, prefix (10.1.0.0/16) or MAC"),
            )
        )
        return ""
    if found.prefixlen < WIDEST[found.version]:
        widest = WIDEST[found.version]
        faults.append(("value", Text(f"网段过大，至少 /{widest}", f"too wide; at least /{widest}")))
    return str(found)


def _ports(kind: EntryKind | None, values: dict[str, str], faults: list[tuple[str, Text]]) -> tuple[str, Transport]:
    ports, word = values.get("ports", "").replace("，", ",").replace("、", ","), values.get("transport", "").lower()
    if kind is not EntryKind.PORT:
        if ports:
            faults.append(("ports", Text("只有端口类型可填端口", "only entries of kind port have ports")))
        return "", Transport.TCP
    if word not in ("", "tcp", "udp"):
        faults.append(("transport", Text(f"{word!r} 不是 tcp 或 udp", f"{word!r} is neither tcp nor udp")))
        word = ""
    try:
        ranges = parse_ports(ports)
    except ValueError as error:
        faults.append(("ports", text_of(error)))
        ranges = ((0, 0),)
    if not ranges:
        faults.append(("ports", Text("必须填写端口，如 80,443,8000-8100", "must name ports such as 80,443,8000-8100")))
    plain = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return plain, Transport(word or "tcp")


def _date(text: str, faults: list[tuple[str, Text]]) -> date | None:
    if text.lower() in FOREVER:
        return None
    found = _DATE.fullmatch(text)
    try:
        if found:
            year, month, day = (part for part in found.groups() if part)
            return date(int(year), int(month), int(day))
    except ValueError:
        pass
    faults.append(("expires", Text(f"{text!r} 不是日期，如 2026-12-31", f"{text!r} is no date such as 2026-12-31")))
    return None
