"""What one run shows of addresses right now, against which the word of earlier runs may be out of date."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from collector.sightings.coverage import Area


@dataclass(frozen=True, slots=True)
class Look:
    """The names of hosts in a run, their MACs where it tells them, and what it covered.

    `shared` holds invented MACs that it saw behind several interfaces.
    """

    hosts: AbstractSet[str] = frozenset()
    macs: Mapping[str, str] = field(default_factory=dict)
    covered: Area = field(default_factory=Area)
    shared: AbstractSet[str] = frozenset()

    def denies(self, name: str, macs: AbstractSet[str]) -> bool:
        """Tell whether a device with these MACs, once seen at an address, is there no more."""
        mac = self.macs.get(name, "")
        if mac:
            return mac not in macs
        return name not in self.hosts and self.covered.host(name)
