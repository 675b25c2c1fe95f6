"""Bytes by address family as one source counts them, and the pure arithmetic on such counters.

Counters are kept as they are read; what they mean is computed from two readings. `epoch` names what a counter counts
from (a boot, an installed table): a reading of another epoch, or one that is smaller, began anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from probes.kit.ipv6.model import Check, Verdict, unknown
from probes.kit.scope.addresses import Address
from wire.types import Value

TRF_CHECKS = ("TRF-SHARE", "TRF-USERS", "TRF-TREND")
SOURCES = ("nft", "dev_snmp6", "snmp")
"""In the order in which they are believed."""
WEEK = 7
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Counted:
    """Bytes received and sent over each family since `epoch`, by one source.

    `confidence`: high (the kernel counted exactly these packets), medium (derived, or another machine's word), low
    (hardware may have passed packets by). `offload`: yes, no or unknown. `bits`: where a counter wraps, 64 or 32.
    """

    source: str
    interface: str
    v4_received: int
    v4_sent: int
    v6_received: int
    v6_sent: int
    epoch: str
    confidence: str
    offload: str = "unknown"
    bits: int = 64

    @property
    def v4(self) -> int:
        """Bytes of IPv4 both ways."""
        return self.v4_received + self.v4_sent

    @property
    def v6(self) -> int:
        """Bytes of IPv6 both ways."""
        return self.v6_received + self.v6_sent

    def values(self) -> dict[str, Value]:
        """Give the values of the observation, under the names that the collector reads."""
        return {
            "source": self.source,
            "interface": self.interface,
            "v4_received_bytes": self.v4_received,
            "v4_sent_bytes": self.v4_sent,
            "v6_received_bytes": self.v6_received,
            "v6_sent_bytes": self.v6_sent,
            "epoch": self.epoch,
            "confidence": self.confidence,
            "offload": self.offload,
            "counter_bits": self.bits,
        }


def growth(before: int, after: int, *, same_epoch: bool, bits: int = 64) -> int | None:
    """Give by how much a counter grew between two readings; None when that cannot be known.

    Of another epoch, all that it shows is new. One that fell within an epoch wrapped if it has 32 bits and stood near
    its end (more than half of it would have had to pass otherwise), else it was set back: what it shows is new then.
    """
    if not same_epoch:
        return after
    if after >= before:
        return after - before
    if bits == 32:
        passed = after + (1 << 32) - before
        return passed if passed < 1 << 31 else None
    return after


def share(v4: int, v6: int) -> float | None:
    """Give the share of IPv6 (0 to 1); None of nothing."""
    return v6 / (v4 + v6) if v4 + v6 > 0 else None


def judge_share(counted: Counted | None, target: float, sites: Sequence["SiteBytes"] = ()) -> Check:
    """TRF-SHARE: at the target passes, half of it warns, less fails; `sites` are what IPv4 alone carries most of."""
    if counted is None:
        return unknown("TRF-SHARE", "no_counters")
    part = share(counted.v4, counted.v6)
    values: dict[str, Value] = {**counted.values(), "share": part, "target": target}
    if sites:
        values["v4_only"] = tuple(f"{site.name} {site.bytes}" for site in sites[:_SHOWN])
    if part is None:
        return Check("TRF-SHARE", Verdict.UNKNOWN, "no_traffic", (), values)
    where = f"{counted.source}, {counted.interface or 'all interfaces'}"
    doubt = f"confidence {counted.confidence}, offload {counted.offload}"
    told = (
        f"{part:.1%} of {counted.v4 + counted.v6} bytes ({where}); {doubt}",
        *(f"IPv4 only: {site.name}: {site.bytes} bytes" for site in sites[:_SHOWN]),
    )
    verdict = Verdict.PASS if part >= target else Verdict.WARN if part >= target / 2 else Verdict.FAIL
    return Check("TRF-SHARE", verdict, "" if verdict is Verdict.PASS else "share_low", told, values)


@dataclass(frozen=True, slots=True)
class SiteBytes:
    """A site or address that is reached over IPv4 only, and the bytes that were counted for it."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Flows:
    """Bytes by address, of devices inside and of what they talk to outside; `method` says what counted them."""

    method: str
    inside: Mapping[Address, int]
    outside: Mapping[Address, int]


def judge_users(flows: Flows | None, macs: Mapping[Address, str], to_pass: float, to_warn: float) -> Check:
    """TRF-USERS: of the devices (by hardware address) with traffic, the share with traffic over IPv6.

    The kernel forgets neighbours that are quiet for a while: an address without a hardware address may be that of one
    more device or of one that is known. The share is judged where that changes nothing, else unknown.
    """
    if flows is None:
        return unknown("TRF-USERS", "no_flow_data")
    busy = [address for address, size in flows.inside.items() if size]
    four, six = ({macs[address] for address in busy if _is(address, of) and address in macs} for of in (4, 6))
    if not busy:
        return unknown("TRF-USERS", "no_traffic")
    everyone, known = len(four | six), len(six)
    more_four, more_six = (sum(_is(address, of) and address not in macs for address in busy) for of in (4, 6))
    # At worst each IPv4 address is one more device, and all IPv6 is that of known ones or of one more; at best it is
    # the other way round.
    one_more = int(more_six > 0 and not known)
    worst = (known + one_more) / (everyone + more_four + one_more)
    best = (known + more_six) / max(everyone, known + more_six, 1)
    values: dict[str, Value] = {
        "users_v6": known,
        "users": everyone,
        "share": known / everyone if everyone else None,
        "unmatched": more_four + more_six,
        "source": flows.method,
    }
    told = [f"{known} of {everyone} devices ({flows.method})"]
    if more_four + more_six:
        told.append(f"{more_four + more_six} addresses with traffic are in no neighbour table")
    verdict = _graded(worst, to_pass, to_warn)
    if verdict is not _graded(best, to_pass, to_warn):
        verdict = Verdict.UNKNOWN
    code = {Verdict.PASS: "", Verdict.UNKNOWN: "users_unclear"}.get(verdict, "users_low")
    return Check("TRF-USERS", verdict, code, tuple(told), values)


def _graded(part: float, to_pass: float, to_warn: float) -> Verdict:
    return Verdict.PASS if part >= to_pass else Verdict.WARN if part >= to_warn else Verdict.FAIL


def _is(address: Address, version: int) -> bool:
    return isinstance(address, IPv4Address if version == 4 else IPv6Address)


def judge_trend(days: Sequence[float | None], fall: float) -> Check:
    """TRF-TREND: `days` are daily shares, the newest last; a fall against the same weekday a week before warns.

    `slope` in the values is the change of the share in a week, by least squares over the days that are known.
    """
    known = [(number, value) for number, value in enumerate(days) if value is not None]
    if len(days) <= WEEK or len(known) < WEEK:
        return unknown("TRF-TREND", "trend_elsewhere")
    middle = sum(number for number, _ in known) / len(known)
    mean = sum(value for _, value in known) / len(known)
    spread = sum((number - middle) ** 2 for number, _ in known)
    slope = WEEK * sum((number - middle) * (value - mean) for number, value in known) / spread
    values: dict[str, Value] = {"slope": slope, "days": len(known)}
    new, old = days[-1], days[-1 - WEEK]
    if new is not None and old is not None and old > 0 and new < old * (1 - fall):
        told = (f"{new:.1%}, a week ago {old:.1%}",)
        return Check("TRF-TREND", Verdict.WARN, "trend_drop", told, values)
    if new is None or old is None:
        return Check("TRF-TREND", Verdict.UNKNOWN, "trend_elsewhere", (), values)
    return Check("TRF-TREND", Verdict.PASS, "", (f"{slope:+.1%} a week",), values)
