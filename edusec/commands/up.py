"""`edusec up`: the newcomer's command, a collector and one agent on this machine, first round on one screen."""

import contextlib
import queue
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from edusec.client import Profile
from edusec.declare.command import Command
from edusec.declare.grades import at_or_above, parse_fail_on
from edusec.declare.options import FailOnOption
from edusec.demo import prepare
from edusec.demo.children import Child
from edusec.demo.report import changes, screen
from edusec.demo.snapshot import Snapshot, look
from edusec.exits import ExitCode, Stop
from edusec.lang import t
from edusec.local.places import up_folder
from edusec.terminal.render import safe

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LOOK_SECONDS = 0.5
_WATCH_SECONDS = 3.0


class Ended(Exception):
    """The operator has asked for the end."""


class Told:
    """Whether the operator has asked for the end, by a signal.

    No threading.Event: its lock may be held by what the handler interrupts, which then waits for ever.
    """

    def __init__(self) -> None:
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def tell(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self._signals.put(number)

    def within(self, seconds: float) -> bool:
        """Wait for the word, so long at most; True for ever once it was heard."""
        try:
            self._signals.put(self._signals.get(timeout=seconds))
        except queue.Empty:
            return False
        return True

    def heed(self, seconds: float = 0) -> None:
        """Wait so long at most; raises Ended once the word was heard."""
        if self.within(seconds):
            raise Ended


@app.command(
    cls=Command,
    help=t(
        "在本机启动一个采集中心（SQLite）和一个代理，导入样例单位树和白名单，打印第一轮结果，直到 Ctrl-C。只探测本机。",
        "Start a collector (SQLite) and one agent on this machine with a sample tree of units and a sample whitelist, "
        "print the first round, and run until Ctrl-C. Probes this machine only.",
    ),
)
def up(
    once: Annotated[bool, typer.Option("--once", help=t("只运行一轮就退出", "Run one round and exit"))] = False,
    fail_on: FailOnOption = "red",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help=t(
                "数据目录（默认 EDUSEC_HOME 或 ~/.local/share/edusec/up）",
                "Where data lies (default: EDUSEC_HOME or ~/.local/share/edusec/up)",
            ),
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="ADDRESS:PORT",
            help=t(
                "采集中心的地址（默认 127.0.0.1:8443 或空闲端口）",
                "The collector's address (default: 127.0.0.1:8443, or a free port)",
            ),
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(metavar="S", min=10, max=3600, help=t("第一轮最长秒数", "Longest time for the first round"))
    ] = 120,
    quiet: Annotated[
        bool, typer.Option("--quiet", help=t("不显示启动过程", "Do not say what is being started"))
    ] = False,
) -> int:
    """Run the demonstration."""
    threshold = parse_fail_on(fail_on)
    stop = Told()
    with (
        prepare.claim((data or up_folder()).absolute()) as place,
        _until_told(stop),
        contextlib.ExitStack() as children,
    ):
        say = _Narrator(quiet=quiet)
        try:
            say(t("启动采集中心", "starting the collector"))
            profile = prepare.make_collector(place, listen)
            stop.heed()
            collector = children.enter_context(prepare.start_collector(place, profile, stop.heed))
            prepare.register_samples(profile)
            stop.heed()
            say(t("注册并启动代理", "enrolling and starting the agent"))
            prepare.enrol_agent(place, profile)
            stop.heed()
            started = datetime.now(UTC)
            agent = children.enter_context(prepare.start_agent(place))
            say(t("等待第一轮探测", "waiting for the first round"))
            found, complete = _first_round(place, profile, (collector, agent), started, time_limit, stop)
            print("\n".join(screen(found, place.folder, ended=once)), flush=True)
            if once:
                return _exit_code(found, threshold, complete=complete)
            print(t("运行中，Ctrl-C 停止", "running; Ctrl-C stops both"), flush=True)
            _watch(profile, (collector, agent), found, stop)
        except Ended:
            say(t("正在停止", "stopping"))
            return ExitCode.INTERRUPTED if once else ExitCode.CLEAN


def _first_round(
    place: prepare.Place,
    profile: Profile,
    children: tuple[Child, ...],
    started: datetime,
    time_limit: float,
    stop: Told,
) -> tuple[Snapshot, bool]:
    """Wait until every task was run and reported; gives what there is then, and whether it is all. Raises Ended."""
    tasks = [task["probe"] for task in tomllib.loads(place.agent_config.read_text(encoding="utf-8")).get("task", ())]
    deadline = time.monotonic() + time_limit
    while True:
        for child in children:
            child.require_alive()
        found = look(profile)
        if found.done_since(started, tasks):
            return found, True
        if time.monotonic() > deadline:
            print(t("有任务没有按时完成", "some tasks did not finish in time"), file=sys.stderr)
            return found, False
        stop.heed(_LOOK_SECONDS)


def _watch(profile: Profile, children: tuple[Child, ...], found: Snapshot, stop: Told) -> NoReturn:
    """Print a line for each change until told to stop; raises Ended."""
    while True:
        stop.heed(_WATCH_SECONDS)
        for child in children:
            child.require_alive()
        try:
            now = look(profile)
        except Stop as refusal:
            if refusal.code is not ExitCode.UNREACHABLE:
                raise
            continue  # busy, or just dying: the next turn tells
        for line in changes(found, now):
            print(f"{datetime.now().astimezone():%H:%M:%S}  {line}", flush=True)
        found = now


def _exit_code(found: Snapshot, threshold: str, *, complete: bool) -> ExitCode:
    if at_or_above((alert["colour"] for alert in found.alerts if alert["state"] == "firing"), threshold):
        return ExitCode.FINDINGS
    return ExitCode.CLEAN if complete else ExitCode.PARTIAL


@contextlib.contextmanager
def _until_told(stop: Told) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end the run in good order."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop.tell) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Narrator:
    """Says on standard error what is being done."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        if not self._quiet:
            print(safe(text) + " ...", file=sys.stderr, flush=True)
