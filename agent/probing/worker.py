"""The confined process in which a probe runs: it says what the probe yields, line by line, and nothing else.

It is forked from the guard and never returns to it. Its `except Exception` is the wall between
probes and the agent: whatever a probe does wrong ends with its own process and becomes one CRASHED section.
"""

import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

from agent.policy import NONE, read_whole
from agent.probing.collect import say
from agent.probing.job import Job, net_of
from agent.process import confine
from probes.kit import options, registry
from probes.kit.contract import CannotRun, Context, Privilege, Probe, Progress, Silent
from probes.kit.errors import OptionError, Refused, ScopeError, UnknownProbe
from probes.kit.reasons import MAX_REASON, because
from probes.kit.sending.net import Net
from wire.codec import decode, to_plain
from wire.errors import WireError
from wire.installed import command_for
from wire.types import Coverage, Observation, Outcome, Policy, Skipped, TargetKind

_EXTRAS = {"raw": "scapy", "snmp": "pysnmp"}
_CAPABILITIES = {Privilege.NET_RAW: confine.CAP_NET_RAW}
_PROGRESS_SECONDS = 0.2
_SENT = frozenset({Outcome.OPEN, Outcome.CLOSED, Outcome.FILTERED, Outcome.OPEN_FILTERED})
"""Outcomes that only packets of our own can have brought about."""


def work(job: Job, channel: int, errors: int, guard: int, started: float) -> NoReturn:
    """Confine this process, run the probe, say how it ended and exit; `started` is on time.monotonic()."""
    status = 1
    try:
        os.setsid()
        confine.end_with_parent(guard)
        # Whatever a library prints goes to the log, not between the lines of the channel.
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in ((0, nothing), (1, errors), (2, errors)):
            os.dup2(source, number)
        confine.close_all_but((channel,))
        _isolate(job, _Channel(channel), started)
        sys.stderr.flush()
        status = 0
    finally:
        # Never back into the guard's code, whatever was raised.
        os._exit(status)


def _isolate(job: Job, channel: "_Channel", started: float) -> None:
    try:
        last = _run(job, channel, started)
    except MemoryError:
        last = {"status": "crashed", "reason": because("memory_limit", str(job.limits.memory))}
    except Exception as error:  # noqa: BLE001 (the isolation wall)
        traceback.print_exc()
        last = {"status": "crashed", "reason": because("crashed", f"{type(error).__name__}: {error}")}
    channel.say("last", last)


class _Channel:
    """Lines to the guard; each is written at once, so that it survives whatever ends this process."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def say(self, word: str, value: object) -> None:
        rest = memoryview(say(word, value))
        while rest:
            rest = rest[os.write(self._handle, rest) :]


def _run(job: Job, channel: _Channel, started: float) -> dict[str, Any]:
    limits = job.limits
    files = limits.connections + confine.SPARE_FILES
    confine.limit(limits.memory, int(job.seconds + job.grace) + 5, files)
    confine.drop_privileges(_CAPABILITIES.values())
    try:
        probe = registry.load(job.probe)
        channel.say("kind", probe.kind.value)
        confine.limit(min(limits.memory, probe.memory), int(job.seconds + job.grace) + 5, files)
        confine.drop_privileges(_CAPABILITIES[privilege] for privilege in probe.privileges)
        _require(probe)
        given = options.build(probe, job.options)
        policy = _policy(job)
        net = net_of(job)
    except (UnknownProbe, ImportError) as error:
        return _cannot_run(because("cannot_load", str(error)))
    except OptionError as error:
        return _cannot_run(because("bad_options", str(error)))
    except (CannotRun, ScopeError, WireError) as error:
        return _cannot_run(str(error))
    context = Context(net, policy, started + job.seconds, confine.drop_privileges)
    try:
        _pass_on(probe, given, context, channel)
    except CannotRun as error:
        return _cannot_run(str(error), net)
    except Refused as error:
        # The probe left it to us to say what it was refused.
        channel.say("skipped", to_plain(error.skipped))
    return {"status": "done", "refusals": net.refusals, "sent": net.sent}


def _policy(job: Job) -> Policy:
    if job.policy:
        return decode(Policy, job.policy)
    if job.policy_file is None:
        return NONE
    try:
        return read_whole(job.policy_file)
    except OSError as error:
        raise CannotRun(because("cannot_load", f"{job.policy_file}: {error.strerror}")) from None


def _pass_on(probe: Probe[Any], given: object, context: Context, channel: _Channel) -> None:
    said = -_PROGRESS_SECONDS
    yielded: Iterator[object] = probe.run(given, context)
    for item in yielded:
        if isinstance(item, Observation):
            if _was_sent_outside(item, context.net):
                # A fault of the probe: never taken for a fact, and never passed over in silence.
                item = Skipped(item.target.name, because("out_of_scope", "the probe reported on it all the same"))
                channel.say("skipped", to_plain(item))
            else:
                _say_observation(item, channel)
        elif isinstance(item, Coverage):
            channel.say("coverage", to_plain(item))
        elif isinstance(item, Silent):
            channel.say("silent", to_plain(item.area))
        elif isinstance(item, Skipped):
            channel.say("skipped", to_plain(item))
        elif isinstance(item, Progress):
            now = time.monotonic()
            if now - said >= _PROGRESS_SECONDS or item.done >= item.total:
                said = now
                channel.say("progress", to_plain(replace(item, note=item.note[:1024])))
        else:
            kind = type(item).__name__
            raise TypeError(f"a probe yields observations, coverage, skipped parts or progress, not {kind}")


def _say_observation(item: Observation, channel: _Channel) -> None:
    try:
        channel.say("observation", to_plain(item))
    except ValueError as error:  # NaN or infinity among its values
        channel.say("skipped", to_plain(Skipped(item.target.name[:1024], because("bad_output", str(error)))))
        channel.say("observation", to_plain(replace(item, values={})))  # what is covered and not told counts as absent


def _was_sent_outside(item: Observation, net: Net) -> bool:
    if not net.sent or item.outcome not in _SENT or item.target.kind not in (TargetKind.HOST, TargetKind.SERVICE):
        return False
    from ipaddress import ip_address

    try:
        address = ip_address(item.target.name)
    except ValueError:
        return False  # a name: which address it led to was checked where the packets left
    return not net.ports_of(address)


def _require(probe: Probe[Any]) -> None:
    for extra in probe.needs:
        if importlib.util.find_spec(_EXTRAS[extra]) is None:
            raise CannotRun(because("not_installed", command_for(extra)))


def _cannot_run(reason: str, net: Net | None = None) -> dict[str, Any]:
    return {
        "status": "cannot_run",
        "reason": reason[:MAX_REASON],
        "refusals": net.refusals if net else 0,
        "sent": net.sent if net else 0,
    }
