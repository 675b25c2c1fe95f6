"""Where a URL leads through redirects, within one address family: page by page, with the cookies of each host."""

from collections.abc import Callable
from dataclasses import dataclass

from probes.kit.exchange.web import MAX_URL, Url
from probes.kit.ipv6.site.fetch import MAX_COOKIES, Page
from probes.kit.scope.addresses import Address

MAX_HOPS = 6

Get = Callable[[Url, Address, tuple[str, ...]], Page]
"""Fetches a URL from an address, with cookies."""
Locate = Callable[[str], tuple[Address | None, str]]
"""Gives an address of a host in one family; without one, a code that says why."""


@dataclass(frozen=True, slots=True)
class Journey:
    """The pages that a URL led through over one family; `end` says why it did not arrive, a code of the catalogue.

    `end` is empty when the last page is no redirect. `where` names the hop at fault.
    """

    pages: tuple[Page, ...]
    end: str = ""
    where: str = ""

    @property
    def last(self) -> Page | None:
        """The page where it ended, None when not even the first could be asked for."""
        return self.pages[-1] if self.pages else None

    @property
    def arrived(self) -> Page | None:
        """The last page, if it came whole enough to have a status and is no redirect."""
        page = self.last
        return page if page is not None and not self.end and page.status is not None else None

    @property
    def told(self) -> tuple[str, ...]:
        """Lines of evidence."""
        more = (f"{self.end}: {self.where}",) if self.end else ()
        return (*(page.told for page in self.pages), *more)


def follow(get: Get, start: Url, locate: Locate, read: Callable[[str, Url], Url]) -> Journey:
    """Fetch a URL and where it redirects, within one family; `read` makes a Url of a Location and raises ValueError.

    Cookies that a host sets on the way are shown to that host again, for many a redirect only waits for its own.
    """
    pages: list[Page] = []
    seen: set[tuple[str, ...]] = set()
    jars: dict[str, dict[str, str]] = {}
    url = start
    while True:
        address, missing = locate(url.host)
        if address is None:
            return Journey(tuple(pages), missing, url.host)
        jar = jars.setdefault(url.host, {})
        cookies = tuple(f"{name}={value}" for name, value in jar.items())
        seen.add((url.scheme, url.authority, url.path, *cookies))
        page = get(url, address, cookies)
        pages.append(page)
        location = page.fields.get("location", "")[:MAX_URL]
        if page.status not in (301, 302, 303, 307, 308) or not location:
            return Journey(tuple(pages))
        for cookie in page.cookies:
            name, _, value = cookie.partition("=")
            if name in jar or len(jar) < MAX_COOKIES:
                jar[name] = value
        try:
            url = read(location, url)
        except ValueError:
            return Journey(tuple(pages), "redirect_bad", location[:200])
        shown = (f"{name}={value}" for name, value in jars.get(url.host, {}).items())
        if len(pages) >= MAX_HOPS or (url.scheme, url.authority, url.path, *shown) in seen:
            return Journey(tuple(pages), "redirect_loop", url.text[:200])
