"""What kind of address an AAAA record holds: only a real global one can be reached by strangers."""

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

from probes.kit.scope.addresses import Address

_KINDS = (
    ("mapped", IPv6Network("::ffff:0:0/96")),  # RFC 4291 section 2.5.5.2
    ("compatible", IPv6Network("::/96")),  # RFC 4291 section 2.5.5.1, and :: and ::1
    ("link-local", IPv6Network("fe80::/10")),
    ("unique local", IPv6Network("fc00::/7")),  # RFC 4193
    ("documentation", IPv6Network("2001:db8::/32")),  # RFC 3849
    ("documentation", IPv6Network("3fff::/20")),  # RFC 9637
    ("6to4", IPv6Network("2002::/16")),  # RFC 3056, RFC 7526
    ("Teredo", IPv6Network("2001::/32")),  # RFC 4380
    ("DNS64", IPv6Network("64:ff9b::/96")),  # RFC 6052
    ("DNS64", IPv6Network("64:ff9b:1::/48")),  # RFC 8215
    ("multicast", IPv6Network("ff00::/8")),
)
_GLOBAL = IPv6Network("2000::/3")
_WELL_KNOWN_IPV4 = (0xC00000AA, 0xC00000AB)
"""192.0.0.170 and .171, which ipv4only.arpa has (RFC 7050)."""


def fault_of(address: IPv6Address, synthesised: Iterable[IPv6Network] = ()) -> str:
    """Say why an AAAA cannot be a site's own address; empty when it can. `synthesised`: the DNS64 prefixes in use."""
    for prefix in synthesised:
        if address in prefix:
            return "DNS64"
    for name, prefix in _KINDS:
        if address in prefix:
            return name
    return "" if address in _GLOBAL else "not global unicast"


def dns64_prefixes(answers: Iterable[Address]) -> tuple[IPv6Network, ...]:
    """Read the /96 prefixes off the AAAA answers for ipv4only.arpa (RFC 7050 section 3)."""
    return tuple(
        dict.fromkeys(
            IPv6Network((int(address) >> 32 << 32, 96))
            for address in answers
            if isinstance(address, IPv6Address) and int(address) & 0xFFFFFFFF in _WELL_KNOWN_IPV4
        )
    )
