"""Carries one sealed batch to the collector: `python -P -m agent.uplink.courier`, started for each attempt.

A process of its own because OpenSSL and a large policy would stay in the daemon's memory for ever, and because a line
that hangs is ended with the process. Orders and payload come on standard input, the delivery goes to standard output;
a new policy is staged in the state folder, and the delivery holds its head.
"""

import email.utils
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from agent.errors import Unreachable
from agent.policy import head_of, stage
from agent.process import confine
from agent.uplink.delivery import Delivery, Orders
from agent.uplink.https import Reply, Request, Server, exchange, trusting
from wire.codec import decode, encode
from wire.errors import WireError
from wire.types import MAX_PLAIN_BYTES, Answer, Refusal

LONGEST_RETRY_AFTER = 3600.0
MAX_ANSWER = MAX_PLAIN_BYTES


def main() -> int:
    """Carry one batch; exit code 0 once the delivery is written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine.end_with_parent(os.getppid())
    with open(0, "rb", closefd=False) as stdin:
        orders = decode(Orders, stdin.readline(1 << 20))
        payload = stdin.read(orders.bytes)
    signal.alarm(int(orders.seconds) + 10)  # should the daemon not be there any more to end this
    if len(payload) != orders.bytes:
        return 2
    delivery = carry(orders, payload)
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(encode(delivery))
    return 0


def carry(orders: Orders, payload: bytes) -> Delivery:
    """Send one report and stage the policy, if one came; never raises for the network."""
    headers = {
        "Authorization": f"Bearer {orders.credential}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    sent = time.time()
    try:
        server = Server(orders.host, orders.port, trusting(orders.ca))
        request = Request("POST", "/api/v1/reports", headers, payload)
        reply = exchange(server, request, limit=MAX_ANSWER, seconds=orders.seconds)
    except Unreachable as error:
        return Delivery(0, error=str(error)[:1024])
    middle = (sent + time.time()) / 2
    if reply.status != 200:
        return _refused(reply)
    try:
        answer = decode(Answer, reply.body, MAX_ANSWER)
    except WireError as error:
        return Delivery(0, error=f"the answer is not one: {error}"[:1024])
    return _answered(orders, answer, middle)


def _answered(orders: Orders, answer: Answer, middle: float) -> Delivery:
    policy, foreign, unstaged = answer.policy, "", ""
    if policy is None:
        return Delivery(200, answer=answer, skew=answer.time - middle)
    if policy.responder is not None and policy.responder.host.lower().rstrip(".") != orders.host:
        foreign = policy.responder.host
        policy = replace(policy, responder=None)
    try:
        stage(Path(orders.folder), policy)
    except OSError as error:
        unstaged = error.strerror or "it cannot be written"
    head = None if unstaged else head_of(policy)
    return Delivery(
        200,
        answer=replace(answer, policy=head),
        skew=answer.time - middle,
        unstaged=unstaged,
        foreign_responder=foreign,
    )


def _refused(reply: Reply) -> Delivery:
    try:
        refusal = decode(Refusal, reply.body, MAX_ANSWER)
    except WireError:
        refusal = None  # not the collector's own words: a proxy's, or a much later release's
    return Delivery(reply.status, refusal=refusal, retry_after=retry_after(reply))


def retry_after(reply: Reply) -> float | None:
    """Read Retry-After (RFC 9110 section 10.2.3), seconds or a date; bounded, so that no typing error silences us."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(0.0, min(seconds, LONGEST_RETRY_AFTER))


if __name__ == "__main__":
    sys.exit(main())
