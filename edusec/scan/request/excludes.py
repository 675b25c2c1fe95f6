"""Taking what was excluded out of what was named, address by address."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from probes.kit.scope.addresses import Address, Network


class Excluded:
    """Addresses that no packet may go to, whoever named them."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        """Take networks of both families; those that overlap are joined."""
        self._spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for network in sorted(networks, key=lambda item: (item.version, int(item[0]))):
            spans, low, high = self._spans[network.version], int(network[0]), int(network[-1])
            if spans and low <= spans[-1][1] + 1:
                spans[-1] = (spans[-1][0], max(spans[-1][1], high))
            else:
                spans.append((low, high))

    def __contains__(self, address: Address) -> bool:
        """Tell whether an address is excluded."""
        number = int(address)
        return any(low <= number <= high for low, high in self._near(address.version, number, number))

    def left(self, network: Network) -> Sequence[Network]:
        """Give what is left of a network."""
        low, high = int(network[0]), int(network[-1])
        cuts = list(self._near(network.version, low, high))
        return list(_gaps(network.version, low, high, cuts)) if cuts else [network]

    def _near(self, version: int, low: int, high: int) -> Iterator[tuple[int, int]]:
        spans = self._spans[version]
        place = max(0, bisect_left(spans, (low, low)) - 1)
        for span in spans[place:]:
            if span[0] > high:
                return
            if span[1] >= low:
                yield span


def _gaps(version: int, low: int, high: int, cuts: Iterable[tuple[int, int]]) -> Iterator[Network]:
    for first, last in cuts:
        if low < first:
            yield from _networks(version, low, first - 1)
        low = last + 1
    if low <= high:
        yield from _networks(version, low, high)


def _networks(version: int, low: int, high: int) -> Iterator[Network]:
    if version == 4:
        yield from summarize_address_range(IPv4Address(low), IPv4Address(high))
    else:
        yield from summarize_address_range(IPv6Address(low), IPv6Address(high))
