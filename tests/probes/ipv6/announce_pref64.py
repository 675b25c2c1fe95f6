"""A router that announces a PREF64 (RFC 8781), which radvd 2.19 does not know; run by vantage_lab.py.

announce_pref64.py INTERFACE PREFIX: sends a router advertisement with nothing but that /96, twice a second.
"""

import socket
import struct
import sys
import time
from ipaddress import IPv6Address


def main(interface: str, prefix: str) -> None:
    """Announce until killed."""
    index = socket.if_nametoindex(interface)
    option = struct.pack("!BBH", 38, 2, 600 & ~7) + IPv6Address(prefix).packed[:12]
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0) + option
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as line:
        line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        print("ready", flush=True)
        while True:
            line.sendto(message, ("ff02::1", 0, 0, index))
            time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
