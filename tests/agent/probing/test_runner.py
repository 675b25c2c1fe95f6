"""Probes in processes of their own: whatever a probe does, one honest section comes of it and nothing stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from agent import policy as policies
from agent.probing.job import Job, Limits, read_job, write_job
from agent.probing.runner import perform, run
from probes.kit.contract import Progress
from tests.support.extra_probes import with_test_probes
from tests.support.patience import given_time
from tests.support.processes import Processes, open_files, wait_until
from wire.codec import encode
from wire.digest import section_digest
from wire.errors import DecodeError
from wire.types import Body, Policy, RunStatus, ScopeEntry, Section, Skipped, Value

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("hostile")


def job(how: str, seconds: float = 60, *, grace: float = 2, limits: Limits | None = None, **options: Value) -> Job:
    return Job("task", "hostile", seconds, {"how": how, **options}, limits=limits or Limits(), grace=grace)


def body(section: Section) -> Body:
    assert section.body is not None
    assert section.digest == section_digest(section.probe, section.status, section.reason, section.body)
    assert section.name == "task"
    assert section.started <= section.finished
    return section.body


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def written(place: Path) -> bool:
    return place.exists() and bool(place.read_text())


def test_a_calm_probe_is_done_and_covers() -> None:
    seen: list[Progress] = []
    section = run(job("calm"), on_progress=seen.append)
    assert (section.status, section.reason, len(body(section).coverage)) == (RunStatus.DONE, "", 1)
    assert seen[-1] == Progress(2, 2, "done")


def test_equal_runs_have_equal_digests() -> None:
    assert run(job("calm")).digest == run(job("calm")).digest


def test_the_soft_deadline_leaves_the_last_word_to_the_probe() -> None:
    section = run(job("patient", 0.5, grace=60))
    assert section.status is RunStatus.PARTIAL
    assert body(section).skipped == (Skipped("the rest", "deadline"),)
    assert body(section).coverage


def test_the_hard_deadline_keeps_what_was_said(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    section = given_time(
        lambda seconds: run(job("deaf", seconds, grace=0.2, file=str(place))), lambda _: written(place), first=0.5
    )
    assert (section.status, section.reason) == (RunStatus.PARTIAL, "deadline")
    assert (len(body(section).observations), len(body(section).coverage)) == (1, 1)
    assert gone(int(place.read_text()))


def test_nothing_said_until_the_deadline_is_timed_out() -> None:
    section = run(job("mute", 0.3, grace=0.1))
    assert (section.status, body(section)) == (RunStatus.TIMED_OUT, Body())


def test_a_loop_that_never_yields_is_ended() -> None:
    section = given_time(
        lambda seconds: run(job("spinning", seconds, grace=0.1)),
        lambda section: bool(body(section).coverage),
        first=0.3,
    )
    assert (section.status, section.reason) == (RunStatus.PARTIAL, "deadline")


@pytest.mark.parametrize(("how", "status"), [("breeding", RunStatus.PARTIAL), ("leaving", RunStatus.DONE)])
def test_runaway_grandchildren_are_ended(how: str, status: RunStatus, tmp_path: Path) -> None:
    place = tmp_path / "pids"
    section = given_time(
        lambda seconds: run(job(how, seconds, grace=0.2, file=str(place))),
        lambda section: written(place) and section.status is status,
        first=1,
    )
    assert section.status is status
    pids = [int(pid) for pid in place.read_text().split()]
    assert [pid for pid in pids if not gone(pid)] == []


def test_memory_is_limited() -> None:
    section = run(job("hungry", limits=Limits(memory=128 << 20)))
    assert section.status is RunStatus.CRASHED
    assert section.reason == f"memory_limit: {128 << 20}"
    assert body(section).observations
    assert body(section).coverage == ()


def test_endless_output_is_cut_and_says_so() -> None:
    section = run(job("endless"))
    assert section.status is RunStatus.PARTIAL
    assert section.reason.startswith("too_large")
    assert len(body(section).observations) == 50_000


def test_an_odd_observation_costs_what_it_says_and_neither_the_fact_nor_the_others() -> None:
    section = run(job("wordy"))
    assert section.status is RunStatus.PARTIAL
    assert [set(item.values) for item in body(section).observations[:3]] == [set(), {"text"}, set()]
    assert len(body(section).observations) == 4
    assert [item.reason.partition(":")[0] for item in body(section).skipped] == ["bad_output"] * 2


def test_too_many_skipped_targets_are_summed_up() -> None:
    skipped = body(run(job("skipping"))).skipped
    assert len(skipped) == 1000
    assert skipped[-1].what == "further targets"


@pytest.mark.parametrize("how", ["garbage", "long_line"])
def test_garbage_on_the_channel_is_a_crash(how: str) -> None:
    section = run(job(how))
    assert section.status is RunStatus.CRASHED
    assert section.reason.startswith("bad_output")
    assert body(section).coverage == ()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("failing", "crashed: ValueError: the probe has a fault"),
        ("exiting", "crashed: ended with exit status 1 before it was done"),
        ("segfault", "crashed: killed by SIGSEGV"),
        ("odd", "crashed: TypeError: a probe yields observations, coverage, skipped parts or progress, not str"),
    ],
)
def test_a_crash_is_named_and_keeps_what_was_seen(how: str, reason: str) -> None:
    section = run(job(how))
    assert (section.status, section.reason) == (RunStatus.CRASHED, reason)
    assert body(section).coverage == ()
    assert len(body(section).observations) == (how != "odd")


def test_the_trace_of_a_crash_is_for_the_log() -> None:
    assert "the probe has a fault" in perform(job("failing")).stderr


def test_what_a_probe_prints_never_mixes_with_its_results() -> None:
    done = perform(job("chatty"))
    assert done.packed.section.status is RunStatus.DONE
    assert "from a grandchild" in done.stderr
    assert len(done.stderr) <= 2000


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Job("task", "hostile", 20, {"how": "unable"}), "no_responder: start one"),
        (Job("task", "nothing", 20), "cannot_load: there is no probe 'nothing'"),
        (Job("task", "../wire", 20), "cannot_load: there is no probe '../wire'"),
        (Job("task", "hostile", 20, {"hwo": "calm"}), "bad_options: hostile: 'hwo' is not an option"),
        (Job("task", "hostile", 20, policy=b"{"), "message: not JSON"),
    ],
)
def test_what_cannot_run_says_why(wanted: Job, reason: str) -> None:
    section = run(wanted)
    assert section.status is RunStatus.CANNOT_RUN
    assert section.reason.startswith(reason)
    assert body(section) == Body()


def test_a_killed_guard_is_a_crash_and_leaves_nothing() -> None:
    section = run(job("killing_guard"))
    assert section.status is RunStatus.CRASHED
    assert section.reason == "crashed: the guard of the probe was killed by SIGKILL"


def test_a_stop_before_the_probe_has_begun_is_a_stop_and_no_crash() -> None:
    stop = threading.Event()
    stop.set()
    section = run(job("telling"), stop=stop)
    assert (section.status, section.reason) in {(RunStatus.PARTIAL, "stopped"), (RunStatus.CANNOT_RUN, "stopped")}


def test_a_stop_keeps_what_was_said(tmp_path: Path) -> None:
    stop = threading.Event()
    place = tmp_path / "pid"

    def later() -> None:
        wait_until(lambda: written(place), "the probe runs")
        stop.set()

    thread = threading.Thread(target=later)
    thread.start()
    section = run(job("deaf", 600, file=str(place)), stop=stop)
    thread.join()
    assert (section.status, section.reason) == (RunStatus.PARTIAL, "stopped")
    assert body(section).observations


def test_a_killed_caller_takes_everything_with_it(tmp_path: Path, process: Processes) -> None:
    place = tmp_path / "pids"
    code = (
        "import sys; from agent.probing.runner import run; from agent.probing.job import Job\n"
        "run(Job('task', 'hostile', 600, {'how': 'breeding', 'file': sys.argv[1]}))"
    )
    caller = process([sys.executable, "-c", code, str(place)], ready=lambda: written(place))
    caller.send(signal.SIGKILL)
    pids = [int(pid) for pid in place.read_text().split()]
    wait_until(lambda: all(map(gone, pids)), "everything that the probe started has ended")


def test_a_probe_is_confined() -> None:
    limits = Limits(rate=77, connections=100, per_host=9, memory=200 << 20, quiet_hours=("01:00-01:01",))
    entry = ScopeEntry("198.51.100.0/24", "someone", "a test", date(2099, 1, 1))
    policy = encode(Policy("d", "6401060001", "a school", 300))
    told = run(Job("task", "hostile", 20, {"how": "telling"}, (entry,), policy, None, limits))
    values = dict(body(told).observations[0].values)
    assert set(values.pop("environment")) <= {"LANG", "LC_CTYPE", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "TZ"}  # type: ignore[arg-type]
    handles = values.pop("handles")
    assert isinstance(handles, tuple)
    assert len(handles) <= 5  # the standard three, the channel, and the one that lists them
    assert values.pop("cpu") == "30"
    assert values == {
        "no_new_privs": "1",
        "effective": "0" * 16,
        "permitted": "0" * 16,
        "ambient": "0" * 16,
        "memory": str(200 << 20),
        "core": "0",
        "files": "164",
        "session": True,
        "policy": "6401060001",
        "scope": ("127.0.0.0/8", "::1/128", "198.51.100.0/24"),
        "per_host": 9,
        "quiet": ("01:00-01:01",),
        "rate": 77.0,
    }


def test_a_declared_privilege_is_all_that_is_left_also_for_helpers() -> None:
    (seen,) = body(run(Job("task", "raw_packets", 20))).observations
    held = f"{1 << 13 if os.geteuid() == 0 else 0:016x}"
    assert seen.values == {"own": held, "helper": held, "no_new_privs": True}


def test_a_users_ambient_capability_reaches_only_probes_that_declare_it(needs: Callable[..., str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    setpriv = needs("setpriv", package="util-linux")
    raw = ("--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw")
    as_nobody = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", *raw]
    enough = "import sys, subprocess as s; sys.exit(sys.version_info < (3, 11) or s.call([sys.executable, '-c', '']))"
    pythons = [sys.executable, "/usr/bin/python3"]
    trials = [subprocess.run([*as_nobody, p, "-c", enough], capture_output=True, check=False) for p in pythons]
    usable = [python for python, trial in zip(pythons, trials, strict=True) if trial.returncode == 0]
    if not usable:
        pytest.skip("needs a Python 3.11 that any user may run")
    code = (
        "from agent.probing.runner import run; from agent.probing.job import Job\n"
        "for name, options in (('raw_packets', {}), ('hostile', {'how': 'telling'})):\n"
        "    values = run(Job('task', name, 20, options)).body.observations[0].values\n"
        "    print(*(values[key] for key in ('own', 'helper', 'effective', 'permitted') if key in values))\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for room in ("agent", "wire"):
            shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
        with_test_probes(folder)
        environment = {"PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        words = [*as_nobody, usable[0], "-P", "-c", code]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    held, nothing = f"{1 << 13:016x}", "0" * 16
    assert done.stdout.splitlines() == [f"{held} {held}", f"{nothing} {nothing}"], done.stderr


def test_what_lies_outside_the_scope_is_no_fact() -> None:
    done = perform(job("outside"))
    section = run(job("outside"))
    assert [item.target.name for item in body(section).observations] == ["127.0.0.1"]
    assert [item.what for item in body(section).skipped] == ["192.0.2.1", "192.0.2.1 port 1"]
    assert section.status is RunStatus.PARTIAL
    assert (done.refusals, done.sent) == (1, 1)


@pytest.mark.parametrize("from_file", [True, False])
def test_a_large_policy_reaches_the_probe(from_file: bool, tmp_path: Path) -> None:
    policy = Policy("d", "u" * 10, "n", 300, targets=tuple(f"{n:0200}" for n in range(1000)))
    if from_file:
        policies.stage(tmp_path, policy)
        wanted = Job("task", "hostile", 20, {"how": "telling"}, policy_file=policies.adopt(tmp_path, policy).file)
    else:
        wanted = Job("task", "hostile", 20, {"how": "telling"}, policy=encode(policy))
    assert body(run(wanted)).observations[0].values["policy"] == "u" * 10


def test_a_policy_file_that_is_gone_is_named(tmp_path: Path) -> None:
    section = run(Job("task", "hostile", 20, {"how": "telling"}, policy_file=tmp_path / "none"))
    assert (section.status, section.reason) == (
        RunStatus.CANNOT_RUN,
        f"cannot_load: {tmp_path}/none: No such file or directory",
    )


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"{}\n", b"[]\n", b'{"name":"a","probe":"b","seconds":1,"policy_bytes":9}\nx']
)
def test_a_broken_job_is_refused(data: bytes) -> None:
    parts = [data, b""]
    with pytest.raises(DecodeError):
        read_job(lambda _: parts.pop(0))


def test_a_job_arrives_as_it_was_written() -> None:
    entry = ScopeEntry("10.0.0.0/8", "someone", "a test", date(2099, 1, 1), "22,80")
    policy = b'{"a": "line\\n"}\n{'
    wanted = Job("t", "p", 1.5, {"a": ("x", "y"), "b": True}, (entry,), policy, Path("/p"), Limits(rate=3), 0.5)
    data = write_job(wanted)
    pieces = [data[index : index + 7] for index in range(0, len(data), 7)]
    assert read_job(lambda _: pieces.pop(0)) == wanted


def test_the_guard_refuses_what_is_no_job() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "agent.probing.guard"],
        input=b"nonsense\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")


def test_no_run_leaves_a_descriptor_or_a_child() -> None:
    before = open_files()
    for how in ("calm", "failing", "garbage"):
        run(job(how))
    assert open_files() <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
