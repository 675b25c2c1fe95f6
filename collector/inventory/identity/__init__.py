"""Which device is it: evidence, its worth, and the rows behind it."""
