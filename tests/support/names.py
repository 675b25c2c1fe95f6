"""Waiting for a name server that says it runs until it really answers."""

import dns.exception
import dns.message
import dns.query

from tests.support.netns import Namespace
from tests.support.processes import wait_until


def wait_for_version(space: Namespace, address: str) -> None:
    """Wait until the server at an address answers version.bind in full."""
    question = dns.message.make_query("version.bind", "TXT", "CH")

    def answers() -> bool:
        try:
            return bool(space.call(dns.query.udp, question, address, timeout=1).answer)
        except (OSError, dns.exception.DNSException):
            return False

    wait_until(answers, f"version.bind of {address}")
