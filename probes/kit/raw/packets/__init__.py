"""Packets as bytes: frames that are written once and sent many times, and what came back, filtered and read."""
