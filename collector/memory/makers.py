"""Who made network cards, in memory: read when it is first asked for, and again when a list was imported since."""

from pathlib import Path

from probes.kit.makers.table import Makers, Source, imported, installed, look_up

_Stamp = tuple[tuple[str, str, int, int], ...]


class CardMakers:
    """The lists of a collector: those imported into its data folder, then the one that a package brought."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder of imports; nothing is read yet."""
        self._folder = folder
        self._held: tuple[_Stamp, Makers] = ((), Makers({}))

    def now(self) -> Makers:
        """Give the makers of all lists as they are now; without a list there are none."""
        sources = (*(imported(self._folder) if self._folder else ()), *installed())
        stamp = _stamp(sources)
        if self._held[0] != stamp:
            self._held = stamp, look_up(sources)
        return self._held[1]


def _stamp(sources: tuple[Source, ...]) -> _Stamp:
    found = []
    for source in sources:
        for file in source.files:
            try:
                told = file.stat()
            except OSError:
                continue  # removed just now: the next one who asks reads again
            found.append((source.name, str(file), told.st_mtime_ns, told.st_size))
    return tuple(found)
