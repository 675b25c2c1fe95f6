"""Reports of IPv6 checks, as the probes site_ipv6, zone_ipv6 and those of a network make them."""

from collections.abc import Mapping

from probes.kit.ipv6.ladder import REQUIRED
from tests.support.reports import state
from wire.types import Observation, Outcome, RunStatus, Section, Target, TargetKind

GOOD: Mapping[str, Outcome] = {name: Outcome.PASS for names in REQUIRED.values() for name in names}
"""Every check that a level of a website asks for, passed."""


def check(name: str, method: str, outcome: Outcome, *evidence: str, code: str = "") -> Observation:
    """One check of one website."""
    told = {"code": code, "evidence": evidence}
    return Observation("site_ipv6", method, Target(TargetKind.SITE, name), outcome, 0.0, told)


def sites(
    found: Mapping[str, Mapping[str, Outcome]],
    *,
    at: float,
    name: str = "sites",
    status: RunStatus = RunStatus.DONE,
    evidence: tuple[str, ...] = (),
) -> Section:
    """A run over some websites, by name and check."""
    said = [
        check(site, method, outcome, *(evidence if outcome is Outcome.FAIL else ()))
        for site, checks in found.items()
        for method, outcome in checks.items()
    ]
    # As the probe does: one answer for each family beside the checks.
    said += [
        Observation("site_ipv6", "LEVEL", Target(TargetKind.SITE, site), Outcome.PASS, 0.0, {"ipv6": "pass"})
        for site in found
    ]
    return state(name, *said, at=at, status=status, probe="site_ipv6")


def network(
    prefix: str, checks: Mapping[str, Outcome], *, at: float, name: str = "network", prefixes: tuple[str, ...] = ()
) -> Section:
    """A run over the gateway's own network: NET checks are about itself, LAN checks about a prefix."""
    said = [
        Observation(
            "network",
            method,
            Target(TargetKind.NETWORK, prefix) if method.startswith("LAN-") else Target(TargetKind.AGENT, "self"),
            outcome,
            0.0,
            {"code": "", "evidence": (), **({"prefixes": prefixes} if prefixes else {})},
        )
        for method, outcome in checks.items()
    ]
    return state(name, *said, at=at, probe="network")
