"""Bytes by address family of a router, over SNMP (RFC 4293): read through the kit's own session, which pysnmp serves.

net-snmp on Linux fills ipIfStatsTable for IPv6 only. Where one interface has both families there, that is what counts;
else both are the whole machine's (ipSystemStatsTable), so that like is compared with like: what a router forwards then
counts twice in either family, which a share does not notice.
"""

import time

from probes.kit.contract import CannotRun
from probes.kit.ipv6.traffic.counted import Counted
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net

_SYSTEM = (1, 3, 6, 1, 2, 1, 4, 31, 1, 1)
_INTERFACE = (1, 3, 6, 1, 2, 1, 4, 31, 3, 1)
_HC_IN, _HC_OUT = 6, 33
"""Columns ...HCInOctets and ...HCOutOctets of both tables."""
_FOUR, _SIX = 1, 2
"""InetVersion (RFC 4001)."""


def from_snmp(
    net: Net, address: Address, port: int, credentials: str, interface: int, *, timeout: float
) -> Counted | None:
    """Read the counters of one router; None where it gives no answer or has none of both families.

    Raises Refused, and CannotRun for credentials that cannot be used or a missing pysnmp.
    """
    try:
        from probes.kit.snmp.credentials import for_address, read_credentials
        from probes.kit.snmp.session import BadAnswer, Denied, Late, Session, Silent
    except ImportError:
        raise CannotRun("not_installed: edusec[snmp]") from None
    credential = for_address(read_credentials(credentials), address)
    if credential is None:
        return None
    places = [
        [(*table, column, family, *row) for column in (_HC_IN, _HC_OUT) for family in (_FOUR, _SIX)]
        for table, row in ((_INTERFACE, (interface,)), (_SYSTEM, ()))
    ]
    try:
        with Session(net, address, port, credential, time.monotonic() + 4 * timeout) as session:
            found = session.get(*(place for part in places for place in part))
    except (Silent, Denied, Late, BadAnswer, OSError):
        return None
    for name, part in ((str(interface), places[0]), ("", places[1])):
        values = [found.get(place) for place in part]
        four_in, six_in, four_out, six_out = (value if isinstance(value, int) else None for value in values)
        if None not in (four_in, six_in, four_out, six_out):
            return Counted(
                "snmp", name, four_in or 0, four_out or 0, six_in or 0, six_out or 0, "", "medium", "unknown"
            )
    return None
