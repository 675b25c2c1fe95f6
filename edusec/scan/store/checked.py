"""Lines of a scan that come out of a file: whoever can write there may have put anything into it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edusec.exits import Stop
from edusec.lang import t
from edusec.scan.result.drift import FACTS, Covered
from edusec.scan.result.lines import HOST, RUN, SCHEMA, SERVICE, address_order
from probes.kit.errors import READING
from wire.ports import MAX_PORT, parse_ports
from wire.text import Text, TextError, within

_Fits = Callable[[Any], object]
"""Tells whether a value fits, or raises for one that does not."""
_TEXT = Text("须为文本", "must be a text")
_ADDRESS = Text("须为 IP 地址", "must be an IP address")
_PORTS = Text("须为 22,80,8000-8100 这样的端口", "must be ports such as 22,80,8000-8100")
_ALL: tuple[tuple[str, Text, _Fits], ...] = (
    ("schema", Text(f"须为 {SCHEMA}", f"must be {SCHEMA}"), lambda value: value == SCHEMA),
    ("type", _TEXT, lambda value: isinstance(value, str)),
)


def _coverage(items: Any) -> bool:
    fits = all(isinstance(prefix, str) for item in items for prefix in item["prefixes"])
    return fits and Covered(items) is not None


_OF_TYPE: Mapping[str, tuple[tuple[str, Text, _Fits], ...]] = {
    RUN: (
        ("id", _TEXT, lambda value: isinstance(value, str)),
        ("started", _TEXT, lambda value: isinstance(value, str)),
        (
            "coverage",
            Text("须为一组 prefixes、ports、transport", "must be a list of prefixes with ports and transport"),
            _coverage,
        ),
    ),
    HOST: (
        ("address", _ADDRESS, lambda value: isinstance(value, str) and address_order(value)),
        ("presence", _TEXT, lambda value: isinstance(value, str)),
        ("closed", _PORTS, lambda value: value in (None, "") or parse_ports(value)),
        ("mac", _TEXT, lambda value: value is None or isinstance(value, str)),
        (
            "maker",
            Text("须为 null 或含 name、source 的对象", "must be null or an object with name and source"),
            lambda value: value is None or (isinstance(value["name"], str) and isinstance(value["source"], str)),
        ),
    ),
    SERVICE: (
        ("address", _ADDRESS, lambda value: isinstance(value, str) and address_order(value)),
        ("transport", Text("须为 tcp 或 udp", "must be tcp or udp"), lambda value: value in ("tcp", "udp")),
        (
            "port",
            Text("须为 0 至 65535 的整数", "must be a whole number from 0 to 65535"),
            lambda value: type(value) is int and 0 <= value <= MAX_PORT,
        ),
    ),
}


def check(line: object) -> None:
    """Look at what a comparison uses; raises TextError that names the field and what is allowed."""
    if not isinstance(line, dict):
        raise TextError("须为 JSON 对象", "must be a JSON object")
    for name, allowed, fits in (*_ALL, *_OF_TYPE.get(str(line.get("type")), ())):
        try:
            fine = fits(line.get(name))
        except READING:
            fine = False
        if not fine:
            raise TextError(*within(name, allowed))
    for name in FACTS if line["type"] == SERVICE else ():
        if name not in line:
            raise TextError(f"{name}：缺少，可为 null", f"{name}: is missing, may be null")


@contextmanager
def undamaged(file: Path) -> Iterator[None]:
    """Raise Stop, which names the file, where its contents are not what a scan of ours keeps there."""
    try:
        yield
    except READING as error:
        said = f"{type(error).__name__}: {error}"[:200]
        raise Stop(
            t(f"{file}：已损坏，或被其他程序改动（{said}）", f"{file}: damaged, or changed by something else ({said})")
        ) from None
