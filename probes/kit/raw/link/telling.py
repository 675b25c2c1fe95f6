"""What a run over links tells: each address that answered, once a look, and how far it is."""

from ipaddress import ip_address

from probes.kit.evidence import normal_mac
from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.helper.outlet import Outlet
from probes.kit.raw.link.messages import MOST_HEARD, Heard, LinkSaid, write_heard


class Telling:
    """Gathers answers and says them in few lines; `answers` is their number."""

    def __init__(self, outlet: Outlet) -> None:
        """Nothing is said yet."""
        self.answers = 0
        self._outlet = outlet
        self._pending: list[str] = []

    def heard(self, method: str, address: bytes, hardware: bytes, interface: str) -> None:
        """Take an answer; `interface` is empty for one from behind a router."""
        self.answers += 1
        there = ip_address(address)
        text = f"{there}%{interface}" if interface and there.version == 6 and there.is_link_local else str(there)
        self._pending.append(write_heard(Heard(method, text, normal_mac(hardware), interface)))

    def tell(self) -> None:
        """Say what has been heard since."""
        for start in range(0, len(self._pending), MOST_HEARD):
            self._outlet.say(LinkSaid(heard=tuple(self._pending[start : start + MOST_HEARD])))
        self._pending.clear()

    def progress(self, settled: int, total: int, sent: int) -> None:
        """Say how far the run is."""
        self._outlet.say(LinkSaid(progress=Progress(settled, total, sent, 0.0)))
