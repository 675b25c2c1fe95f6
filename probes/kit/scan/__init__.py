"""Whole scans of ports: which engine takes the TCP ones, what one would send, and the engine for UDP."""
