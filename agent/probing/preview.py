"""What a job would send: the answer to a dry run, from the probe itself and from the caps that the runner would set."""

from agent.probing.job import Job, net_of
from probes.kit import options, registry
from probes.kit.contract import CannotRun, Preview


def preview(job: Job) -> Preview | None:
    """Work out what a job would send, here and now; None where its probe cannot tell. Sends nothing, starts nothing.

    Raises what a run would give as its reason: UnknownProbe, OptionError, ScopeError or CannotRun.
    """
    probe = registry.load(job.probe)
    given = options.build(probe, job.options)
    if probe.preview is None:
        return None
    try:
        return probe.preview(given, net_of(job))
    except OSError as error:
        raise CannotRun(f"the kernel does not tell its routes: {error.strerror}") from None
