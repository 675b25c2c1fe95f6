"""WEB-V6ONLY: the home page once more as a visitor without any IPv4 gets it, names, redirects and sub-resources alike.

Its names come from resolvers with an IPv6 address alone, its connections go to IPv6 addresses alone; nothing that the
other checks found is taken over, so that a site which only works because IPv4 helped is caught.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from probes.kit.errors import Refused
from probes.kit.exchange.resolve import TELLING
from probes.kit.exchange.web import Url, parse_url
from probes.kit.ipv6.names import Names
from probes.kit.ipv6.site.journey import Journey
from probes.kit.ipv6.site.markup import References
from probes.kit.scope.addresses import Address
from wire.types import Outcome

MAX_PARTS = 60
"""Sub-resources of one page that are tried; each host and port once."""
DISAGREE = "the resolvers disagree about its AAAA"
_REMOTE = frozenset({Outcome.CLOSED, Outcome.FILTERED})


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of it: the journey to the home page, the parts it lacks, and those that could not be tried.

    `missing` are scripts and styles, `blemishes` images and the like. `resolver` is False without one on IPv6.
    """

    resolver: bool = True
    journey: Journey | None = None
    missing: tuple[str, ...] = ()
    blemishes: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()


class Parts:
    """Tries the sub-resources of a page over IPv6; a host and port that was tried is not tried again."""

    def __init__(
        self, names: Names, usual: Names, connect: Callable[[Address, int], Outcome], dead: Iterable[str] = ()
    ) -> None:
        """`names` asks over IPv6 only and `usual` as ever; `connect` tries a port of an address.

        Hosts in `dead` work over no family, so that nothing of theirs is missed for want of IPv4.
        """
        self._names, self._usual, self._connect, self._dead = names, usual, connect, frozenset(dead)
        self._known: dict[tuple[str, int], tuple[bool | None, str]] = {}

    def look(self, page: References, home: Url) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Give what is missing of scripts and styles, of all else, and what could not be tried."""
        missing, blemishes, untried = list[str](), list[str](), list[str]()
        for urls, lacking in ((page.active, missing), (page.passive, blemishes)):
            for text, works, told in self._try(urls, home):
                if works is None:
                    untried.append(f"{text}: {told}")
                elif not works:
                    lacking.append(f"{text}: {told}")
        return tuple(missing), tuple(blemishes), tuple(untried)

    def _try(self, urls: Iterable[str], home: Url) -> Iterable[tuple[str, bool | None, str]]:
        for text in urls:
            try:
                url = parse_url(text)
            except ValueError:
                continue  # no address that a browser would load, over any family
            place = (url.host, url.port)
            if place == (home.host, home.port) or url.host in self._dead:
                continue
            if place not in self._known:
                if len(self._known) >= MAX_PARTS:
                    return
                self._known[place] = self._usable(url)
                works, told = self._known[place]
                yield text[:200], works, told

    def _usable(self, url: Url) -> tuple[bool | None, str]:
        address = url.address
        if address is not None and address.version == 4:
            return False, "an IPv4 address"
        try:
            answer = self._names.ask(url.host, "AAAA")
            usable, known = self._names.usable(url.host), self._usual.usable(url.host)
        except (Refused, ValueError) as error:
            return None, str(error)[:200]
        if answer.status not in TELLING:
            return None, f"dns {answer.status}"
        if not usable:
            return (None, DISAGREE) if known else (False, "no usable AAAA")
        outcomes = [self._connect(item, url.port) for item in usable[:2]]
        if Outcome.OPEN in outcomes:
            return True, ""
        return (False if outcomes[0] in _REMOTE else None), f"{usable[0]} port {url.port}: {outcomes[0]}"
