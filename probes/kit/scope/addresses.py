"""Addresses as the kit means them, and whether one is anybody's on the internet or needs a prefix of its own."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = IPv6Network("64:ff9b::/96")
"""All of IPv4 within IPv6 (RFC 6052)."""


def unmapped(address: Address) -> Address:
    """Give the IPv4 address that an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) really reaches."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_special(address: Address) -> bool:
    """Tell whether an address must be authorised by prefix, never by a domain that happens to point there.

    True for all that is not public unicast, also when it is embedded in mapped, 6to4, Teredo or NAT64 addresses.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_special(inner)
    return not address.is_global or address.is_multicast
