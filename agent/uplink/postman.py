"""Carries reports: a thread that waits for the next attempt, and for each attempt a process that can be ended."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.process.start import end, start_python
from agent.uplink.delivery import Delivery, Orders
from agent.uplink.identity import Identity
from agent.uplink.reports import Uplink
from wire.codec import decode, encode
from wire.errors import WireError


class Courier:
    """Sends payloads through a process of its own (agent.uplink.courier), which can be ended at any time."""

    def __init__(self, identity: Identity, folder: Path) -> None:
        """Prepare for one identity and its state folder."""
        self._identity = identity
        self._folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, payload: bytes, seconds: float) -> Delivery:
        """Carry one payload; never raises for what happens on the way."""
        who = self._identity
        orders = Orders(who.host, who.port, who.ca, who.credential, str(self._folder), seconds, len(payload))
        with start_python("agent.uplink.courier") as process:
            with self._lock:
                self._process = process
            try:
                out, err = process.communicate(encode(orders) + b"\n" + payload, timeout=seconds + 5)
                return decode(Delivery, out)
            except subprocess.TimeoutExpired:
                return Delivery(0, error="no answer in time")
            except WireError:
                return Delivery(0, error=f"the courier failed: {err[-500:].decode('utf-8', 'replace')}")
            finally:
                with self._lock:
                    self._process = None
                end(process)

    def abort(self) -> None:
        """End the attempt under way, if there is one."""
        with self._lock:
            if self._process is not None:
                self._process.kill()


class Postman:
    """Runs an uplink in a thread of its own until stopped; never waits in a way that cannot be ended."""

    def __init__(self, uplink: Uplink, courier: Courier, first: float, on_step: Callable[[], None]) -> None:
        """Begin after `first` seconds; `on_step` is told after every attempt."""
        self._uplink = uplink
        self._courier = courier
        self._pause = first
        self._on_step = on_step
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="uplink", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; it ends only when stopped, or by a fault."""
        return self._thread.is_alive()

    def hurry(self) -> None:
        """Deliver now rather than at the next interval, unless the collector is being given a rest."""
        if not self._uplink.failing:
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """End the thread; the attempt under way, and then one last one, get `seconds` in all."""
        deadline = time.monotonic() + seconds
        self._stopping = True
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._courier.abort()
            self._thread.join()
        left = deadline - time.monotonic()
        if left > 0.5 and self._uplink.has_news:
            self._uplink.step(left)

    def _work(self) -> None:
        while not self._wait():
            self._pause = self._uplink.step()
            self._on_step()

    def _wait(self) -> bool:
        self._wake.wait(self._pause)
        self._wake.clear()
        return self._stopping
