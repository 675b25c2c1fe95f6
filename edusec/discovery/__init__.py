"""`edusec discover`: who is on the networks, and how that is shown."""
