"""host_vitals: psutil and /proc say the same of this machine."""

import builtins
import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.host_vitals import _from_proc, _from_psutil
from probes.kit import proc
from probes.kit.contract import CannotRun
from tests.probes.rig import net_of, run
from wire.types import Outcome, SectionKind, TargetKind


def test_all_figures_are_there_and_in_bounds() -> None:
    found = run("host_vitals", {"sample": 0.2}, net_of())
    (line,) = found.observations
    assert (line.outcome, line.target.kind, line.method) == (Outcome.MEASURED, TargetKind.AGENT, "psutil")
    values: dict[str, Any] = dict(line.values)
    assert set(values) == {
        "cpu_ratio",
        "memory_ratio",
        "disk_ratio",
        "load",
        "uptime_seconds",
        "received_bytes",
        "sent_bytes",
    }
    for name in ("cpu_ratio", "memory_ratio", "disk_ratio"):
        assert 0 <= values[name] <= 1
    assert values["uptime_seconds"] > 0
    assert (found.coverage, found.skipped) == ([], [])


def test_without_psutil_proc_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "psutil":
            raise ImportError(name)
        return usual(name, *rest)

    theirs = _from_psutil(0.1)
    monkeypatch.setattr(builtins, "__import__", without)
    (line,) = run("host_vitals", {"sample": 0.1}, net_of()).observations
    assert line.method == "proc"
    ours: dict[str, Any] = dict(line.values)
    assert set(theirs) < set(ours)
    # Others use the machine meanwhile, so the figures agree but for what changed in between.
    assert ours["memory_ratio"] == pytest.approx(theirs["memory_ratio"], abs=0.05)
    assert ours["uptime_seconds"] == pytest.approx(theirs["uptime_seconds"], abs=5)
    assert ours["received_bytes"] >= theirs["received_bytes"]
    assert ours["sent_bytes"] >= theirs["sent_bytes"]


def test_a_busy_processor_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def work() -> None:
        while not end.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        busy = _from_proc(0.5)["cpu_ratio"]
    finally:
        end.set()
        thread.join()
    assert isinstance(busy, float)
    assert busy >= 0.5 / (os.cpu_count() or 1)


def test_cores_memory_and_uptime_are_those_of_psutil() -> None:
    assert len(proc.cores()) == psutil.cpu_count()
    total, available = proc.memory()
    assert total == psutil.virtual_memory().total
    assert 0 < available <= total
    assert proc.uptime() == pytest.approx(time.time() - psutil.boot_time(), abs=5)


def test_an_old_kernel_without_available_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 150 kB\nHugePages_Total: 0\n"
    )
    assert proc.memory(tmp_path) == (1_024_000, 307_200)


def test_shares() -> None:
    before = (proc.Cpu(100, 50, 0), proc.Cpu(100, 50, 10))
    after = (proc.Cpu(200, 140, 0), proc.Cpu(200, 60, 95))
    assert proc.idle_share(before, after) == 0.5
    assert proc.softirq_share(before, after) == 0.85
    assert proc.idle_share(before, before) is None
    assert proc.softirq_share(before, before) == 0.0
    assert proc.idle_share((), ()) is None


def test_traffic_counts_all_but_loopback(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "dev").write_text(
        "Inter-|   Receive\n face |bytes\n    lo: 999 0 0 0 0 0 0 0 999 0\n"
        "  eth0: 10 1 0 0 0 0 0 0 20 1\nwan0:1 1 0 0 0 0 0 0 2 1\n"
    )
    assert proc.traffic(tmp_path) == (11, 22)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(CannotRun, match=r"no_accounting: .*nowhere"):
        run("host_vitals", {"disk": "/nowhere", "sample": 0.1}, net_of())


def test_near_the_deadline_the_sample_is_short() -> None:
    started = time.monotonic()
    run("host_vitals", {"sample": 30.0}, net_of(), seconds=1)
    assert time.monotonic() - started < 5


def test_it_is_a_sample() -> None:
    from probes.host_vitals import PROBE

    assert PROBE.kind is SectionKind.MEASUREMENT
