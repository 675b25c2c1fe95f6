"""A probe that declares NET_RAW, and says which capabilities it and a program that it executes hold."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from probes.kit.contract import Context, Privilege, Probe, Yield
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Target, TargetKind


@dataclass(frozen=True, slots=True)
class Options:
    """None."""


def run(options: Options, context: Context) -> Iterator[Yield]:
    own = Path("/proc/self/status").read_text(encoding="ascii")
    helper = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    values = {"own": _effective(own), "helper": _effective(helper), "no_new_privs": "NoNewPrivs:\t1" in helper}
    yield Observation("raw_packets", "test", Target(TargetKind.AGENT, "self"), Outcome.SEEN, time.time(), values)


def _effective(status: str) -> str:
    return next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))


PROBE = Probe(Text("原始套接字", "raw"), SectionKind.STATE, Options, run, privileges=frozenset({Privilege.NET_RAW}))
