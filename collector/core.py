"""The running collector: store, memory and judge behind one object that every other function takes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from collector.settings import Settings
from collector.views import Counts
from wire.types import Responder


class Core:
    """A running collector."""

    def healthy(self) -> bool:
        """Tell whether the store takes writes."""
        raise NotImplementedError

    def counts(self) -> Counts:
        """Give the stock of the store, for metrics."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        raise NotImplementedError


def open_core(
    database: Path,
    settings: Settings,
    packs: Sequence[Path] = (),
    clock: Callable[[], float] = time.time,
    responder: Callable[[str], Responder | None] = lambda _agent: None,
) -> Core:
    """Open a database."""
    raise NotImplementedError
