"""What an errno of connect() says about a port, apart from what it says about this machine."""

import errno
from enum import StrEnum
from ipaddress import ip_address

from probes.kit.machine.routes import source_towards
from wire.types import Outcome


class Settled(StrEnum):
    """How one attempt to connect ended; LOST is silence on a path that loses packets, which proves nothing."""

    OPEN = "open"
    CLOSED = "closed"
    PROHIBITED = "prohibited"
    NO_HOST = "no_host"
    TIMEOUT = "timeout"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    RESOURCES = "resources"


OUTCOMES = {
    Settled.OPEN: Outcome.OPEN,
    Settled.CLOSED: Outcome.CLOSED,
    Settled.PROHIBITED: Outcome.FILTERED,
    Settled.NO_HOST: Outcome.FILTERED,
    Settled.TIMEOUT: Outcome.FILTERED,
    Settled.LOST: Outcome.UNKNOWN,
    Settled.UNREACHABLE: Outcome.UNREACHABLE,
    Settled.DENIED: Outcome.DENIED,
    Settled.RESOURCES: Outcome.UNKNOWN,
}

BUSY = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN})
"""This machine is short of something; nothing was sent, and the attempt is to be made again later."""

# What connect() itself returns: nothing has left this machine.
_LOCAL = {
    errno.EPERM: Settled.DENIED,
    errno.EACCES: Settled.DENIED,
    errno.ECONNREFUSED: Settled.CLOSED,  # loopback may answer before connect() returns
}

# What arrives later, as Linux maps it (net/ipv4/icmp.c, net/ipv6/icmp.c). EACCES is the ICMPv6 "administratively
# prohibited"; EHOSTUNREACH is that of IPv4, or a host that a router or this machine could not find; ENETUNREACH comes
# from a router that lacks a route, which says nothing about the host.
_REMOTE = {
    errno.ECONNREFUSED: Settled.CLOSED,
    errno.ECONNRESET: Settled.CLOSED,
    errno.EACCES: Settled.PROHIBITED,
    errno.EPERM: Settled.PROHIBITED,
    errno.ENOPROTOOPT: Settled.PROHIBITED,
    errno.EOPNOTSUPP: Settled.PROHIBITED,
    errno.EHOSTUNREACH: Settled.NO_HOST,
    errno.EHOSTDOWN: Settled.NO_HOST,
    errno.ENONET: Settled.NO_HOST,
    errno.ETIMEDOUT: Settled.TIMEOUT,
}


def of_local_errno(number: int) -> Settled:
    """Judge what connect() returned at once; other numbers mean that this machine has no way to the target."""
    if number in BUSY:
        return Settled.RESOURCES
    return _LOCAL.get(number, Settled.UNREACHABLE)


def known_shortage(number: int, plain: str, zone: int) -> int:
    """Give what connect() returned, but ENETUNREACH for an EADDRNOTAVAIL that no waiting mends.

    It means that all local ports are taken, or that this machine has no address of the family (IPv6 switched off).
    """
    if number == errno.EADDRNOTAVAIL and source_towards(ip_address(plain).packed, zone) is None:
        return errno.ENETUNREACH
    return number


def of_remote_errno(number: int) -> Settled:
    """Judge the SO_ERROR of an attempt that was under way."""
    return _REMOTE.get(number, Settled.UNREACHABLE)
