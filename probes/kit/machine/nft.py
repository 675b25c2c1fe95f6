"""What nftables holds, read from a file that root writes (`nft -j list ruleset`): a probe may not ask the kernel.

Nothing is sent and nothing is changed. All readers are bounded; a file that is missing, old or unreadable gives None.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from probes.kit.scope.addresses import Address

DEFAULT_FILE = "/run/edusec/nft.json"
MAX_BYTES = 16 << 20
MAX_AGE = 900.0
"""Seconds after which a file says nothing about now."""
MAX_ITEMS = 200_000
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a chain: its expressions as nft(8) writes them in JSON."""

    expressions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; `hook` and `policy` are empty for one that only others jump to."""

    family: str
    table: str
    name: str
    hook: str
    policy: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that was read: counters by (table, name) and sets by (table, name) of address to bytes, chains, offload."""

    age: float
    counters: Mapping[tuple[str, str], int]
    sets: Mapping[tuple[str, str], Mapping[Address, int]]
    chains: tuple[Chain, ...]
    offload: bool


def read(file: Path, *, now: float | None = None, max_age: float = MAX_AGE) -> Ruleset | None:
    """Read a ruleset; None when there is none, when it is too old or too large, or when it is no such JSON."""
    try:
        found = file.stat()
        age = max(0.0, (time.time() if now is None else now) - found.st_mtime)
        if age > max_age or found.st_size > MAX_BYTES:
            return None
        with file.open("rb") as source:
            raw = json.loads(source.read(MAX_BYTES))
        return _parse(raw["nftables"], age)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _parse(items: list[dict[str, Any]], age: float) -> Ruleset:
    counters: dict[tuple[str, str], int] = {}
    sets: dict[tuple[str, str], dict[Address, int]] = {}
    heads: dict[tuple[str, str, str], dict[str, Any]] = {}
    rules: dict[tuple[str, str, str], list[Rule]] = {}
    offload = False
    for item in items[:MAX_ITEMS]:
        if "counter" in item:
            part = item["counter"]
            counters[str(part["table"]), str(part["name"])] = int(part["bytes"])
        elif "set" in item:
            part = item["set"]
            sets[str(part["table"]), str(part["name"])] = dict(_elements(part.get("elem", ())))
        elif "chain" in item:
            part = item["chain"]
            heads[str(part["family"]), str(part["table"]), str(part["name"])] = part
        elif "rule" in item:
            part = item["rule"]
            place = str(part["family"]), str(part["table"]), str(part["chain"])
            shown = tuple(word for word in part["expr"] if isinstance(word, dict))
            rules.setdefault(place, []).append(Rule(shown))
        elif "flowtable" in item:
            flags = item["flowtable"].get("flags", ())
            offload = offload or "offload" in flags
    chains = tuple(
        Chain(*place, str(part.get("hook", "")), str(part.get("policy", "")), tuple(rules.get(place, ())))
        for place, part in heads.items()
    )
    return Ruleset(age, counters, sets, chains, offload)


def _elements(items: Any) -> Iterator[tuple[Address, int]]:
    for item in items[:MAX_ITEMS]:
        part = item.get("elem") if isinstance(item, dict) else None
        if not isinstance(part, dict) or not isinstance(part.get("val"), str):
            continue
        counter = part.get("counter")
        try:
            yield ip_address(part["val"]), int(counter["bytes"]) if isinstance(counter, dict) else 0
        except ValueError:
            continue
