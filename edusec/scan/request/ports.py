"""Port sets as operators write them: `22,80,8000-8100`, `all`, `none`, and `top:N`, the N most frequently open ones."""

import tomllib
from importlib.resources import files
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t
from edusec.local.files import read_input
from wire.ports import MAX_PORT, expand, format_ports, parse_ports
from wire.text import text_of
from wire.types import Transport

ALL, NONE, TOP = "all", "none", "top:"
_MAX_LINE = 1 << 12
_MOST_DIGITS = 18


def read_ports(flag: str, text: str, transport: Transport, frequencies: Path | None = None) -> str:
    """Write what an operator typed as the shortest port set, empty for `none`; raises Stop that names the flag.

    `frequencies` is a file in the form of nmap-services that takes the place of our own order.
    """
    word = text.strip().lower()
    if word == NONE:
        return ""
    if word in (ALL, "-"):  # the second is nmap's
        return f"1-{MAX_PORT}"
    if word.startswith(TOP):
        return format_ports(_top(flag, word.removeprefix(TOP), transport, frequencies))
    try:
        found = expand(parse_ports(text))
    except ValueError as error:
        raise Stop(t(f"{flag}：{text_of(error).zh}", f"{flag}: {error}")) from None
    if not found:
        raise Stop(
            t(
                f"{flag}：没有端口；可用 22,80,8000-8100、all、none 或 top:100",
                f"{flag}: has no port; write 22,80,8000-8100, all, none or top:100",
            )
        )
    return format_ports(found)


def ranked(transport: Transport) -> tuple[int, ...]:
    """Give our own order of ports, the most frequently open one first; behind them those that have no rank."""
    table = tomllib.loads(_own().read_text(encoding="utf-8"))
    more = "".join(table.get(f"{transport.value}_then", "").split())
    ranges = (parse_ports(part) for part in more.split(",")) if more else ()
    return tuple(dict.fromkeys([*table[transport.value], *(port for found in ranges for port in expand(found))]))


def _own() -> Path:
    return Path(str(files("edusec.scan.request"))) / "data" / "port_frequency.toml"


def _top(flag: str, number: str, transport: Transport, frequencies: Path | None) -> tuple[int, ...]:
    if not (number.isascii() and number.isdigit() and 0 < len(number) <= _MOST_DIGITS and int(number)):
        raise Stop(t(f"{flag}：top：之后须为正整数，如 top:100", f"{flag}: a count must follow top:, such as top:100"))
    order = ranked(transport) if frequencies is None else read_frequencies(frequencies, transport)
    if int(number) > len(order):
        place = frequencies or t("自带的次序", "our own order")
        raise Stop(
            t(
                f"{TOP}{number}：{place} 只有 {len(order)} 个 {transport} 端口；更多可用 --port-frequencies "
                "/usr/share/nmap/nmap-services，或 all",
                f"{TOP}{number}: {place} has {len(order)} {transport} ports only; for more use --port-frequencies "
                "/usr/share/nmap/nmap-services, or all",
            )
        )
    return order[: int(number)]


def read_frequencies(file: Path, transport: Transport) -> tuple[int, ...]:
    """Read the ports of a file in the form of nmap-services, the most frequent first; raises Stop with file:line: what.

    A line is `name port/transport frequency`; what follows is a comment, and ports never found open are left out.
    """
    found: dict[int, float] = {}
    for number, line in enumerate(read_input(file).decode("utf-8", "replace").splitlines(), 1):
        words = line[:_MAX_LINE].partition("#")[0].split()
        if not words:
            continue
        try:
            _, place, frequency, *_ = words
            port, slash, of = place.partition("/")
            rank = float(frequency)
            if not (slash and port.isascii() and port.isdigit() and int(port) <= MAX_PORT and 0 <= rank <= 1):
                raise ValueError
        except ValueError:
            raise Stop(
                t(
                    f"{file}:{number}：须为「名称 端口/协议 频率」，如 http 80/tcp 0.484143",
                    f"{file}:{number}: must be a name, a port with its transport and a frequency, such as "
                    "http 80/tcp 0.484143",
                )
            ) from None
        if of == transport.value and rank > 0:
            found[int(port)] = max(rank, found.get(int(port), 0.0))
    if not found:
        raise Stop(t(f"{file}：没有 {transport} 端口", f"{file}: has no {transport} port"))
    return tuple(sorted(found, key=lambda port: (-found[port], port)))
