"""Scans that a person asks for: one order for each agent of a unit, claimed, followed, and ended by its section."""
