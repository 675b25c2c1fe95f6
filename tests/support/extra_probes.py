"""Probes that only tests have, next to the real ones: a copy of the package that goes before it on PYTHONPATH."""

import os
import shutil
from pathlib import Path

import probes

_EXTRA = Path(__file__).parent.parent / "agent" / "hostile"


def with_test_probes(folder: Path) -> str:
    """Copy the probes and those of the tests into a folder, and give what PYTHONPATH must be."""
    shutil.copytree(Path(probes.__file__).parent, folder / "probes", ignore=shutil.ignore_patterns("__pycache__"))
    for probe in _EXTRA.glob("*.py"):
        shutil.copy(probe, folder / "probes")
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
