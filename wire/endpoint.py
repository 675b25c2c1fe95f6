"""An address and a port to listen on, as configurations write it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from wire.text import TextError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as configurations do: `0.0.0.0:8443`, `[::]:8443`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, such_as: Sequence[Endpoint]) -> Endpoint:
    """Read `address:port` or `[address]:port`; raises TextError with what is allowed, `such_as` these."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        address = None
    if not colon or address is None or bracketed != (address.version == 6):
        raise TextError(
            f"{text[:80]!r} 不是 {' 或 '.join(map(str, such_as))} 这样的地址和端口",
            f"{text[:80]!r} is not an address and a port such as {' or '.join(map(str, such_as))}",
        )
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise TextError(f"{text[:80]!r}：端口须为 0 至 65535", f"{text[:80]!r}: the port must be from 0 to 65535")
    return Endpoint(str(address), int(port))
