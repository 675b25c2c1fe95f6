"""One verdict of the catalogue with its evidence, and the thresholds that people may move."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from probes.kit.options import option
from wire.types import Outcome, Value

MAX_EVIDENCE = 40
"""Lines of evidence of one check."""
MAX_LINE = 512


class Verdict(StrEnum):
    """What a check says. UNKNOWN is never shown as a "no"; BLOCKED means that the server did not want us."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    INFO = "info"
    BLOCKED = "blocked"


OUTCOMES: Mapping[Verdict, Outcome] = {
    Verdict.PASS: Outcome.PASS,
    Verdict.WARN: Outcome.WARN,
    Verdict.FAIL: Outcome.FAIL,
    Verdict.UNKNOWN: Outcome.UNKNOWN,
    Verdict.INFO: Outcome.SEEN,
    Verdict.BLOCKED: Outcome.DENIED,
}
"""How each verdict travels."""
VERDICTS: Mapping[Outcome, Verdict] = {outcome: verdict for verdict, outcome in OUTCOMES.items()}


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its id in the catalogue, its verdict, why (a code of `catalogue.WHY`), and what was seen.

    `values` are numbers that others count with; `seconds` is a time that may change from run to run.
    """

    id: str
    verdict: Verdict
    code: str = ""
    evidence: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    seconds: float = 0.0

    def plain(self) -> dict[str, Value]:
        """Give the values of an observation: code, evidence within the bounds of the wire, and the numbers."""
        lines = tuple(line[:MAX_LINE] for line in self.evidence[:MAX_EVIDENCE])
        return {"code": self.code, "evidence": lines, **self.values}


def unknown(name: str, code: str, *evidence: str) -> Check:
    """Give a check that says nothing, and why."""
    return Check(name, Verdict.UNKNOWN, code, evidence)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every threshold and budget of the site checks; the defaults are ours, not a standard's."""

    tries: int = option(
        10, zh="成功率检查的访问次数，0 为不查", en="fetches for WEB-OK, 0 for none", minimum=0, maximum=100
    )
    ok_pass: float = option(0.95, zh="成功率：通过", en="WEB-OK: passes from here", minimum=0, maximum=1)
    ok_warn: float = option(0.8, zh="成功率：警告", en="WEB-OK: warns from here", minimum=0, maximum=1)
    same_pass: float = option(
        10.0, zh="两族内容差异：通过", en="WEB-SAME: passes up to here", unit="percent", minimum=0, maximum=100
    )
    same_warn: float = option(
        30.0, zh="两族内容差异：警告", en="WEB-SAME: warns up to here", unit="percent", minimum=0, maximum=100
    )
    links_pass: float = option(
        0.9, zh="内链 IPv6 可达率：通过", en="WEB-L2 and WEB-L3: pass from here", minimum=0, maximum=1
    )
    links_warn: float = option(
        0.8, zh="内链 IPv6 可达率：警告", en="WEB-L2 and WEB-L3: warn from here", minimum=0, maximum=1
    )
    lat_pass: float = option(1.1, zh="IPv6/IPv4 时延比：通过", en="WEB-LAT: passes up to here", minimum=1, maximum=100)
    lat_warn: float = option(1.3, zh="IPv6/IPv4 时延比：警告", en="WEB-LAT: warns up to here", minimum=1, maximum=100)
    lat_floor: float = option(
        0.05,
        zh="忽略小于此值的时延差",
        en="differences of time below this do not count",
        unit="s",
        minimum=0,
        maximum=10,
    )
    pages: int = option(
        40,
        zh="每个网站最多抓取的内链页数，0 为不抓取",
        en="inner links fetched per site at most, 0 for none",
        minimum=0,
        maximum=2000,
    )
    page_rate: float = option(
        10.0, zh="对同一网站每秒最多请求数", en="fetches a second from one site at most", minimum=0.1, maximum=1000
    )
    body: int = option(
        512 << 10,
        zh="每个页面最多读取的字节数",
        en="bytes read of one page at most",
        unit="bytes",
        minimum=1 << 10,
        maximum=8 << 20,
    )
    mss: int = option(
        1220, zh="疑似 PMTU 黑洞时重试用的 MSS", en="segment size of the retry on a stall", minimum=536, maximum=1440
    )
    large: int = option(
        4000,
        zh="证明大包能通过所需的字节数",
        en="bytes of one answer that prove that full-size packets come through",
        unit="bytes",
        minimum=1500,
        maximum=1 << 20,
    )
