"""One look at the networks: whom it may ask and until when, what has been seen, and what is settled of the rest."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from probes.kit.discovery.area import Area
from probes.kit.discovery.sightings import Sightings
from probes.kit.errors import Refused
from probes.kit.machine.neighbours import Own
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Gate, Net
from wire.types import Skipped

if TYPE_CHECKING:
    from probes.kit.scan.udp import Answered


@dataclass(slots=True)
class Settled:
    """Addresses whose presence or absence is settled, what routers call absent (`gone`), what was not done and why.

    `silent` are those of each link that the kernel asked for in vain, settled once `ask_silent_again` was through; of
    the NetBIOS questions that it takes, `answers` are signs of life, and `asked` are all hosts that they reached.
    """

    addresses: list[Address] = field(default_factory=list)
    gone: list[Address] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unfinished: list[Address] = field(default_factory=list)
    lossy: list[Address] = field(default_factory=list)
    down: list[Address] = field(default_factory=list)
    silent: dict[str, list[Gate]] = field(default_factory=dict)
    answers: "list[Answered]" = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    stopped: Refused | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A run, as every method of it is given it; `deadline` is on time.monotonic(), `own` are this machine's addresses.

    A method that is to have a part of the rate gets a look with another `net`; what it sees and settles is of all.
    """

    net: Net
    own: tuple[Own, ...]
    area: Area
    deadline: float
    seen: Sightings = field(default_factory=Sightings)
    settled: Settled = field(default_factory=Settled)
