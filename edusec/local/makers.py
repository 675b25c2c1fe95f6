"""Who made the network cards that a scan or a discovery saw, by the lists on this machine."""

from collections.abc import Iterable

from edusec.local.places import maker_folder
from probes.kit.makers.table import Makers, Source, imported, installed, look_up


def maker_sources() -> tuple[Source, ...]:
    """Give the lists of MAC prefixes that are used: the operator's imports, then the one that a package brought."""
    return (*imported(maker_folder()), *installed())


def makers_of(macs: Iterable[str]) -> Makers:
    """Look the makers of some cards up; nothing is read where there is no MAC."""
    return look_up(maker_sources(), macs)
