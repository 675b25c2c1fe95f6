"""Samples of measuring probes as the store keeps them: one text for each run, which costs half of a row for each."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from wire.types import Observation, Value

_write = msgspec.json.Encoder().encode


class Sample(NamedTuple):
    """One observation of a measuring probe, with its time as the collector sees it."""

    time: float
    method: str
    target: str
    outcome: str
    duration: float
    values: Mapping[str, Value]


def write_samples(observations: Iterable[Observation], corrected: Callable[[float], float]) -> str:
    """Write the observations of one run, with their times put right."""
    return _write(
        [
            (
                corrected(seen.time),
                seen.method,
                seen.target.name if seen.target.port is None else f"{seen.target.name} {seen.target.port}",
                seen.outcome.value,
                seen.duration,
                dict(seen.values),
            )
            for seen in observations
        ]
    ).decode()


def read_samples(text: str) -> list[Sample]:
    """Read one run back."""
    return [Sample(*parts) for parts in json.loads(text)]
