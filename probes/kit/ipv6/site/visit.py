"""Fetching over one family for one site: politely, within its time, and with the proof of a PMTU black hole."""

import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urljoin

from probes.kit.errors import Refused
from probes.kit.exchange.web import Stage, Url, parse_url
from probes.kit.ipv6.model import Settings
from probes.kit.ipv6.names import Names
from probes.kit.ipv6.site.fetch import PATIENCE, Page, Wish, authorities, fetch
from probes.kit.ipv6.site.journey import Journey, follow
from probes.kit.ipv6.site.quic import Handshake, shake_hands
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from wire.types import Outcome

_PROOFS = 2
"""Stalls that are looked into; a server that hangs costs four times its timeout at most."""


class Visitor:
    """All fetches of one site. `proof` is the page that came only with smaller segments; they stay small then."""

    def __init__(
        self, net: Net, names: Names, settings: Settings, wish: Wish, deadline: float, single: Names | None = None
    ) -> None:
        """`deadline` is on time.monotonic(): nothing is begun that could end after it.

        `single` asks over IPv6 alone; None without a resolver that has an IPv6 address.
        """
        self._net, self._settings, self._wish = net, settings, wish
        self._deadline, self._next, self._proofs = deadline, 0.0, 0
        self.names = names
        self.single = single
        self.dead: frozenset[Address] = frozenset()
        self.proof: Page | None = None
        self.largest = 0

    def handshake(self, url: Url, address: Address, port: int) -> Handshake:
        """Shake hands by QUIC; what the scope refuses was not tried."""
        try:
            return shake_hands(self._net, url, address, port, timeout=self._wish.timeout, ca=authorities(self._wish))
        except Refused as refusal:
            return Handshake(address, done=False, problem=str(refusal.skipped.reason)[:200], tried=False)

    def in_time(self) -> bool:
        """Tell whether there is time for one more fetch."""
        return time.monotonic() + (1 + PATIENCE) * self._wish.timeout < self._deadline

    def connect(self, address: Address, port: int) -> Outcome:
        """Try one port and close again; DENIED when the scope does not allow it."""
        try:
            attempt = self._net.connect(address, port, self._wish.timeout)
        except Refused:
            return Outcome.DENIED
        if attempt.connection is not None:
            attempt.connection.reset()
        return attempt.outcome

    def journey(self, url: Url, family: int, *, body: int | None = None, names: Names | None = None) -> Journey:
        """Fetch a URL and all its redirects within one family; `names` answers instead of the usual resolvers."""
        asked = names or self.names
        wish = self._wish if body is None else replace(self._wish, body=body)
        return follow(
            lambda where, address, cookies: self.page(where, address, replace(wish, cookies=cookies)),
            url,
            lambda host: asked.locate(host, family, self.dead),
            redirected,
        )

    def page(self, url: Url, address: Address, wish: Wish | None = None) -> Page:
        """Fetch one page from one address; what the scope refuses is a page that was denied."""
        wish = wish or self._wish
        if address.version == 4:
            return self._fetch(url, address, wish)
        small = replace(wish, mss=self._settings.mss)
        if self.proof is not None:
            return self._fetch(url, address, small)
        page = self._fetch(url, address, wish)
        if page.stalled and self._proofs < _PROOFS and self.in_time():
            self._proofs += 1
            retry = self._fetch(url, address, small)
            # A server that is slow at times must not look like a path that drops: it has to stall again, large.
            if retry.stage is Stage.DONE and self._fetch(url, address, wish).stalled:
                self.proof = retry
            if retry.stage is Stage.DONE:
                return retry
        self.largest = max(self.largest, page.received)
        return page

    def _fetch(self, url: Url, address: Address, wish: Wish) -> Page:
        wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._next = max(self._next, time.monotonic()) + 1 / self._settings.page_rate
        try:
            return fetch(self._net, url, address, wish)
        except Refused as refusal:
            return Page(url, address, Stage.TCP, Outcome.DENIED, problem=str(refusal.skipped.reason)[:200])


def redirected(location: str, here: Url) -> Url:
    """Resolve a Location header against the URL that sent it (RFC 9110, section 10.2.2); ValueError for no such URL."""
    return parse_url(urljoin(f"{here.scheme}://{here.authority}{here.path}", location.replace(" ", "%20")))


def pick(urls: Sequence[Url], open_ports: frozenset[int]) -> Url:
    """Choose among the URLs that a target stands for: the first whose port is open, else the first."""
    return next((url for url in urls if url.port in open_ports), urls[0])
