"""Whole links, asked by the raw helper: ARP, neighbour discovery, groups and echoes, and what their silence proves."""
