"""What a person at a terminal sees of a scan, and a pipe does not."""

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.edusec.run_cli import argv

HEAD = "kind,value,transport,ports,owner,reason,approver,expires\n"


def _on_a_terminal(words: list[str], **env: str) -> tuple[int, str]:
    handle, inside = pty.openpty()
    running = subprocess.Popen(
        words, stdin=inside, stdout=inside, stderr=inside, env={**os.environ, "TERM": "xterm-256color", **env}
    )
    os.close(inside)
    seen = b""
    while True:
        try:
            part = os.read(handle, 65_536)
        except OSError:  # EIO: the last process has left the terminal
            break
        if not part:
            break
        seen += part
    os.close(handle)
    return running.wait(timeout=60), seen.decode()


def test_a_terminal_gets_colours_unless_told_otherwise(listener: Callable[..., int], tmp_path: Path) -> None:
    file = tmp_path / "approved.csv"
    file.write_text(HEAD + "port,127.0.0.1,tcp,1,li,web,wang,\n", encoding="utf-8")
    words = argv("scan", "127.0.0.1", "--no-identify", "--ports", str(listener()), "--whitelist", file)
    code, coloured = _on_a_terminal(words)
    assert code == 0
    assert "\x1b[31m" in coloured
    code, plain = _on_a_terminal(words, NO_COLOR="1")
    assert code == 0
    assert "\x1b[" not in plain
    assert "unlisted" in plain


def test_a_terminal_gets_a_live_line_and_a_pipe_does_not(listener: Callable[..., int]) -> None:
    words = argv("scan", "127.0.0.1", "--no-identify", "--ports", "1-65535", "--fail-on", "none")
    code, seen = _on_a_terminal(words, NO_COLOR="1")
    assert code == 0
    assert "%" in seen
    assert "/s" in seen
    assert "\r" in seen
    code, quiet = _on_a_terminal([*words, "--quiet"], NO_COLOR="1")
    assert code == 0
    assert "/s" not in quiet
    # The engine by name: who may not send raw packets is told in a line, to wherever, that handshakes take over.
    piped = subprocess.run([*words, "--engine", "connect"], capture_output=True, text=True, timeout=60, check=True)
    assert piped.stderr == ""
