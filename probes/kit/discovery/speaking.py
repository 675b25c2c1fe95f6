"""Listening to what devices say of themselves while others are asked one by one: a thread with a Net of its own."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from probes.kit.contract import Progress
from probes.kit.discovery.chatter import Chatter
from probes.kit.discovery.descriptions import Announced
from probes.kit.discovery.look import Look
from probes.kit.discovery.sightings import OWN
from probes.kit.errors import Refused
from probes.kit.scope.addresses import Address
from probes.kit.sending.crew import small_threads

_LOOK_SECONDS = 0.1


class Speaking:
    """One round of questions to everybody on the links of an area, between entering and leaving it.

    Who answers is added to the sightings as it comes. Afterwards `announced` holds the pages that devices have about
    themselves, and `refused` what the scope or quiet hours kept back.
    """

    def __init__(self, look: Look, methods: Sequence[str], seconds: float) -> None:
        """The look's net is for the thread alone; names are asked for of those that were seen by now."""
        self.announced = Announced(look.net)
        self.refused: list[Refused] = []
        self._look = look
        self._talk = Chatter(look.net, look.own, methods, look.seen.same)
        self._known = _known(look)
        self._seconds = seconds
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Speaking":
        """Begin."""
        with small_threads():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, also before its time."""
        self._stop.set()
        self._thread.join()
        self.refused = self._talk.refused

    def rest(self) -> Iterator[Progress]:
        """Wait for its own end; raises what went wrong in it."""
        while self._thread.is_alive():
            yield Progress(int(100 * min(1.0, (time.monotonic() - self._started) / self._seconds)), 100)
            self._thread.join(_LOOK_SECONDS)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._listen()
        except BaseException as error:  # noqa: BLE001 - raised again by `rest`
            self._failure = error

    def _listen(self) -> None:
        area, seen = self._look.area, self._look.seen
        for spoken in self._talk.run(area.links, self._known, self._seconds, self._look.deadline):
            if self._stop.is_set():
                break
            if spoken is None or not area.wants(spoken.sender):
                continue
            if spoken.sender.is_link_local or self._look.net.ports_of(spoken.sender):
                seen.see(spoken.sender, spoken.told.method, interface=spoken.interface)
                seen.tell(spoken.sender, spoken.told)
                self.announced.note(spoken.sender, spoken.told)


def _known(look: Look) -> Mapping[str, Sequence[Address]]:
    known: dict[str, list[Address]] = {name: [] for name, _ in look.area.links}
    for item in look.seen.all():
        if item.interface in known and OWN not in item.via and look.net.ports_of(item.address):
            known[item.interface].append(item.address)
    return known
