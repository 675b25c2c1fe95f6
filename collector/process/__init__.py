"""The process itself: its configuration, journal, keys, certificates, lock, sockets and connections."""
