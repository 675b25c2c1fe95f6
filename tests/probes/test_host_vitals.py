"""host_vitals: psutil and /proc say the same of this machine."""

import builtins
import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.host_vitals import from_proc, from_psutil
from probes.kit.contract import CannotRun
from probes.kit.machine import proc
from tests.probes.rig import net_of, run
from tests.support.processes import wait_until
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

    theirs: dict[str, Any] = dict(from_psutil(0.1))
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        (line,) = run("host_vitals", {"sample": 0.1}, net_of()).observations
    later: dict[str, Any] = dict(from_psutil(0.1))
    assert line.method == "proc"
    ours: dict[str, Any] = dict(line.values)
    assert set(theirs) < set(ours)
    # Others use the machine meanwhile, so the figures agree but for what changed in between.
    for name, slack in (("memory_ratio", 0.05), ("uptime_seconds", 2), ("received_bytes", 0), ("sent_bytes", 0)):
        between = sorted((theirs[name], later[name]))
        assert between[0] - slack <= ours[name] <= between[1] + slack, name


def test_a_busy_processor_shows() -> None:
    end = threading.Event()

    def busy() -> bool:
        ratio = from_proc(0.3)["cpu_ratio"]
        assert isinstance(ratio, float)
        return ratio >= 0.5 / (os.cpu_count() or 1)

    def work() -> None:
        while not end.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        # Again, where the process was held up meanwhile: nobody is busy then.
        wait_until(busy, "one processor is busy")
    finally:
        end.set()
        thread.join()


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


def test_shares_of_no_time_are_unknown() -> None:
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


def test_near_the_deadline_the_sample_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("probes.host_vitals.from_psutil", lambda seconds: slept.append(seconds) or {})
    run("host_vitals", {"sample": 30.0}, net_of(), seconds=1)
    assert len(slept) == 1
    assert 0.1 <= slept[0] <= 0.5


def test_it_is_a_sample() -> None:
    from probes.host_vitals import PROBE

    assert PROBE.kind is SectionKind.MEASUREMENT
