"""Random order, from the system's own source of randomness."""

import os


def shuffled(count: int) -> list[int]:
    """Give 0 to `count` - 1 in an order that nobody can foresee."""
    # Keys of one digit of Python's whole numbers, which sort fastest.
    keys = [key >> 2 for key in memoryview(os.urandom(4 * count)).cast("I")]
    return sorted(range(count), key=keys.__getitem__)
