"""What several tables of a scan say in the same words: long lists cut short, and sets of ports."""

from collections.abc import Iterator, Sequence

from edusec.lang import t
from wire.ports import count, parse_ports

MOST = 20
"""Lines of one kind that people get to see; --json has them all."""
_LONG_PORT_SET = 40


def some(label: str, said: Sequence[str]) -> Iterator[str]:
    """Give the first of many lines, each with a label, and how many there are more."""
    yield from (f"{label}{text}" for text in said[:MOST])
    if (more := len(said) - MOST) > 0:
        yield label + t(f"另有 {more} 项，见 --json", f"{more} more, see --json")


def port_set(transport: str, ports: str) -> str:
    """Write a port set, by its number where it is long; without a transport it may be cut in the middle."""
    if len(ports) <= _LONG_PORT_SET:
        return f"{transport}/{ports}" if transport else t(f"端口 {ports}", f"ports {ports}")
    try:
        number = count(parse_ports(ports))
    except ValueError:
        return t("多个端口", "many ports")
    return " ".join(filter(None, (t(transport, str(number)), t(f"{number} 个端口", f"{transport} ports".strip()))))
