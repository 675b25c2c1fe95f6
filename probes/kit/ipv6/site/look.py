"""One site, looked at over each family apart: gathers what `judge` judges."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from probes.kit.errors import Refused
from probes.kit.exchange.resolve import TELLING
from probes.kit.exchange.web import Stage, Url, parse_url, urls_of
from probes.kit.ipv6.model import Check, Settings, Verdict, unknown
from probes.kit.ipv6.site import judge
from probes.kit.ipv6.site.fetch import Page
from probes.kit.ipv6.site.journey import Journey
from probes.kit.ipv6.site.judge import HostUse, LinkSeen, Seen, Times
from probes.kit.ipv6.site.markup import Kind, References, references
from probes.kit.ipv6.site.quic import Handshake, offered_port
from probes.kit.ipv6.site.single import DISAGREE, Parts, Rerun
from probes.kit.ipv6.site.text import decode, visible
from probes.kit.ipv6.site.visit import Visitor, pick
from probes.kit.scope.addresses import Address
from wire.types import Outcome

MAX_ADDRESSES = 8
MAX_HOSTS = 40
CHECKS_OF_TIME = 5
"""Pairs of fetches in all of which IPv6 has to be the slower one."""
_WORDS = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}
_LOST = ("no address at all", "dead on both families")
_LINK_BODY = 128 << 10
_GIVE_UP = 3
"""Failed fetches in a row after which a page that never came is not asked for again."""


@dataclass(slots=True)
class _Family:
    """What one family of a site showed: addresses, which ports they open, the home page."""

    addresses: tuple[Address, ...]
    ports: dict[int, Outcome]
    journey: Journey | None = None
    times: Times | None = None


class SiteLook:
    """Looks at one site once; `checks` holds every verdict in the order of reaching it, `ipv4` how that side does."""

    def __init__(self, visitor: Visitor, settings: Settings, ports: Sequence[int]) -> None:
        """`ports` are the ports compared between the families, beside that of the URL."""
        self._visit, self._settings, self._ports = visitor, settings, ports
        self.checks: dict[str, Check] = {}
        self.ipv4 = "unknown"
        self._pages: tuple[Page, ...] = ()
        self._lost: set[str] = set()

    def look(self, target: str) -> tuple[Check, ...]:
        """Judge a domain or URL. Raises Refused when not even its name may be asked for, ValueError if it is none."""
        urls = urls_of(target)
        host = urls[0].host
        names = self._visit.names
        four_dns, six_dns = names.ask(host, "A"), names.ask(host, "AAAA")
        published, usable = judge.aaaa(six_dns, names.synthesised)
        self._say(published)
        if usable:
            ports = tuple(dict.fromkeys((*(url.port for url in urls), *self._ports)))
            six = self._open_ports(usable[:MAX_ADDRESSES], ports, tell=True)
            four = self._open_ports(four_dns.addresses[:3], ports)
            self._compare(urls, four, six, (four_dns.seconds, six_dns.seconds))
        for name in judge.V6_CHECKS:
            if name not in self.checks and name != "WEB-V6ONLY" and self._is_wanted(name):
                cause = next((item.id for item in self.checks.values() if item.verdict is Verdict.FAIL), published.id)
                self._say(unknown(name, "depends", cause))
        self._say(judge.single_stack(self.checks, self._rerun(urls) if usable else None))
        return tuple(self.checks[name] for name in judge.V6_CHECKS if name in self.checks)

    def _say(self, check: Check) -> None:
        self.checks[check.id] = check

    def _is_wanted(self, name: str) -> bool:
        if name == "WEB-OK":
            return self._settings.tries > 0
        return name not in ("WEB-L2", "WEB-L3") or self._settings.pages > 0

    def _open_ports(self, addresses: Sequence[Address], ports: Sequence[int], *, tell: bool = False) -> _Family:
        """Try each port of each address; WEB-TCP counts an address that opens any of the site's own ports."""
        best: dict[int, Outcome] = {}
        by_address: dict[str, Outcome] = {}
        for address in addresses:
            seen = [self._visit.connect(address, port) for port in ports]
            for port, outcome in zip(ports, seen, strict=True):
                if best.get(port) is not Outcome.OPEN:
                    best[port] = outcome
            by_address[str(address)] = Outcome.OPEN if Outcome.OPEN in seen else seen[0]
        if tell:
            self._say(judge.tcp(by_address))
            dead = [address for address in addresses if by_address[str(address)] is not Outcome.OPEN]
            self._visit.dead = frozenset(dead)
        return _Family(tuple(addresses), best)

    def _compare(self, urls: Sequence[Url], four: _Family, six: _Family, dns: tuple[float, float]) -> None:
        if Outcome.OPEN not in six.ports.values():
            return
        has_ipv4 = bool(four.addresses)
        self._say(judge.ports(four.ports, six.ports, has_ipv4=has_ipv4))
        starts = [pick(urls, frozenset(p for p, seen in family.ports.items() if seen is Outcome.OPEN))
                  for family in (four, six)]  # fmt: skip
        first = second = None
        if has_ipv4:
            first, second = self._fetch_well(starts[0], 4), self._fetch_well(starts[0], 4)
            four.journey = second
            self.ipv4 = _WORDS.get(judge.loads(second), "unknown")
        home, tries = self._try_often(starts[1])
        six.journey = home
        self._pages = home.pages
        self._judge_home(four, six, urls[0].host)
        arrived = home.arrived if self.checks["WEB-HTTP"].verdict is Verdict.PASS else None
        page = _references(arrived) if arrived else None
        ipv4 = second.arrived if second else None
        if arrived is not None:
            if tries:
                self._say(judge.success(tries, self._settings))
            self._say(judge.same(_seen(first), _seen(second), _seen(home), self._settings, has_ipv4=has_ipv4))
            self._say(self._latency(ipv4, arrived, dns, has_ipv4=has_ipv4))
            if page is not None:
                self._say(judge.outside(tuple(self._outside(arrived.url, page))))
                if self._settings.pages:
                    self._crawl(arrived.url, page)
        self._say(judge.http3(ipv4, arrived, self._shake_hands(ipv4, arrived)))
        self._say(judge.literals(home, page))
        if arrived is not None or self._visit.proof is not None:
            self._say(judge.pmtu(self._visit.proof, self._visit.largest, self._settings))

    def _shake_hands(self, four: Page | None, six: Page | None) -> list[Handshake]:
        """Prove the HTTP/3 that both families announce: over IPv6, and over IPv4 where that fails twice."""
        if four is None or six is None or not (judge.offers_h3(four) and judge.offers_h3(six)):
            return []
        port = offered_port(six.fields["alt-svc"])
        if port is None or not self._visit.in_time():
            return []
        hands = [self._visit.handshake(six.url, six.address, port)]
        if hands[0].tried and not hands[0].done and self._visit.in_time():
            hands = [self._visit.handshake(six.url, six.address, port)]
        other = offered_port(four.fields["alt-svc"])
        if hands[0].tried and not hands[0].done and other is not None and self._visit.in_time():
            hands.append(self._visit.handshake(four.url, four.address, other))
        return hands

    def _rerun(self, urls: Sequence[Url]) -> Rerun | None:
        """Visit the home page with no IPv4 at all; None when there is no time for it."""
        names = self._visit.single
        if names is None:
            return Rerun(resolver=False)
        if not self._visit.in_time():
            return None
        start = next((page.url for page in self._pages[:1]), urls[0])
        journey = self._visit.journey(start, 6, names=names)
        if judge.loads(journey) is Verdict.FAIL and self._visit.in_time():
            journey = self._visit.journey(start, 6, names=names)
        if journey.end in ("redirect_v4_only", "redirect_bad") and self._visit.names.locate(journey.where, 6)[0]:
            return Rerun(untried=(f"{journey.where}: {DISAGREE}",))
        arrived = journey.arrived
        page = _references(arrived) if arrived is not None else None
        if arrived is None or page is None:
            return Rerun(journey=journey)
        parts = Parts(names, self._visit.names, self._visit.connect, self._lost)
        return Rerun(True, journey, *parts.look(page, arrived.url))

    def _fetch_well(self, url: Url, family: int) -> Journey:
        """Fetch a page, and once more if that failed: the question is whether it works, not how often."""
        journey = self._visit.journey(url, family)
        if judge.loads(journey) is Verdict.FAIL and self._visit.in_time():
            return self._visit.journey(url, family)
        return journey

    def _try_often(self, url: Url) -> tuple[Journey, list[Verdict]]:
        """Fetch the home page over IPv6 as often as WEB-OK asks; gives the best journey and the verdict of each."""
        best: Journey | None = None
        verdicts: list[Verdict] = []
        for number in range(max(1, self._settings.tries)):
            if number and not self._visit.in_time():
                verdicts += [Verdict.UNKNOWN] * (self._settings.tries - number)
                break
            journey = self._visit.journey(url, 6)
            verdict = judge.loads(journey)
            if best is None or (verdict is Verdict.PASS and Verdict.PASS not in verdicts):
                best = journey
            verdicts.append(verdict)
            if verdict is Verdict.BLOCKED or (len(verdicts) >= _GIVE_UP and Verdict.PASS not in verdicts):
                break
        return best or Journey(()), verdicts if self._settings.tries else []

    def _judge_home(self, four: _Family, six: _Family, host: str) -> None:
        secure = [_secure(family.journey, host) for family in (four, six)]
        certificate = judge.tls(*secure)
        self._say(certificate)
        home = six.journey or Journey(())
        answer = judge.http(home, four.journey)
        page = home.last
        if certificate.verdict is Verdict.FAIL and page is not None and page.stage is Stage.TLS:
            answer = unknown("WEB-HTTP", "depends", "WEB-TLS", *answer.evidence)
        self._say(answer)

    def _latency(self, four: Page | None, six: Page, dns: tuple[float, float], *, has_ipv4: bool) -> Check:
        """Measure again while IPv6 looks slower, in pairs: it is slow when it is the slower one each time."""
        old, new = _times(four, dns[0]) if four else None, _times(six, dns[1])
        check = judge.latency(old, new, self._settings, has_ipv4=has_ipv4)
        for number in range(CHECKS_OF_TIME):
            if check.verdict not in (Verdict.WARN, Verdict.FAIL) or four is None or not self._visit.in_time():
                break
            # In turns, so that what grows or ebbs meanwhile favours neither.
            pages = (four, six) if number % 2 else (six, four)
            first, second = (self._time(page) for page in pages)
            pair = (first, second) if number % 2 else (second, first)
            check = judge.latency(*pair, self._settings, has_ipv4=True)
            if old is not None and check.verdict is not Verdict.PASS:
                old, new = _best(old, pair[0]), _best(new, pair[1])
                check = judge.latency(old, new, self._settings, has_ipv4=True)
        return check

    def _time(self, page: Page) -> Times:
        seconds = self._visit.names.seconds(page.url.host, "A" if page.address.version == 4 else "AAAA")
        return _times(self._visit.page(page.url, page.address), seconds)

    def _outside(self, home: Url, page: References) -> Iterator[HostUse]:
        """Look at every other host that the page names, once, for the gravest use it is put to."""
        uses: dict[tuple[str, int], tuple[Kind, Url]] = {}
        for kind, texts in ((Kind.ACTIVE, page.active), (Kind.PASSIVE, page.passive), (Kind.LINK, page.links)):
            for text in texts:
                url = _parse(text)
                if url is None or url.host == home.host or len(uses) >= MAX_HOSTS:
                    continue
                if kind is Kind.LINK and (url.address is not None or any(host == url.host for host, _ in uses)):
                    continue
                uses.setdefault((url.host, url.port), (kind, url))
        for kind, url in uses.values():
            verdict, told = self._usable(url, connect=kind is not Kind.LINK)
            if told in _LOST:
                self._lost.add(url.host)
            yield HostUse(url.host, kind, verdict, told)

    def _usable(self, url: Url, *, connect: bool) -> tuple[Verdict, str]:
        names = self._visit.names
        try:
            six, four = names.ask(url.host, "AAAA"), names.ask(url.host, "A")
            usable = names.usable(url.host)
        except (Refused, ValueError) as error:
            return Verdict.UNKNOWN, str(error)[:200]
        if not usable:
            if six.status not in TELLING:
                return Verdict.UNKNOWN, f"dns {six.status}"
            return (Verdict.FAIL, "no usable AAAA, only A") if four.addresses else (Verdict.PASS, _LOST[0])
        if not connect:
            return Verdict.PASS, "AAAA"
        outcome = self._visit.connect(usable[0], url.port)
        if outcome is Outcome.OPEN:
            return Verdict.PASS, "open"
        if outcome not in (Outcome.CLOSED, Outcome.FILTERED):
            return Verdict.UNKNOWN, f"{usable[0]} port {url.port}: {outcome}"
        works = any(self._visit.connect(address, url.port) is Outcome.OPEN for address in four.addresses[:1])
        if works:
            return Verdict.FAIL, f"{usable[0]} port {url.port} {outcome}, IPv4 open"
        return Verdict.PASS, _LOST[1]

    def _crawl(self, home: Url, page: References) -> None:
        """WEB-L2 and WEB-L3: inner links two and three clicks deep, within the budget of pages and time."""
        budget = self._settings.pages
        seen = {_key(home)}
        links = self.checks
        for name, share in (("WEB-L2", (budget + 1) // 2), ("WEB-L3", budget)):
            found = [url for url in _inner(home, page.links) if _key(url) not in seen]
            seen.update(_key(url) for url in found)
            chosen = _spread(found)[: min(share, budget)]
            looked, next_links = [], list[str]()
            for url in chosen:
                if not self._visit.in_time():
                    break
                link, led_to = self._link(url)
                looked.append(link)
                next_links += led_to
            budget -= len(looked)
            complete = len(looked) == len(chosen)
            links[name] = judge.links(name, looked, len(found), self._settings, complete=complete)
            page = References(links=tuple(next_links))

    def _link(self, url: Url) -> tuple[LinkSeen, tuple[str, ...]]:
        journey = self._visit.journey(url, 6, body=_LINK_BODY)
        verdict = judge.loads(journey)
        if verdict is Verdict.FAIL and not journey.end and self._visit.in_time():
            journey = self._visit.journey(url, 6, body=_LINK_BODY)
            verdict = judge.loads(journey)
        works = None
        if verdict is Verdict.FAIL and self._visit.in_time():
            old = judge.loads(self._visit.journey(url, 4, body=_LINK_BODY))
            works = {Verdict.PASS: True, Verdict.FAIL: False}.get(old)
        told = f"{url.text[:200]}: {'; '.join(journey.told)}"
        arrived = journey.arrived
        page = _references(arrived) if arrived and verdict is Verdict.PASS else None
        return LinkSeen(url.text, verdict, told, works), page.links if page else ()


def _references(page: Page) -> References | None:
    kind = page.fields.get("content-type", "text/html").lower()
    if "html" not in kind or not page.body:
        return None
    base = f"{page.url.scheme}://{page.url.authority}{page.url.path}"
    return references(decode(page.body, kind), base)


def _seen(journey: Journey | None) -> Seen | None:
    page = journey.arrived if journey else None
    if page is None or page.stage is not Stage.DONE:
        return None
    text = decode(page.body, page.fields.get("content-type", ""))
    return Seen(page.status, references(text, "http://localhost/").title, visible(text))


def _secure(journey: Journey | None, host: str) -> Page | None:
    pages = journey.pages if journey else ()
    return next((page for page in pages if page.url.scheme == "https" and page.url.host == host), None)


def _times(page: Page, dns: float) -> Times:
    return Times(dns, page.connected, page.first_byte, page.total)


def _best(one: Times, other: Times) -> Times:
    if not other.first_byte:
        return one
    return replace(
        one,
        dns=min(one.dns, other.dns),
        tcp=min(one.tcp, other.tcp),
        first_byte=min(one.first_byte, other.first_byte),
        page=min(one.page, other.page),
    )


def _parse(text: str) -> Url | None:
    try:
        return parse_url(text)
    except ValueError:
        return None


def _key(url: Url) -> tuple[str, str]:
    # http and https of one page are one page.
    return url.host, url.path


def _inner(home: Url, texts: Iterable[str]) -> list[Url]:
    """Keep links to the site's own domain: its host, and hosts beside or below it (www.a.b: everything under a.b)."""
    base = home.host.removeprefix("www.")
    found: dict[tuple[str, str], Url] = {}
    for text in texts:
        url = _parse(text)
        if url is None or url.address is not None:
            continue
        if url.host == home.host or url.host == base or url.host.endswith(f".{base}"):
            found.setdefault(_key(url), url)
    return list(found.values())


def _spread(urls: Sequence[Url]) -> list[Url]:
    """Order links so that each host comes up as early as the others; a sample then misses none."""
    by_host: dict[str, list[Url]] = defaultdict(list)
    for url in urls:
        by_host[url.host].append(url)
    depth = max((len(group) for group in by_host.values()), default=0)
    return [group[at] for at in range(depth) for group in by_host.values() if at < len(group)]
