"""Port sets as people and messages write them: `22,80,8000-8100`."""

from collections.abc import Iterable

from wire.text import TextError

MAX_PORT = 65535
MAX_SPEC = 4096
"""Longest accepted text of a port set, in characters."""


def parse_ports(spec: str) -> tuple[tuple[int, int], ...]:
    """Read a port set into sorted, disjoint, inclusive ranges; an empty text is the empty set.

    Raises ValueError, which names the offending part, for anything but numbers 0-65535 and ranges of them.
    """
    if len(spec) > MAX_SPEC:
        raise TextError(f"端口集合超过 {MAX_SPEC} 个字符", f"port set longer than {MAX_SPEC} characters")
    ranges: list[tuple[int, int]] = []
    for part in spec.split(","):
        item = part.strip()
        if not item:
            if spec.strip():
                raise TextError(f"端口集合 {spec!r} 中有空项", f"empty part in port set {spec!r}")
            continue
        low_text, dash, high_text = item.partition("-")
        low_text, high_text = low_text.strip(), (high_text.strip() if dash else low_text.strip())
        if not (low_text.isascii() and low_text.isdigit() and high_text.isascii() and high_text.isdigit()):
            raise TextError(
                f"{item!r} 不是端口，也不是 8000-8100 这样的端口范围",
                f"{item!r} is not a port or a range of ports such as 8000-8100",
            )
        # The lengths first: Python refuses to read numbers of thousands of digits.
        if max(len(low_text), len(high_text)) > 5 or max(int(low_text), int(high_text)) > MAX_PORT:
            raise TextError(f"{item!r} 超出 0-{MAX_PORT}", f"{item!r} is outside 0-{MAX_PORT}")
        low, high = int(low_text), int(high_text)
        if low > high:
            raise TextError(f"{item!r} 前后颠倒，应为 {high}-{low}", f"{item!r} runs backwards; write {high}-{low}")
        ranges.append((low, high))
    return merge_ranges(ranges)


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sort inclusive ranges and join those that touch or overlap."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def format_ports(ports: Iterable[int]) -> str:
    """Write single ports as the shortest port set, the inverse of `parse_ports` up to merging."""
    return format_ranges(merge_ranges((port, port) for port in ports))


def format_ranges(ranges: Iterable[tuple[int, int]]) -> str:
    """Write sorted, disjoint, inclusive ranges, the inverse of `parse_ports`."""
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ranges)


def without(ranges: Iterable[tuple[int, int]], ports: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Take single ports out of sorted, disjoint, inclusive ranges; costs no more for a long range."""
    left: list[tuple[int, int]] = []
    holes = sorted(set(ports))
    place = 0
    for low, high in ranges:
        while place < len(holes) and holes[place] < low:
            place += 1
        while place < len(holes) and holes[place] <= high:
            if low < holes[place]:
                left.append((low, holes[place] - 1))
            low = holes[place] + 1
            place += 1
        if low <= high:
            left.append((low, high))
    return tuple(left)


def contains(ranges: tuple[tuple[int, int], ...], port: int) -> bool:
    """Tell whether a port lies in parsed ranges."""
    return any(low <= port <= high for low, high in ranges)


def count(ranges: Iterable[tuple[int, int]]) -> int:
    """Count the ports of parsed ranges."""
    return sum(high - low + 1 for low, high in ranges)


def expand(ranges: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """List every port of parsed ranges, ascending; at most 65,536 numbers."""
    return tuple(port for low, high in ranges for port in range(low, high + 1))
