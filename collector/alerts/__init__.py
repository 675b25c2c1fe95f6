"""Findings that are tracked over time: pending, firing, acknowledged, resolved."""
