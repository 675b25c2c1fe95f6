"""What servers of other protocols answer to a request for a page: enough to know them and to ask in their own words."""

import re

from probes.kit.services.protocols import amqp, beanstalkd, irc, memcached, nut, rtsp, sip, xmpp
from probes.kit.services.talk import Heard, Start

_KNOWN: tuple[tuple[re.Pattern[bytes], str, Start], ...] = (
    (re.compile(rb"AMQP[\x00-\xff]{4}$"), "amqp", amqp.talk),
    (re.compile(rb"RTSP/\d\.\d \d{3}"), "rtsp", rtsp.talk),
    (re.compile(rb"SIP/2\.0 \d{3}"), "sip", sip.talk),
    (re.compile(rb"(?:ERROR\r\n)+$"), "memcache", memcached.talk),
    (re.compile(rb"(?:UNKNOWN_COMMAND\r\n)+$"), "beanstalkd", beanstalkd.talk),
    (re.compile(rb"(?:ERR UNKNOWN-COMMAND\n)+$"), "nut", nut.talk),
    (re.compile(rb"(?:<\?xml [^>]{0,64}\?>)?\s*<stream:stream\s"), "xmpp-client", xmpp.talk),
)


def read(raw: bytes) -> Heard | None:
    """Tell the protocol; its own conversation follows on a connection of its own."""
    for pattern, service, start in _KNOWN:
        if pattern.match(raw):
            return Heard(service, then=(start,))
    return irc.read(raw)
