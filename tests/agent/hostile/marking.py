"""A probe whose every run leaves a line behind, so that a test can count runs whatever becomes of their results."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from probes.kit.contract import Context, Probe, Progress, Yield
from probes.kit.options import option
from wire.text import Text
from wire.types import Coverage, Observation, Outcome, SectionKind, Target, TargetKind


@dataclass(frozen=True, slots=True)
class Options:
    place: str = option("", zh="位置", en="where to leave the line")
    tag: str = option("", zh="标记", en="the line")
    seconds: float = option(0.0, zh="秒", en="how long it takes", minimum=0, maximum=60)


def run(options: Options, context: Context) -> Iterator[Yield]:
    handle = os.open(options.place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{options.tag}\n".encode())
    os.close(handle)
    end = time.monotonic() + options.seconds
    count = 0
    while time.monotonic() < end:
        count += 1
        yield Progress(count, 1000, "marking")
        time.sleep(0.02)
    yield Observation("marking", "test", Target(TargetKind.HOST, "127.0.0.1"), Outcome.SEEN, time.time())
    yield Coverage(("127.0.0.1/32",), 4)


PROBE = Probe(Text("留痕", "leaves a line"), SectionKind.STATE, Options, run)
