"""Send router advertisements with scapy, in a process of its own: INTERFACE SOURCE HOP_LIMIT [PREF64]."""

import sys
import time

from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPREF64, ICMPv6NDOptPrefixInfo, IPv6
from scapy.layers.l2 import Ether
from scapy.sendrecv import sendp


def main(interface: str, source: str, hops: str, pref64: str = "") -> None:
    """Send one each half second until ended, for a minute at most."""
    packet = Ether(dst="33:33:00:00:00:01") / IPv6(src=source, dst="ff02::1", hlim=int(hops))
    packet = (
        packet / ICMPv6ND_RA(O=1, routerlifetime=1800) / ICMPv6NDOptPrefixInfo(prefix="2001:db8:77::", prefixlen=64)
    )
    if pref64:
        packet = packet / ICMPv6NDOptPREF64(prefix=pref64, scaledlifetime=100)
    print("ready", flush=True)
    for _ in range(120):
        sendp(packet, iface=interface, verbose=False)
        time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
