"""An HTTP/3 server of aioquic, for nginx of Debian 12 speaks no QUIC; a process of its own.

quic_server.py PEM ADDRESS[=PORT]...: shakes hands at UDP port 443, or another; what is asked then is not answered.
"""

import asyncio
import sys

from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration


async def main(pem: str, places: list[str]) -> None:
    """Serve until killed."""
    config = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
    config.load_cert_chain(pem, pem)
    for place in places:
        address, _, port = place.partition("=")
        await serve(address, int(port or 443), configuration=config)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
