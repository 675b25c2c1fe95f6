"""Addresses that a machine may lack: many a container and many a school's server runs without IPv6."""

import socket

import pytest


def needs_address(host: str) -> str:
    """An address of this machine as given, or a skip that says the machine lacks it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as door:
            door.bind((host, 0))
    except OSError:
        pytest.skip(f"needs {host}, which this machine does not have (is IPv6 switched off?)")
    return host
