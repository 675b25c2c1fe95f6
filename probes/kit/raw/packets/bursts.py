"""How many packets leave at once."""

BURST_SECONDS = 0.004
LARGEST_BURST, SMALLEST_BURST = 1024, 4


def burst_of(rate: float) -> int:
    """Give how many frames may leave at once: what 4 ms bring, within what one system call does well."""
    return max(SMALLEST_BURST, min(LARGEST_BURST, int(rate * BURST_SECONDS)))
