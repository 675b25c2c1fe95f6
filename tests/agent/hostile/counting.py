"""A probe whose every run makes one measurement that no other run ever makes again."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from probes.kit.contract import Context, Probe, Yield
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Target, TargetKind


@dataclass(frozen=True, slots=True)
class Options:
    """None."""


def run(options: Options, context: Context) -> Iterator[Yield]:
    values = {"number": f"{time.time_ns()}-{os.getpid()}"}
    yield Observation("counting", "test", Target(TargetKind.AGENT, "self"), Outcome.MEASURED, time.time(), values)


PROBE = Probe(Text("计数", "counts"), SectionKind.MEASUREMENT, Options, run)
