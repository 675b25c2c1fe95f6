"""Runs the real command line in a process of its own, with a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jsonschema_rs

Done = subprocess.CompletedProcess[str]
SCHEMA = json.loads((files("edusec") / "schemas" / "scan-1.json").read_text(encoding="utf-8"))
VALID = jsonschema_rs.validator_for(SCHEMA)
"""Validates a line of `edusec scan --json`."""


def argv(*words: str | os.PathLike[str]) -> list[str]:
    """The command line that runs edusec with this interpreter."""
    return [sys.executable, "-P", "-m", "edusec", *map(os.fspath, words)]


def edusec(*words: str | os.PathLike[str], env: Mapping[str, str] | None = None, seconds: float = 60) -> Done:
    """Run edusec to its end; `env` is added to the environment of the test."""
    return subprocess.run(
        argv(*words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
        env={**os.environ, **(env or {})},
    )


def json_lines(done: Done) -> list[dict[str, Any]]:
    """The JSON Lines on standard output."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The lines of one type."""
    return [line for line in lines if line["type"] == kind]
