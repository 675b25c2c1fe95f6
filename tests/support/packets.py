"""Packets that arrive in a namespace, counted one by one in its firewall, which loses none (nftables)."""

import json
from collections import Counter

from tests.support.netns import Namespace

_TABLE = """
table inet counted {
  set asked4 { type ipv4_addr . inet_service; counter; flags dynamic; size 200000; }
  set asked6 { type ipv6_addr . inet_service; counter; flags dynamic; size 200000; }
  set further4 { type ipv4_addr . inet_service; counter; flags dynamic; size 200000; }
  set further6 { type ipv6_addr . inet_service; counter; flags dynamic; size 200000; }
  chain arriving {
    type filter hook prerouting priority -400;
    tcp flags & (syn | ack) == syn jump asked
    meta l4proto udp jump asked
    tcp flags & (syn | ack) != syn jump further
  }
  chain asked {
    meta nfproto ipv4 update @asked4 { ip daddr . th dport }
    meta nfproto ipv6 update @asked6 { ip6 daddr . th dport }
  }
  chain further {
    meta nfproto ipv4 update @further4 { ip daddr . th dport }
    meta nfproto ipv6 update @further6 { ip6 daddr . th dport }
  }
}
"""


class Counted:
    """From now on: `asked` are SYNs and UDP datagrams, `further` all other TCP segments, by (address, port)."""

    def __init__(self, space: Namespace) -> None:
        """Load the counters ahead of all other rules; what those drop is counted, too."""
        self._space = space
        space.run(["sh", "-c", f"nft -f - <<'END'\n{_TABLE}END\n"])

    def asked(self) -> Counter[tuple[str, int]]:
        """SYNs and datagrams."""
        return self._read("asked")

    def further(self) -> Counter[tuple[str, int]]:
        """All other TCP segments."""
        return self._read("further")

    def _read(self, name: str) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        for family in "46":
            text = self._space.run(["nft", "-j", "list", "set", "inet", "counted", f"{name}{family}"]).stdout
            for item in json.loads(text)["nftables"][1]["set"].get("elem", ()):
                address, port = item["elem"]["val"]["concat"]
                found[address, int(port)] = item["elem"]["counter"]["packets"]
        return found
