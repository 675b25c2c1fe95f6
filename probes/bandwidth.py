"""Download and upload rate to the collector's responder, over one TCP connection each, within a cap of bytes and time.

The protocol is in wire.bandwidth. The kernel throws away what arrives, and the less it wakes us the faster the line, so
that a weak gateway measures its line and not its processor; where that was the limit after all, the result says so.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TypeVar

from probes.kit.contract import CannotRun, Context, Probe, Progress, Yield
from probes.kit.errors import Refused
from probes.kit.exchange.resolve import Kind, lookup
from probes.kit.machine import proc
from probes.kit.machine.neighbours import resolvers
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.sending.connection import Connection
from probes.kit.sending.net import Net
from wire.bandwidth import (
    HEADER_BYTES,
    MAX_TEST_BYTES,
    MAX_TEST_SECONDS,
    RECEIVE_BYTES,
    SEND_BYTES,
    Direction,
    Hello,
    Reply,
    Result,
    Wakes,
    frame_length,
    pack,
    prove,
    unpack,
)
from wire.errors import WireError
from wire.text import Text
from wire.types import Observation, Outcome, Responder, SectionKind, Skipped, Target, TargetKind, Value

T = TypeVar("T")

LEAST_SECONDS = 0.5
"""A rate over less than this says more about buffers than about the line."""
BUSY_SHARE = 0.9
PACKET_SHARE = 0.8
IDLE_SHARE = 0.05
_MARGIN = 5.0
_FAMILIES: dict[str, tuple[Kind, ...]] = {"any": ("A", "AAAA"), "4": ("A",), "6": ("AAAA",)}


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure and at what price."""

    direction: str = option("both", zh="测量方向", en="which way", choices=("both", "download", "upload"))
    family: str = option(
        "any",
        zh="响应端为域名时使用的地址族",
        en="family to use when the responder is a name",
        choices=("any", "4", "6"),
    )
    seconds: float = option(
        8.0, zh="每个方向的测量时间", en="time for each direction", unit="s", minimum=1, maximum=MAX_TEST_SECONDS
    )
    skip: float = option(
        1.0, zh="不计入速率的起始时间", en="start-up that is left out of the rate", unit="s", minimum=0, maximum=10
    )
    max_bytes: int = option(
        256 << 20,
        zh="每个方向的字节数上限",
        en="most bytes in each direction",
        unit="B",
        minimum=1 << 20,
        maximum=MAX_TEST_BYTES,
    )
    timeout: float = option(
        5.0, zh="连接与应答的等待时间", en="how long to wait for an answer", unit="s", minimum=0.5, maximum=30
    )


@dataclass(frozen=True, slots=True)
class Flow:
    """What moved one way, as the receiver saw it; `steady` figures leave out the start-up, `busy` is the CPU share."""

    bytes: int
    seconds: float
    steady_bytes: int
    steady_seconds: float
    capped: bool
    busy: bool = False

    @property
    def rate(self) -> float | None:
        """Bit per second, over the steady part when it is long enough, else over all; None when that is too short."""
        if self.steady_seconds >= LEAST_SECONDS:
            return self.steady_bytes * 8 / self.steady_seconds
        return self.bytes * 8 / self.seconds if self.seconds > 0.01 else None

    @property
    def limited_by(self) -> str:
        """What kept the rate from being higher: line, cpu, cap (ended too early to tell) or unknown."""
        if self.rate is None:
            return "unknown"
        if self.busy:
            return "cpu"
        if self.steady_seconds >= LEAST_SECONDS:
            return "line"
        return "cap" if self.capped else "unknown"


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Measure one direction after the other; raises CannotRun when there is nothing to measure against."""
    responder = context.policy.responder
    if responder is None:
        raise CannotRun(because("no_responder"))
    directions = [Direction(options.direction)] if options.direction != "both" else list(Direction)
    try:
        address = _address(context.net, responder, options)
    except Refused as refusal:
        raise CannotRun(refusal.skipped.reason) from None
    values: dict[str, Value] = {"responder": f"{responder.host} port {responder.port}", "family": address.version}
    flows: list[Flow] = []
    skipped: list[Skipped] = []
    trips: list[float] = []
    started = time.monotonic()
    for number, direction in enumerate(directions):
        yield Progress(number, len(directions), direction.value)
        left = (context.deadline - time.monotonic()) / (len(directions) - number) - _MARGIN
        if left < LEAST_SECONDS + options.skip:
            skipped.append(Skipped(direction.value, because("deadline")))
            continue
        try:
            flow, trip = _test(context.net, responder, address, direction, options, min(options.seconds, left))
        except CannotRun as failure:
            skipped.append(Skipped(direction.value, str(failure)))
            continue
        flows.append(flow)
        trips.append(trip)
        if flow.rate is not None:
            values[f"{direction.value}_bps"] = flow.rate
    if not flows:
        raise CannotRun(skipped[0].reason)
    limits = {flow.limited_by for flow in flows}
    values["limited_by"] = next(word for word in ("unknown", "cpu", "cap", "line") if word in limits)
    values["bytes"] = sum(flow.bytes for flow in flows)
    values["rtt_seconds"] = min(trips)
    target = Target(TargetKind.AGENT, "self")
    yield Observation("bandwidth", "tcp", target, Outcome.MEASURED, time.time(), values, time.monotonic() - started)
    yield from skipped
    yield Progress(len(directions), len(directions))


def _address(net: Net, responder: Responder, options: Options) -> Address:
    try:
        return ip_address(responder.host)
    except ValueError:
        pass
    try:
        for kind in _FAMILIES[options.family]:
            answer = lookup(net, responder.host, kind, resolvers(), timeout=options.timeout)
            if answer.addresses:
                return answer.addresses[0]
    except ValueError as error:
        raise CannotRun(because("no_responder", f"{responder.host!r} {error}")) from None
    raise CannotRun(because("not_resolved", responder.host))


def _test(
    net: Net, responder: Responder, address: Address, direction: Direction, options: Options, seconds: float
) -> tuple[Flow, float]:
    try:
        attempt = net.connect(address, responder.port, options.timeout)
    except Refused as refusal:
        raise CannotRun(refusal.skipped.reason) from None
    where = f"{address} port {responder.port}"
    if attempt.connection is None:
        raise CannotRun(because("no_responder", f"{where}: {attempt.settled.value}"))
    line = attempt.connection
    try:
        deadline = time.monotonic() + options.timeout
        hello = _frame(line, Hello, deadline)
        line.send(
            pack(prove(responder.ticket, hello.nonce, direction, options.max_bytes, seconds, options.skip)), deadline
        )
        reply = _frame(line, Reply, deadline)
        if not reply.accepted:
            raise CannotRun(because("responder_refused", f"{reply.code}, {reply.message}"))
        load = _Load()
        flow = (_download if direction is Direction.DOWNLOAD else _upload)(line, reply, options.skip)
        return (replace(flow, busy=True) if load.is_high() else flow), line.seconds
    except (TimeoutError, OSError, WireError) as error:
        raise CannotRun(because("responder_failed", f"{where}: {error}")) from None
    finally:
        line.reset()


def _download(line: Connection, reply: Reply, skip: float) -> Flow:
    end = time.monotonic() + reply.seconds
    buffer = bytearray(RECEIVE_BYTES)
    wakes = Wakes()
    first = steady = last = 0.0
    total = before = 0
    with suppress(TimeoutError):
        while total < reply.bytes and (got := line.discard(buffer, end)):
            last = time.monotonic()
            total += got
            if wakes.count(got, last):
                line.wake_after(wakes.low)
            if not first:
                first = last
            elif not steady and last - first >= skip:
                steady, before = last, total
    if not steady:
        steady, before = last, total
    if total >= reply.bytes:
        # The responder ends its side once the test is over there as well: the next one must not find the slot taken.
        with suppress(OSError):
            line.discard(buffer, time.monotonic() + _MARGIN)
    return Flow(total, last - first, total - before, last - steady, total >= reply.bytes)


def _upload(line: Connection, reply: Reply, _skip: float) -> Flow:
    end = time.monotonic() + reply.seconds
    sent = 0
    # Random, so that nothing on the way can compress it.
    payload = memoryview(os.urandom(SEND_BYTES))
    with suppress(TimeoutError):
        while sent < reply.bytes:
            sent += line.send_some(payload[: reply.bytes - sent], end)
    line.end()
    result = _frame(line, Result, time.monotonic() + _MARGIN)
    # The responder's thread is one of its many: what it spent over the whole test stands for the steady part too.
    busy = result.seconds > 0 and result.cpu_seconds / result.seconds >= BUSY_SHARE
    return Flow(
        result.bytes, result.seconds, result.steady_bytes, result.steady_seconds, result.bytes >= reply.bytes, busy
    )


def _frame(line: Connection, kind: type[T], deadline: float) -> T:
    length = frame_length(line.receive_exactly(HEADER_BYTES, deadline))
    return unpack(kind, line.receive_exactly(length, deadline))


class _Load:
    """What the processor did during a test."""

    def __init__(self) -> None:
        self._cores, self._spent, self._started = _cores(), time.thread_time(), time.monotonic()

    def is_high(self) -> bool:
        """Tell whether this thread, a core's packet work, or all cores together had nothing left to give."""
        cores, wall = _cores(), time.monotonic() - self._started
        if wall <= 0:
            return False
        idle = proc.idle_share(self._cores, cores)
        return (
            (time.thread_time() - self._spent) / wall >= BUSY_SHARE
            or proc.softirq_share(self._cores, cores) >= PACKET_SHARE
            or (idle is not None and idle <= IDLE_SHARE)
        )


def _cores() -> tuple[proc.Cpu, ...]:
    try:
        return proc.cores()
    except OSError:
        return ()


PROBE = Probe(
    Text("到采集端的下载与上传速率", "download and upload rate to the collector"),
    SectionKind.MEASUREMENT,
    Options,
    run,
)
