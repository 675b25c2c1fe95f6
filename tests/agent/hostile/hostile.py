"""A probe that does what no probe should, one way per run; the runner's tests add it to a copy of the probes."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from probes.kit.contract import CannotRun, Context, Probe, Progress, Yield
from probes.kit.options import option
from wire.text import Text
from wire.types import Coverage, Observation, Outcome, SectionKind, Skipped, Target, TargetKind, Value


@dataclass(frozen=True, slots=True)
class Options:
    how: str = option("calm", zh="方式", en="what to do wrong")
    file: str = option("", zh="文件", en="where to leave process ids")


def _seen(name: str = "127.0.0.1", **values: Value) -> Observation:
    return Observation("hostile", "test", Target(TargetKind.HOST, name), Outcome.SEEN, time.time(), values)


def _first() -> Iterator[Yield]:
    yield _seen()
    yield Coverage(("127.0.0.1/32",), 4)


def _calm(options: Options, context: Context) -> Iterator[Yield]:
    yield Progress(0, 2)
    yield from _first()
    yield Progress(2, 2, "done")


def _numbered(options: Options, context: Context) -> Iterator[Yield]:
    """One observation that no other run ever makes again."""
    yield _seen(number=f"{time.time_ns()}-{os.getpid()}")


def _patient(options: Options, context: Context) -> Iterator[Yield]:
    count = 0
    while time.monotonic() < context.deadline:
        count += 1
        yield Progress(count, 1000)
        time.sleep(0.02)
    yield from _first()
    yield Skipped("the rest", "deadline")


def _deaf(options: Options, context: Context) -> Iterator[Yield]:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    yield from _first()
    Path(options.file).write_text(str(os.getpid()))
    while True:
        time.sleep(60)


def _mute(options: Options, context: Context) -> Iterator[Yield]:
    time.sleep(600)
    yield from _first()


def _breeding(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    pids = [_runaway() for _ in range(8)]
    Path(options.file).write_text(" ".join(map(str, [os.getpid(), *pids])))
    time.sleep(600)


def _leaving(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    Path(options.file).write_text(str(_runaway()))


def _runaway() -> int:
    """A grandchild in a session of its own, whose parent is gone and who keeps every pipe open."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.close(writer)
    pid = int(os.read(reader, 20))
    os.close(reader)
    os.wait()
    return pid


def _hungry(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    hoard = []
    while True:
        hoard.append(bytearray(8 << 20))


def _endless(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    while True:
        yield _seen()


def _wordy(options: Options, context: Context) -> Iterator[Yield]:
    yield _seen(text="x" * 5000)
    yield _seen(text="bad \udc80 text")
    yield _seen(number=float("nan"))
    yield from _first()


def _skipping(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    for number in range(5000):
        yield Skipped(f"target {number}", "unreachable")


def _garbage(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    for handle in range(3, 64):
        try:
            os.write(handle, b'{"observation": \xff\x00 this is no result }\n')
        except OSError:
            continue
    time.sleep(600)


def _long_line(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    for handle in range(3, 64):
        try:
            while True:
                os.write(handle, b"x" * 65536)
        except OSError:
            continue


def _failing(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    raise ValueError("the probe has a fault")


def _unable(options: Options, context: Context) -> Iterator[Yield]:
    raise CannotRun("no_responder: start one")
    yield from _first()


def _exiting(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    sys.exit(3)


def _segfault(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    ctypes.string_at(0)


def _odd(options: Options, context: Context) -> Iterator[Yield]:
    yield "not a thing"  # type: ignore[misc]


def _chatty(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    for number in range(3000):
        print(f"line {number} to standard output, where nothing of the channel may be", flush=True)
        print(f"line {number} to standard error", file=sys.stderr)
    subprocess.run(["echo", "from a grandchild"], check=True)


def _spinning(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    while True:
        pass


def _killing_guard(options: Options, context: Context) -> Iterator[Yield]:
    yield from _first()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def _naming(options: Options, context: Context) -> Iterator[Yield]:
    Path(options.file).write_text(f"{os.getppid()} {os.getpid()}")
    yield from _first()
    time.sleep(600)


def _telling(options: Options, context: Context) -> Iterator[Yield]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    limits = {line[:26].strip(): line[26:47].strip() for line in Path("/proc/self/limits").read_text().splitlines()}
    yield _seen(
        environment=tuple(sorted(os.environ)),
        handles=tuple(sorted(handle.name for handle in Path("/proc/self/fd").iterdir())),
        no_new_privs=status["NoNewPrivs"],
        effective=status["CapEff"],
        permitted=status["CapPrm"],
        ambient=status["CapAmb"],
        memory=limits["Max address space"],
        core=limits["Max core file size"],
        files=limits["Max open files"],
        cpu=limits["Max cpu time"],
        session=os.getsid(0) == os.getpid(),
        policy=context.policy.unit,
        scope=tuple(entry.value for entry in context.net.scope.entries),
        per_host=context.net.per_host,
        quiet=tuple(map(str, context.net.quiet)),
        rate=context.net.pace.rate,
    )


def _outside(options: Options, context: Context) -> Iterator[Yield]:
    context.net.connect("127.0.0.1", 1, 1.0)  # something was sent, so what follows may have been brought about by it
    for name in ("127.0.0.1", "192.0.2.1"):
        target = Target(TargetKind.SERVICE, name, 1)
        yield Observation("hostile", "test", target, Outcome.CLOSED, time.time())
    context.net.connect("192.0.2.1", 1, 1.0)


_WAYS: dict[str, Callable[[Options, Context], Iterator[Yield]]] = {
    name.removeprefix("_"): way
    for name, way in list(globals().items())
    if callable(way)
    and name.startswith("_")
    and not name.startswith("__")
    and name not in ("_seen", "_first", "_runaway")
}


def run(options: Options, context: Context) -> Iterator[Yield]:
    yield from _WAYS[options.how](options, context)


PROBE = Probe(Text("坏探测", "a bad probe"), SectionKind.STATE, Options, run)
