"""What people ask for at the collector: orders are asked for, written down, run once and told of."""
