"""Addresses of hosts, asked once per run and family, and which of them can be used."""

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address

from probes.kit.errors import Refused
from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import TELLING, Answer, Kind, lookup
from probes.kit.ipv6.addresses import dns64_prefixes, fault_of
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net

MAX_NAMES = 4096
DNS64_NAME = "ipv4only.arpa"


class Names:
    """Look-ups of one thread. An answer is kept for the run; at most MAX_NAMES of them."""

    def __init__(
        self,
        net: Net,
        servers: Sequence[Address],
        *,
        timeout: float,
        port: int,
        synthesised: tuple[IPv6Network, ...] = (),
    ) -> None:
        """`synthesised` are the prefixes that a DNS64 in use puts before IPv4 addresses."""
        self._net, self._servers, self._timeout, self._port = net, servers, timeout, port
        self._known: dict[tuple[str, Kind], Answer] = {}
        self.synthesised = synthesised

    def ask(self, host: str, kind: Kind) -> Answer:
        """Give the addresses of a host, which may be an address itself. Raises Refused when no server is in scope."""
        literal = _literal(host)
        if literal is not None:
            fits = literal.version == (4 if kind == "A" else 6)
            return Answer(Status.OK, (literal,)) if fits else Answer(Status.NODATA)
        known = self._known.get((host, kind))
        if known is None:
            known = lookup(self._net, host, kind, self._servers, timeout=self._timeout, port=self._port)
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            self._known[host, kind] = known
        return known

    def seconds(self, host: str, kind: Kind) -> float:
        """Ask once more, only for the time that it takes."""
        if _literal(host) is not None:
            return 0.0
        return lookup(self._net, host, kind, self._servers, timeout=self._timeout, port=self._port).seconds

    def usable(self, host: str) -> tuple[IPv6Address, ...]:
        """Give the IPv6 addresses of a host that can be its own."""
        found = self.ask(host, "AAAA").addresses
        return tuple(item for item in found if isinstance(item, IPv6Address) and not fault_of(item, self.synthesised))

    def locate(self, host: str, family: int, avoid: frozenset[Address] = frozenset()) -> tuple[Address | None, str]:
        """Give one address of a host in one family, those of `avoid` last; without one, a code that says why."""
        try:
            if family == 4:
                found: Sequence[Address] = self.ask(host, "A").addresses
                telling = self.ask(host, "A").status in TELLING
                missing = "no_ipv4"
            else:
                found = self.usable(host)
                telling = self.ask(host, "AAAA").status in TELLING
                missing = "redirect_v4_only" if self.ask(host, "A").addresses else "redirect_bad"
        except Refused:
            return None, "out_of_scope"
        except ValueError:
            return None, "redirect_bad"
        if not found:
            return None, missing if telling else "dns_unclear"
        return next((address for address in found if address not in avoid), found[0]), ""


def find_dns64(names: Names) -> tuple[IPv6Network, ...]:
    """Ask for ipv4only.arpa, which has no AAAA of its own: what comes back was synthesised (RFC 7050)."""
    try:
        return dns64_prefixes(names.ask(DNS64_NAME, "AAAA").addresses)
    except Refused:
        return ()


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
