"""How often the inventory takes two devices for one, or one for two, on a made-up campus whose truth is known.

Every half-day each address is compared: which device was there, and which asset did the collector say it is? Two
sightings of one device in one asset are a true pair; precision falls with each wrong merge, recall with each split. Run
it as `python bench/identity.py`; options below.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.campus import Campus, Kind, live
from tests.support.collectors import desk
from tests.support.confusion import Confusion


def main() -> None:
    """Live some months and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--devices", type=int, default=300)
    options.add_argument("--days", type=int, default=30)
    options.add_argument("--seeds", type=int, default=1, help="months that are lived, each with other chances")
    chosen = options.parse_args()
    for seed in range(1, chosen.seeds + 1):
        campus = Campus(chosen.devices, seed)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, desk(Path(folder)) as made:
            found = live(campus, made, 2 * chosen.days)
        _print(campus, found, f"seed {seed}: {time.perf_counter() - started:.1f} s")


def _print(campus: Campus, found: Confusion, title: str) -> None:
    sightings, mixed = sum(found.seen.values()), found.mixed()
    right, wrong, missed = whole = found.pairs()
    apart = sightings * (sightings - 1) - right - wrong - missed
    print(f"{title}, {len(campus.devices)} devices, {sightings} sightings, {len(mixed)} assets hold several devices")
    print(f"{'pairs of sightings':32}{'one asset':>12}{'two assets':>12}")
    print(f"{'one device':32}{right // 2:12}{missed // 2:12}")
    print(f"{'two devices':32}{wrong // 2:12}{apart // 2:12}")
    print(f"{'kind of device':36}{'devices':>8}{'assets':>8}{'mixed':>8}{'precision':>11}{'recall':>9}")
    for kind in Kind:
        some = {device.number for device in campus.devices if device.kind is kind}
        assets = {asset for device, asset in found.seen if device in some}
        pairs = found.pairs(some)
        count = f"{len(some):8}{len(assets):8}{len(assets & set(mixed)):8}"
        print(f"{kind.value:36}{count}{pairs.precision:11.4f}{pairs.recall:9.4f}")
    assets = {asset for _, asset in found.seen}
    count = f"{len(campus.devices):8}{len(assets):8}{len(mixed):8}"
    print(f"{'all':36}{count}{whole.precision:11.4f}{whole.recall:9.4f}")
    kinds = {device.number: device.kind.name for device in campus.devices}
    together = Counter(" + ".join(sorted(kinds[one] for one in devices)) for devices in mixed.values())
    for names, times in together.most_common(12):
        print(f"  taken for one: {names} ({times} x)")


if __name__ == "__main__":
    main()
