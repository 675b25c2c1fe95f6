"""What was asked for, as a scan says it of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from rules.facts import UNKNOWN
from wire.types import ScopeEntry


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator asked for; `ports`, `udp` and `whitelist` are as typed, empty when not given.

    `vantage` is where the scan is made from, as the operator says.
    """

    targets: tuple[str, ...]
    names: Mapping[str, str]
    ports: str
    udp: str
    scope: tuple[ScopeEntry, ...]
    whitelist: str
    exclude: tuple[str, ...] = ()
    profile: str = ""
    vantage: str = UNKNOWN
