"""What a run says about who a device is, read out of what it saw; `weights.py` beside it has the worth. Pure."""

from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType

from collector.inventory.identity.weights import ENOUGH, HOST_KINDS, WEIGHTS, Proof, Proofs, read_proofs, weigh
from collector.sightings.picture import HOST, SERVICE, Picture, place, values_of

_OF: Mapping[str, tuple[str, ...]] = {HOST: HOST_KINDS, SERVICE: ("hostkey", "cert")}


def gather(picture: Picture, macs: Mapping[str, str] = MappingProxyType({})) -> Proofs:
    """Read everything that a run says about identity, and weigh it. `macs` are those of its names."""
    said: dict[str, set[Proof]] = {}
    for key, (_, detail) in picture.seen.items():
        if found := _told(key, detail):
            said.setdefault(place(key).name, set()).update(found)
    return weigh(said, macs)


def displaced(altered: Iterable[tuple[str, str, str, bool]], changed: Container[str], picture: Picture) -> set[str]:
    """Give the names at which somebody else answers than before: where it said who it is, it now says otherwise.

    `altered` holds the key of each sighting that changed, with its detail before and now, and whether the run before
    confirmed it; `changed` these keys and those that are new. A name at which anything goes on saying what it said is
    left out.
    """
    weight: dict[str, dict[str, float]] = {}
    same: set[str] = set()
    for key, old, new, confirmed in altered:
        was, now = _told(key, old), _told(key, new)
        name = place(key).name
        if was & now and confirmed:
            same.add(name)
        for kind in {kind for kind, _ in was} & {kind for kind, _ in now} - {kind for kind, _ in was & now}:
            weight.setdefault(name, {})[kind] = WEIGHTS[kind]
    found = {name for name, kinds in weight.items() if sum(kinds.values()) >= ENOUGH} - same
    for key, (_, detail) in picture.seen.items() if found else ():
        if key not in changed and _told(key, detail):
            found.discard(place(key).name)
    return found


def _told(key: str, detail: str) -> set[Proof]:
    """Read what one sighting says of identity."""
    kinds = _OF.get(key[0], ())
    if not any(f'"{kind}"' in detail for kind in kinds):
        return set()
    values = values_of(detail)
    return {proof for kind in kinds for proof in read_proofs(kind, values)}
