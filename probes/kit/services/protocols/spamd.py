"""SpamAssassin's daemon (spamd/PROTOCOL): PING, which it answers to whom it serves."""

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end

PORTS = (783,)


def talk(_host: str, _port: int) -> Talk:
    """Ask whether it lives; no message is judged."""
    yield Send(b"PING SPAMC/1.2\r\n\r\n")
    if not (yield Receive(line_end, 256)).startswith(b"SPAMD/"):
        return None
    product = {"service.vendor": "Apache", "service.product": "SpamAssassin"}
    return Heard("spamd", {**product, "service.cpe23": "cpe:/a:apache:spamassassin"})
