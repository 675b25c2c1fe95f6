"""Which probes there are: the files of the folder, each imported only when it is used."""

import importlib
from pathlib import Path
from typing import Any

from probes.kit.contract import Probe
from probes.kit.errors import UnknownProbe
from wire.text import Text

_FOLDER = Path(__file__).resolve().parent.parent


def names() -> tuple[str, ...]:
    """List the names of all probes in order, without importing any."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.py") if not file.stem.startswith("_")))


def load(name: str) -> Probe[Any]:
    """Import one probe; raises UnknownProbe, whose text lists those that there are."""
    if name not in names():
        shown, others = repr(name[:64]), ", ".join(names())
        raise UnknownProbe(Text(f"没有探测项 {shown}；可用 {others}", f"there is no probe {shown}; there are {others}"))
    probe = importlib.import_module(f"probes.{name}").PROBE
    if not isinstance(probe, Probe):
        file = f"probes/{name}.py"
        raise UnknownProbe(Text(f"{file}：结尾缺少 PROBE = Probe(...)", f"{file} does not end with PROBE = Probe(...)"))
    return probe


def name_of(probe: Probe[Any]) -> str:
    """Give the name of a probe: that of the file in which its options stand."""
    return probe.options.__module__.rpartition(".")[2]
