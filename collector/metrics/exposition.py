"""The collector's own `/metrics`: counters kept here and by ingest, gauges read from the store at each scrape."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from collector.answers.views import Counts
from collector.core import Core
from collector.ipv6.reports.gauges import SCHOOLS
from collector.metrics.stock import Stock

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GROUP_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Every result is there from the start: a counter that appears with its first increment hides that increment.
ACCEPTED = ("accepted", "duplicate")
REFUSED = (
    "bad_request",
    "busy",
    "conflict",
    "forbidden",
    "full",
    "internal",
    "too_large",
    "unauthorised",
    "unknown_digest",
    "unsupported_schema",
)
SECTIONS = ("stored", "unchanged", "duplicate")


class Histogram:
    """Counts values into buckets; the caller keeps threads apart."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Start empty, with the upper bounds of the buckets."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def family(self, name: str, help_text: str) -> HistogramMetricFamily:
        """Give it as Prometheus wants it: cumulative."""
        buckets, total = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(name, help_text, buckets=buckets, sum_value=self._sum)


class Metrics(Collector):
    """All metrics of one running collector, in a registry of their own."""

    def __init__(self, core: Core) -> None:
        """Register on a fresh registry."""
        self._core, self._stock = core, Stock()
        self._lock = threading.Lock()
        self._reports = Counter(dict.fromkeys((*ACCEPTED, *REFUSED), 0))
        self._durations = Histogram(DURATION_BUCKETS)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def answered(self, *, duplicate: bool, seconds: float) -> None:
        """Count a report that was acknowledged, and how long that took once it had arrived."""
        with self._lock:
            self._reports["duplicate" if duplicate else "accepted"] += 1
            self._durations.add(seconds)

    def refused(self, code: str) -> None:
        """Count a report that was refused, by the code of its refusal."""
        with self._lock:
            self._reports[code if code in REFUSED else "bad_request"] += 1

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Give all metrics in the format that an Accept header asks for, and its content type."""
        encoder, kind = choose_encoder(accept)
        return encoder(self._registry), kind

    def describe(self) -> Iterable[Metric]:
        """Say nothing in advance: names are fixed and the store need not be asked at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Give every family; the store is asked once."""
        counts = self._stock.counts(self._core)
        with self._lock:
            yield _by("edusec_collector_reports", "Reports by what became of them.", "result", self._reports)
            yield self._durations.family(
                "edusec_collector_ingest_duration_seconds", "From the arrival of a report to its commit."
            )
        stats = self._core.stats
        # Copies in one step each: the writer's thread goes on counting.
        sections = dict.fromkeys(SECTIONS, 0) | dict(stats.sections)
        yield _by("edusec_collector_sections", "Sections of reports by what became of them.", "result", sections)
        groups = Histogram(GROUP_BUCKETS)
        for size, times in dict(stats.groups).items():
            groups.add(size, times)
        yield groups.family("edusec_collector_group_size", "Reports that were committed together.")
        yield _gauge(
            "edusec_build_info", "The release that runs, always 1.", ("version",), [((software_version(),), 1)]
        )
        yield from _inventory(counts)
        yield from _ipv6(counts)
        yield _gauge(
            "edusec_collector_agent_metrics",
            "Agents by whether Prometheus is told where their metrics are.",
            ("state",),
            [((state,), n) for state, n in counts.scraped.items()],
        )
        yield GaugeMetricFamily(
            "edusec_collector_fullest_agent_ratio",
            "Part of what it may hold that the fullest agent holds; 1 or more: some of it is refused.",
            counts.fullest,
        )
        yield GaugeMetricFamily(
            "edusec_collector_disk_free_bytes", "Free bytes of the database's file system.", counts.free_bytes
        )
        yield GaugeMetricFamily(
            "edusec_collector_disk_reserve_bytes",
            "With fewer free bytes than this, reports are refused as busy.",
            counts.reserve_bytes,
        )
        yield GaugeMetricFamily("edusec_collector_store_bytes", "Size of the database on disk.", counts.store_bytes)
        yield GaugeMetricFamily("edusec_collector_rules", "Loaded rules.", counts.rules)
        if counts.oldest_report is not None:
            yield GaugeMetricFamily(
                "edusec_collector_oldest_agent_report_timestamp_seconds",
                "When the agent that was silent longest reported last.",
                counts.oldest_report,
            )


def _inventory(counts: Counts) -> Iterator[Metric]:
    for name, help_text, label, values in (
        ("agents", "Enrolled agents.", "state", counts.agents),
        ("assets", "Assets of the inventory.", "presence", counts.assets),
        ("services", "Services of the inventory.", "state", counts.services),
    ):
        yield _gauge(f"edusec_collector_{name}", help_text, (label,), [((state,), n) for state, n in values.items()])
    yield _gauge(
        "edusec_collector_services_exposed",
        "Services open as seen from the internet; no series for a unit of which nobody there settled anything.",
        ("unit",),
        [((unit,), number) for unit, number in counts.exposed.items()],
    )
    yield _gauge("edusec_collector_alerts", "Alerts by state and colour.", ("state", "colour"), counts.alerts.items())


def _ipv6(counts: Counts) -> Iterator[Metric]:
    yield _gauge(
        "edusec_collector_ipv6_registered",
        "What is registered, by whether it came as far with IPv6 as policies ask.",
        ("kind", "state"),
        [(key, count) for key, count in counts.ipv6.items() if key[0] != SCHOOLS],
    )
    yield _gauge(
        "edusec_collector_ipv6_schools",
        "Schools, by whether they meet the IPv6 target in force.",
        ("state",),
        [((state,), count) for (kind, state), count in counts.ipv6.items() if kind == SCHOOLS],
    )


def software_version() -> str:
    """Give the release of edusec."""
    try:
        return version("edusec")
    except PackageNotFoundError:
        return "0"


def _by(name: str, help_text: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _gauge(
    name: str, help_text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for told, value in sorted(values):
        family.add_metric(told, value)
    return family
