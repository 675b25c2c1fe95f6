"""Scans that the agents of a unit do, asked through the collector."""
