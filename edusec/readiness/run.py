"""The running of several probes for one answer, one after the other, all with what the operator chose."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agent.probing.job import Job
from edusec.declare.flags import given
from edusec.local.scopes import scope_of
from edusec.running import run_job
from probes.kit import registry
from probes.kit.options import describe
from wire.types import Section, Value

Options = Mapping[str, Value]


def choose(options: Mapping[str, Any]) -> dict[str, Value]:
    """Give the options that were given; the targets that prove this machine's own IPv6 may stand in the environment."""
    chosen = given(options)
    if "self_targets" not in chosen and (text := os.environ.get("EDUSEC_SELF_TARGETS")):
        chosen["self_targets"] = tuple(text.split(","))
    return chosen


def taken_by(probe: str, chosen: Options) -> dict[str, Value]:
    """Give those of some options that a probe has."""
    names = {item.name for item in describe(registry.load(probe))}
    return {name: value for name, value in chosen.items() if name in names}


def run_each(
    runs: Iterable[tuple[str, Options]], scope: Path | None, *, time_limit: float, quiet: bool
) -> tuple[list[Section], bool]:
    """Run probes with their options; gives their sections, and whether the operator ended one and with it the rest."""
    allowed = scope_of(scope)
    sections: list[Section] = []
    for probe, options in runs:
        ran = run_job(Job(probe, probe, time_limit, options, allowed.entries, scope_file=allowed.file), quiet=quiet)
        sections.append(ran.section)
        if ran.interrupted:
            return sections, True
    return sections, False
