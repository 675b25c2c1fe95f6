"""IPv6 readiness: the check catalogue, what judges it without any network, and what goes out to look."""
