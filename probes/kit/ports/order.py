"""The order of asking: random, from the system's own source of randomness, and another one at each host."""

import os


def shuffled(count: int) -> list[int]:
    """Give 0 to `count` - 1 in an order that nobody can foresee."""
    # Keys of one digit of Python's whole numbers, which sort fastest.
    keys = [key >> 2 for key in memoryview(os.urandom(4 * count)).cast("I")]
    return sorted(range(count), key=keys.__getitem__)


def stride(hosts: int, ports: int) -> int:
    """Give how many ports further on in their random order each host begins than the one before it.

    So the hosts of a site, which are often filtered alike, are not asked for the same few ports at the same time, and
    one port that a firewall drops everywhere does not look like a path that gives way.
    """
    return max(1, ports // max(1, hosts))
