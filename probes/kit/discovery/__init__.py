"""Finding the hosts of a gateway's networks: what to ask, how to read what comes back, and how to join it."""
