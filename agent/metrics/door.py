"""Where the agent's own metrics are served, as the configuration says."""

import time
from collections.abc import Callable

from agent.config import Config
from agent.errors import SpoolError
from agent.log import Problems, log
from agent.metrics.listener import Listener
from agent.metrics.stats import Stats, exposition
from agent.spool.sections import Spool
from wire.endpoint import Endpoint

RETRY_SECONDS = 30.0
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


class MetricsDoor:
    """`/metrics` and `/healthz` at one address; losing it is no reason to stop the agent's work."""

    def __init__(self, stats: Stats, problems: Problems) -> None:
        """Serve nothing yet."""
        self._stats, self._problems = stats, problems
        self._listener: Listener | None = None
        self._again = 0.0

    def due(self, now: float) -> bool:
        """Tell whether the address could not be had and another try is worth it; `now` is on time.monotonic()."""
        return self._listener is None and now >= self._again

    def open(self, endpoint: Endpoint | None, spool: Spool) -> None:
        """Serve at another address, or nowhere; one that cannot be had is reported and may come up later."""
        self.close()
        self._again = float("inf") if endpoint is None else time.monotonic() + RETRY_SECONDS
        if endpoint is None:
            return
        pages: dict[str, Callable[[], str]] = {"/metrics": lambda: self._metrics(spool), "/healthz": lambda: "ok\n"}
        try:
            self._listener = Listener(endpoint.host, endpoint.port, pages)
        except OSError as error:
            self._problems.report("metrics", f"no metrics at {endpoint}: {error.strerror}", "error")
            return
        self._problems.clear("metrics")
        log("info", "metrics are served", about="metrics", at=f"{endpoint.host} port {self._listener.port}")

    def close(self) -> None:
        """Serve nothing any more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def url(self, config: Config) -> str:
        """Give the address for Prometheus that reports carry; empty where none is known."""
        endpoint, listener = config.metrics, self._listener
        if config.metrics_url or endpoint is None or listener is None or endpoint.host in _WILDCARDS:
            return config.metrics_url
        return f"http://{Endpoint(endpoint.host, listener.port)}/metrics"

    def _metrics(self, spool: Spool) -> str:
        try:
            counts = spool.counts()
        except SpoolError:
            counts = None
        return exposition(self._stats.samples(counts))
