"""What became of devices whose truth is known: pairs of sightings that one asset holds, rightly or wrongly."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Pairs(NamedTuple):
    """Ordered pairs of sightings: one device in one asset, two devices in one asset, one device in two assets."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """The share of pairs in one asset that are one device, 0-1."""
        return self.right / (self.right + self.wrong) if self.right else 1.0

    @property
    def recall(self) -> float:
        """The share of pairs of one device that are in one asset, 0-1."""
        return self.right / (self.right + self.missed) if self.right else 1.0


@dataclass
class Confusion:
    """Sightings by (device, asset)."""

    seen: Counter[tuple[int, str]] = field(default_factory=Counter)

    def add(self, device: int, asset: str) -> None:
        """Take one sighting of a device that the collector gave to an asset."""
        self.seen[device, asset] += 1

    def renamed(self, heirs: Mapping[str, str]) -> "Confusion":
        """Give the same after merges: `heirs` says which asset lives on for one that was merged away."""
        found = Confusion()
        for (device, asset), count in self.seen.items():
            found.seen[device, heirs.get(asset, asset)] += count
        return found

    def mixed(self) -> dict[str, set[int]]:
        """Give the assets that hold more than one device."""
        held: dict[str, set[int]] = {}
        for device, asset in self.seen:
            held.setdefault(asset, set()).add(device)
        return {asset: devices for asset, devices in held.items() if len(devices) > 1}

    def pairs(self, some: Collection[int] | None = None) -> Pairs:
        """Count pairs of sightings; given some devices, those pairs in which a sighting of theirs is the first."""
        of_device, of_asset = Counter[int](), Counter[str]()
        for (device, asset), count in self.seen.items():
            of_device[device] += count
            of_asset[asset] += count
        right = wrong = missed = 0
        for (device, asset), count in self.seen.items():
            if some is None or device in some:
                right += count * (count - 1)
                wrong += count * (of_asset[asset] - count)
                missed += count * (of_device[device] - count)
        return Pairs(right, wrong, missed)
