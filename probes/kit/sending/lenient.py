"""TLS for looking, never for trusting: old servers count as reachable, and nothing secret is ever sent through it."""

import ssl
from functools import cache


@cache
def lenient_context(*protocols: str) -> ssl.SSLContext:
    """Make a context that shakes hands with whatever is there: old versions, weak ciphers, any certificate.

    Servers without RFC 5746 too. `protocols` are offered by ALPN (RFC 7301), where any are named.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
