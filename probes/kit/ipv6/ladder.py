"""The ladder and its ratios: pure functions of verdicts in which "unknown" is never a "no"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import floor

from probes.kit.ipv6.model import Verdict
from wire.text import Text

EQUAL_RESULTS = 3
"""So many equal results in a row change a state."""


class Rung(IntEnum):
    """How far a site has come."""

    NONE = 0
    PUBLISHED = 1
    REACHABLE = 2
    SUPPORTED = 3
    SINGLE_STACK = 4


NAMES: Mapping[Rung, Text] = {
    Rung.NONE: Text("无", "none"),
    Rung.PUBLISHED: Text("已发布", "published"),
    Rung.REACHABLE: Text("可达", "reachable"),
    Rung.SUPPORTED: Text("支持", "supported"),
    Rung.SINGLE_STACK: Text("可单栈", "single-stack ready"),
}

REQUIRED: Mapping[Rung, tuple[str, ...]] = {
    Rung.PUBLISHED: ("WEB-AAAA",),
    Rung.REACHABLE: ("WEB-TCP", "WEB-TLS", "WEB-HTTP", "WEB-PMTU"),
    Rung.SUPPORTED: ("WEB-OK", "WEB-SAME", "WEB-L2", "WEB-L3", "DNS-NSAAAA", "DNS-NSREACH", "DNS-CHAIN"),
    Rung.SINGLE_STACK: ("WEB-EXT", "WEB-LIT", "WEB-V6ONLY"),
}
"""What each rung asks for beyond the one below it."""

NETWORK: Mapping[Rung, tuple[str, ...]] = {
    Rung.PUBLISHED: ("NET-ADDR",),
    Rung.REACHABLE: ("NET-SELF", "NET-ROUTE", "LAN-COVER"),
    Rung.SUPPORTED: ("NET-PMTU", "NET-ICMP6", "NET-RES6", "LAN-RDNSS"),
    Rung.SINGLE_STACK: ("NET-NAT64",),
}
"""The same rungs for a network: addresses, a way out that clients use, no loss of large packets, names over IPv6."""

FORECAST: tuple[tuple[str, ...], ...] = (
    ("WEB-AAAA",),
    ("WEB-HTTP",),
    ("WEB-OK",),
    ("DNS-NSAAAA", "DNS-CHAIN"),
    ("WEB-SAME",),
    ("WEB-L2",),
    ("WEB-L3",),
)
"""The seven published indicators of the national platform, as checks of ours: an estimate, not its own result."""

_PASSED = frozenset({Verdict.PASS, Verdict.WARN, Verdict.INFO})


@dataclass(frozen=True, slots=True)
class Level:
    """`confirmed` has been proven; `possible` is reached if everything unknown turns out well."""

    confirmed: Rung
    possible: Rung


def climb(verdicts: Mapping[str, Verdict], required: Mapping[Rung, tuple[str, ...]] = REQUIRED) -> Level:
    """Give the level of a site (or by `NETWORK` of a network) from its verdicts; a check that is missing is unknown."""
    confirmed = possible = Rung.NONE
    certain = True
    for rung, names in required.items():
        found = [verdicts.get(name, Verdict.UNKNOWN) for name in names]
        if Verdict.FAIL in found:
            break
        possible = rung
        certain = certain and all(verdict in _PASSED for verdict in found)
        if certain:
            confirmed = rung
    return Level(confirmed, possible)


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Give one verdict for several that must all hold: a failure decides, then what is unknown, then a warning."""
    found = set(verdicts)
    if Verdict.FAIL in found:
        return Verdict.FAIL
    if not found or found & {Verdict.UNKNOWN, Verdict.BLOCKED}:
        return Verdict.UNKNOWN
    return Verdict.WARN if Verdict.WARN in found else Verdict.PASS


UNCLEAR = Level(Rung.NONE, Rung.SINGLE_STACK)
"""Of what nobody has looked at, nothing is proven and everything possible."""


def lowest(levels: Iterable[Level]) -> Level:
    """Give the level that several have together, which is that of the weakest; of nothing at all nothing is known."""
    found = list(levels)
    if not found:
        return UNCLEAR
    return Level(min(level.confirmed for level in found), min(level.possible for level in found))


def holding(verdict: Verdict) -> Verdict:
    """Say of a verdict only whether the check holds: a warning holds, a refusal says nothing."""
    return Verdict.PASS if verdict in _PASSED else Verdict.FAIL if verdict is Verdict.FAIL else Verdict.UNKNOWN


def forecast(verdicts: Mapping[str, Verdict]) -> tuple[Verdict, ...]:
    """Estimate the seven indicators of the national platform, in their order."""
    return tuple(together(verdicts.get(name, Verdict.UNKNOWN) for name in names) for names in FORECAST)


@dataclass(frozen=True, slots=True)
class Ratio:
    """`passed` of `total`, of which `unknown` are not known; raises ValueError for counts that cannot be."""

    passed: int
    total: int
    unknown: int = 0

    def __post_init__(self) -> None:
        """Check the counts."""
        if min(self.passed, self.total, self.unknown) < 0 or self.passed + self.unknown > self.total:
            raise ValueError(f"{self.passed} passed and {self.unknown} unknown of {self.total}")

    @property
    def confirmed(self) -> float:
        """The share if everything unknown failed; 0 of nothing at all."""
        return self.passed / self.total if self.total else 0.0

    @property
    def possible(self) -> float:
        """The share if everything unknown passed; 1 of nothing at all, since nothing is known against it."""
        return (self.passed + self.unknown) / self.total if self.total else 1.0

    def meets(self, target: float) -> bool | None:
        """Tell whether a target (0 to 1) is met for certain, missed for certain, or neither (None)."""
        if not self.total:
            return None
        if self.confirmed >= target:
            return True
        return False if self.possible < target else None

    def judge(self, to_pass: float, to_warn: float) -> Verdict:
        """Judge by two thresholds; UNKNOWN where what is not known could change the verdict."""
        low, high = (self._grade(share, to_pass, to_warn) for share in (self.confirmed, self.possible))
        return low if low is high and self.total else Verdict.UNKNOWN

    @staticmethod
    def _grade(share: float, to_pass: float, to_warn: float) -> Verdict:
        return Verdict.PASS if share >= to_pass else Verdict.WARN if share >= to_warn else Verdict.FAIL

    @property
    def text(self) -> Text:
        """Write `n of m (k unknown)`."""
        more = Text(f"（{self.unknown} 个未知）", f" ({self.unknown} unknown)") if self.unknown else Text("", "")
        return Text(f"{self.passed}/{self.total}{more.zh}", f"{self.passed} of {self.total}{more.en}")

    @property
    def range(self) -> str:
        """Write `82-88%`; both ends are rounded down, so that 89.9 never reads as 90."""
        if not self.total:
            return "-"
        low = floor(100 * self.passed / self.total)
        high = floor(100 * (self.passed + self.unknown) / self.total)
        return f"{low}%" if low == high else f"{low}-{high}%"


@dataclass(frozen=True, slots=True)
class Standing:
    """A state, and the newest result with how often it came in a row."""

    state: Verdict = Verdict.UNKNOWN
    latest: Verdict = Verdict.UNKNOWN
    count: int = 0


def settle(before: Standing, result: Verdict, *, needed: int = EQUAL_RESULTS) -> Standing:
    """Take one more result; the state changes once `needed` equal results came in a row."""
    count = before.count + 1 if before.count and result is before.latest else 1
    count = min(count, needed)
    return Standing(result if count >= needed else before.state, result, count)
