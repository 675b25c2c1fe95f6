"""Sections for tests that store or send them."""

import functools
import random
from dataclasses import replace

from wire.digest import section_digest
from wire.types import (
    Body,
    Coverage,
    Observation,
    Outcome,
    RunStatus,
    Section,
    SectionKind,
    Target,
    TargetKind,
    Value,
)


def section(
    name: str = "ports",
    *,
    kind: SectionKind = SectionKind.STATE,
    status: RunStatus = RunStatus.DONE,
    time: float = 1_800_000_000.0,
    filler: int = 0,
    **values: Value,
) -> Section:
    """One section with one observation that says `values`; `filler` adds about so many bytes that do not compress."""
    if filler:
        text = _noise(filler)
        values = {**values, "filler": tuple(text[index : index + 1000] for index in range(0, len(text), 1000))}
    target = Target(TargetKind.HOST, "127.0.0.1")
    observation = Observation("test", "test", target, Outcome.SEEN, time, values)
    coverage = (Coverage(("127.0.0.1/32",), 4),) if status in (RunStatus.DONE, RunStatus.PARTIAL) else ()
    body = Body((observation,), coverage)
    made = Section(name, "test", kind, status, "", time, time + 1, "", body)
    return replace(made, digest=section_digest("test", status, "", body))


@functools.cache
def _noise(size: int) -> str:
    """Text that zlib cannot shrink much, the same each time."""
    source = random.Random(size)
    return "".join(chr(source.randrange(0x4E00, 0x9FA5)) for _ in range(size // 2))
