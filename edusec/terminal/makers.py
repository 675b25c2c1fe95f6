"""The maker of a network card as tables show it: marked, since a prefix of a MAC is all that speaks for it."""

from collections.abc import Iterable

from edusec.lang import t
from probes.kit.makers.table import CONFIDENCE

_WIDTH = 40


def marked(name: str) -> str:
    """Write a maker's name in a table's cell."""
    short = name if len(name) <= _WIDTH else f"{name[: _WIDTH - 1].rstrip()}…"
    return t(f"{short}（MAC）", f"{short} (MAC)")


def note(sources: Iterable[str]) -> str:
    """Say below a table what the mark means, and where the names come from."""
    by = t("、", ", ").join(sorted(set(sources)))
    return t(
        f"（MAC）：网卡厂商，依据仅为 MAC 前缀（名录：{by}），可信度 {CONFIDENCE}；设备可能出自另一厂商",
        f"(MAC): the maker of the network card, by nothing but the MAC prefix (list: {by}), confidence {CONFIDENCE}; "
        "the device may be another maker's",
    )
