"""Who is there, found out first: then only those are scanned, and of the others it is said what is known."""

import time
from dataclasses import replace
from ipaddress import ip_address

from agent.probing.job import Job
from edusec.declare.flags import check_options
from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.running import Ran, run_job
from edusec.scan.request.wanted import Work
from edusec.scan.run.batches import Batch, areas
from probes.kit.reasons import explain
from probes.kit.scope.targets import parse_targets, prefixes
from wire.types import Body, Outcome, RunStatus, TargetKind

PROBE = "discovery"
_METHODS = ("arp", "nd", "tcp", "icmp", "neighbour_table")
"""Those that ask one address at a time; what is announced to everybody adds nothing to a list of addresses."""
_LEAST_SECONDS = 1.0


def job_of(work: Work) -> Job:
    """Give the discovery of everybody whom the work is about; raises Stop for addresses that it is not for."""
    (area,) = areas(work.parts[:1], parse_targets(work.prefixes), ())
    options = {"targets": Batch(area, 0).targets, "methods": _METHODS, "leases": ()}
    check_options(PROBE, options)
    if any(span.zone for span in area.spans):
        raise Stop(t("--discover 不用于链路本地地址", "--discover is not for link-local addresses"))
    scope = work.scope
    return Job("scan", PROBE, work.seconds, options, scope.entries, limits=work.limits, scope_file=scope.file)


def discovered(work: Work, *, quiet: bool) -> tuple[Work, Ran]:
    """Give the work on those that are there, in the time that is left, and what discovery says of all.

    Raises Stop when nobody could be asked. Loopback is taken to be there. Of an interrupted run the work stays whole.
    """
    job, spans = job_of(work), parse_targets(work.prefixes)
    started = time.monotonic()
    ran = run_job(job, quiet=quiet)
    if ran.section.status in {RunStatus.CANNOT_RUN, RunStatus.CRASHED}:
        raise Stop(f"{PROBE}: {explain(ran.section.reason, current())}", ExitCode.PARTIAL)
    if ran.interrupted:
        return work, ran
    seen = {
        ip_address(item.target.name)
        for item in (ran.section.body or Body()).observations
        if item.target.kind is TargetKind.HOST and item.outcome is Outcome.SEEN
    }
    # Of those alone that were asked for: a neighbour shows its link-local address as well.
    there = {address for span in spans for address in span if address in seen or address.is_loopback}
    found = tuple(text for version in (4, 6) for text in prefixes(one for one in there if one.version == version))
    left = max(_LEAST_SECONDS, work.seconds - (time.monotonic() - started))
    return replace(work, prefixes=found, seconds=left), ran
