"""What rules refer to, as typed tables: clauses, policy items, high-risk ports, and the targets of policy profiles."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from rules import reading
from rules.errors import RuleFault, RulesError
from rules.model import Confidence, PolicyItem, Severity
from rules.reading import Place
from wire.ports import expand, parse_ports
from wire.text import Text

AUDIENCES = ("province", "city", "county", "school", "kindergarten", "vocational", "university")
MAX_DATA_BYTES = 1 << 20
MAX_ENTRIES = 10_000

# Categories (first two digits) of the school identification code that policies treat apart from other schools.
_KINDERGARTEN, _SECONDARY_VOCATIONAL = "11", "36"


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause of GB/T 22239-2019, the test unit of GB/T 28448-2019 for it, and its counterpart at the other level."""

    number: str
    level: int
    unit: str
    meaning: Text
    counterpart: str = ""


@dataclass(frozen=True, slots=True)
class PortRisk:
    """Why an open port is a risk."""

    port: int
    transport: str
    service: Text
    reason: Text
    severity: Severity
    confidence: Confidence
    clear_text: bool = False
    never_on_internet: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What some units of a province must reach from the day `due` on: bit/s for `*_bps`, 0-1 for `*_ratio`."""

    province: str
    audience: tuple[str, ...]
    metric: str
    value: float
    due: date
    item: PolicyItem


@cache
def clauses() -> Mapping[str, Clause]:
    """Give every clause that rules may cite, by its number."""
    found: dict[str, Clause] = {}
    for entry in _builtin("clauses.toml")["clause"]:
        meaning = Text(entry["zh"], entry["en"])
        level3, level2 = entry["level3"], entry.get("level2", "")
        found[level3] = Clause(level3, 3, entry["unit3"], meaning, level2)
        if level2:
            found[level2] = Clause(level2, 2, entry["unit2"], meaning, level3)
    return found


@cache
def policies() -> Mapping[str, PolicyItem]:
    """Give every policy item by its id."""
    table = _builtin("policies.toml")
    documents = table["document"]
    return {
        entry["id"]: PolicyItem(
            id=entry["id"],
            province=documents[entry["document"]]["province"],
            document=documents[entry["document"]].get("number", f"《{documents[entry['document']]['title']}》"),
            section=entry["section"],
            metric=entry["metric"],
            meaning=Text(entry["zh"], entry["en"]),
            confidence=Confidence(entry["confidence"]),
            audience=tuple(entry.get("for", ())),
            op=entry.get("op", ""),
            value=entry.get("value"),
            year=entry.get("year"),
        )
        for entry in table["item"]
    }


@cache
def ports() -> Mapping[tuple[int, str], PortRisk]:
    """Give every high-risk port by number and transport."""
    return {
        (port, transport): PortRisk(
            port=port,
            transport=transport,
            service=Text(**name) if isinstance(name := entry["service"], dict) else Text(name, name),
            reason=Text(entry["zh"], entry["en"]),
            severity=Severity[entry["severity"].upper()],
            confidence=Confidence(entry["confidence"]),
            clear_text=entry.get("clear_text", False),
            never_on_internet=entry.get("never_on_internet", False),
        )
        for entry in _builtin("ports.toml")["port"]
        for port in expand(parse_ports(entry["ports"]))
        for transport in entry["transports"]
    }


def high_risk(port: int, transport: str) -> PortRisk | None:
    """Tell why a port (transport `tcp` or `udp`) is a risk when open; None if it is on no list."""
    return ports().get((port, transport))


@cache
def targets() -> tuple[Target, ...]:
    """Give the targets that edusec ships."""
    return read_targets(_raw("profiles.toml"), "rules/data/profiles.toml")


def read_targets(raw: bytes, file: str) -> tuple[Target, ...]:
    """Read policy profiles as in rules/data/profiles.toml; RulesError with every fault."""
    faults: list[RuleFault] = []
    top = Place(file, faults)
    table = reading.parse(raw, top, MAX_DATA_BYTES) or {}
    reading.refuse_unknown(table, ("target",), top)
    found = tuple(_read_target(entry, here) for here, entry in reading.tables(table, "target", top, MAX_ENTRIES))
    if faults:
        raise RulesError(faults)
    return found


def profile_for(
    division_code: str, unit_kind: str, day: date, school_code: str = "", among: Iterable[Target] | None = None
) -> Mapping[str, Target]:
    """Give the targets that hold for a unit on a day, by metric; what no policy of its province sets is missing.

    `division_code` is the unit's GB/T 2260 code, `unit_kind` one of province, city, county, school, university; the
    school code, if any, tells kindergartens and vocational schools apart. `among` stands in for the targets shipped.
    """
    audience = audience_of(unit_kind, school_code)
    found: dict[str, Target] = {}
    for target in sorted(targets() if among is None else among, key=lambda item: item.due):
        if target.province == division_code[:2] and audience in target.audience and target.due <= day:
            found[target.metric] = target
    return found


def province_of(unit: str) -> str:
    """Give the province (two digits) of a unit code, a division code (6 digits) or school code (10); "" for others."""
    if not (unit.isascii() and unit.isdigit()):
        return ""
    return {6: unit[:2], 10: unit[2:4]}.get(len(unit), "")


def audience_of(unit_kind: str, school_code: str = "") -> str:
    """Give what policies call a unit: its kind, or what a school code says of kindergartens and vocational schools."""
    if unit_kind == "school" and len(school_code) == 10:
        return {_KINDERGARTEN: "kindergarten", _SECONDARY_VOCATIONAL: "vocational"}.get(school_code[:2], unit_kind)
    return unit_kind


def _read_target(entry: dict[str, Any], here: Place) -> Target:
    reading.refuse_unknown(entry, ("province", "for", "metric", "value", "due", "item"), here)
    item = reading.choice(entry, "item", policies(), here)
    audience = reading.words(entry, "for", AUDIENCES, here)
    if not audience:
        listed = ", ".join(AUDIENCES)
        here.at("for").fault(f"请写明适用的单位：{listed}", f"name the units it is for: {listed}")
    province = reading.text(entry, "province", here, 2)
    if province and not (len(province) == 2 and province.isascii() and province.isdigit()):
        here.at("province").fault(
            '须为行政区划代码的前两位，如 "64"', 'must be the first two digits of its division codes, such as "64"'
        )
    return Target(
        province=province,
        audience=audience,
        metric=reading.text(entry, "metric", here, 64),
        value=reading.number(entry.get("value"), here.at("value")),
        due=reading.day(entry, "due", here),
        item=policies()[item or next(iter(policies()))],
    )


def _raw(name: str) -> bytes:
    return (files("rules") / "data" / name).read_bytes()


def _builtin(name: str) -> dict[str, Any]:
    return tomllib.loads(_raw(name).decode())
