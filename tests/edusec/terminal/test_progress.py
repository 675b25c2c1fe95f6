"""The line that shows how far a run is."""

import fcntl
import io
import os
import pty
import struct
import termios

import pytest

from edusec import lang
from edusec.terminal.progress import Progress
from edusec.terminal.render import cells
from probes.kit import contract


def shown(step: contract.Progress, language: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(lang, "_chosen", language)
    out, now = io.StringIO(), [0.0]
    progress = Progress(quiet=False, stream=out, clock=lambda: now[0])
    now[0] = 20.0
    progress(step)
    return out.getvalue()


def test_rate_time_left_and_loss_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    step = contract.Progress(100, 400, "", rate=2000.4, lost=0.0213)
    assert shown(step, "en", monkeypatch) == "25% 100/400  5/s, 1:00 left  sending 2000/s, 2.1% lost\n"
    assert shown(step, "zh", monkeypatch) == "25% 100/400  5/s，还需 1:00  发送 2000/s，丢包 2.1%\n"
    assert shown(contract.Progress(400, 400), "en", monkeypatch) == "100% 400/400  20/s\n"


def test_a_reason_is_told_in_the_operators_language(monkeypatch: pytest.MonkeyPatch) -> None:
    step = contract.Progress(1, 1, "no_raw_packets: CAP_NET_RAW")
    assert "raw packets cannot be sent" in shown(step, "en", monkeypatch)
    assert "不能发送原始数据包" in shown(step, "zh", monkeypatch)
    waiting = contract.Progress(9, 9, "identifying: 1/2")
    assert shown(waiting, "en", monkeypatch) == "100% 9/9  asking services who they are: 1/2\n"
    escape = chr(27) + "[2J"
    assert chr(27) not in shown(contract.Progress(1, 1, escape), "en", monkeypatch)


def test_the_live_line_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lang, "_chosen", "zh")
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(inside, "w", encoding="utf-8") as stream:
        progress = Progress(quiet=False, stream=stream)
        progress(contract.Progress(100, 400, "no_raw_packets: CAP_NET_RAW", rate=2000.0, lost=0.02))
        written = os.read(outside, 4096).decode()
        progress.clear()
    os.close(outside)
    assert written.startswith("\r25% 100/400")
    assert cells(written.removeprefix("\r")) <= 39
