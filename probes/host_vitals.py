"""Health of the gateway itself: processor, memory, disk, load, uptime and traffic."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probes.kit.contract import CannotRun, Context, Probe, Yield
from probes.kit.machine import proc
from probes.kit.options import option
from probes.kit.reasons import because
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Target, TargetKind, Value


@dataclass(frozen=True, slots=True)
class Options:
    """What to sample."""

    sample: float = option(
        1.0, zh="CPU 占用的采样时间", en="how long to watch the processor", unit="s", minimum=0.1, maximum=60
    )
    disk: str = option("/", zh="检查剩余空间的目录", en="folder whose file system is looked at", pattern=r"/.*")


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Give one measurement; ratios are 0 to 1, counters count since boot."""
    seconds = max(0.1, min(options.sample, context.deadline - time.monotonic() - 0.5))
    try:
        try:
            method, values = "psutil", from_psutil(seconds)
        except ImportError:  # there is no wheel of it for many a router
            method, values = "proc", from_proc(seconds)
        values["disk_ratio"] = _disk(options.disk)
        values["load"] = os.getloadavg()[0]
    except OSError as error:
        raise CannotRun(because("no_accounting", f"{error.filename or ''} {error.strerror}".strip())) from None
    yield Observation("host_vitals", method, Target(TargetKind.AGENT, "self"), Outcome.MEASURED, time.time(), values)


def from_psutil(seconds: float) -> dict[str, Value]:
    """Measure with psutil over so many seconds; the keys are those of `from_proc`."""
    import psutil

    memory = psutil.virtual_memory()
    links = [counters for name, counters in psutil.net_io_counters(pernic=True).items() if name != "lo"]
    return {
        "cpu_ratio": psutil.cpu_percent(seconds) / 100,
        "memory_ratio": (memory.total - memory.available) / memory.total,
        "uptime_seconds": time.time() - psutil.boot_time(),
        "received_bytes": sum(counters.bytes_recv for counters in links),
        "sent_bytes": sum(counters.bytes_sent for counters in links),
    }


def from_proc(seconds: float) -> dict[str, Value]:
    """Measure from /proc alone over so many seconds: ratios from 0 to 1 (None: unknown), seconds, bytes since boot."""
    before = proc.cores()
    time.sleep(seconds)
    idle = proc.idle_share(before, proc.cores())
    total, available = proc.memory()
    received, sent = proc.traffic()
    return {
        "cpu_ratio": None if idle is None else 1 - idle,
        "memory_ratio": (total - available) / total if total else None,
        "uptime_seconds": proc.uptime(),
        "received_bytes": received,
        "sent_bytes": sent,
    }


def _disk(folder: str) -> float:
    """Give the used part of what ordinary users can use of a file system, as df(1) counts it."""
    found = os.statvfs(Path(folder))
    used = found.f_blocks - found.f_bfree
    return used / (used + found.f_bavail) if used + found.f_bavail else 0.0


PROBE = Probe(
    Text("网关自身的运行状况", "health of the gateway itself"),
    SectionKind.MEASUREMENT,
    Options,
    run,
)
