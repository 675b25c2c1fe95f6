"""A whole agent as a process, with its configuration and state folder, for tests."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import Processes, Ready, Running

READY = "the agent works"


@dataclass(slots=True)
class Gateway:
    """One gateway: `run` starts its agent, `status` asks about it, `spooled` looks into its spool from outside."""

    folder: Path
    process: Processes
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "agent.toml"

    def configure(self, text: str = "", *, metrics: str = "off", interval: float | None = 1) -> None:
        """Write the configuration: state and scope in the folder, and `text` behind it."""
        report = "" if interval is None else f"report_interval = {interval}\n"
        self.config.write_text(
            f'[agent]\nstate = "{self.state}"\nscope = "{self.folder}/scope.toml"\n'
            f'metrics = "{metrics}"\n{report}{text}',
            encoding="utf-8",
        )

    def run(self, *words: str, ready: Ready = READY, env: Mapping[str, str] | None = None) -> Running:
        """Start the agent and wait until it works."""
        return self.process(
            [sys.executable, "-P", "-m", "agent", "run", "--config", self.config, *words],
            ready=ready,
            env={**os.environ, **self.environment, **(env or {})},
        )

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the agent's short commands."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "agent", *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """Ask how it is doing."""
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def spooled(self, pick: Callable[[Mapping[str, Any]], str]) -> list[str]:
        """Give what `pick` takes out of each observation in the spool, read from a copy as after a power cut."""
        with tempfile.TemporaryDirectory() as copy:
            for name in ("spool.db", "spool.db-wal"):
                source = self.state / name
                if source.exists():
                    Path(copy, name).write_bytes(source.read_bytes())
            db = sqlite3.connect(Path(copy, "spool.db"))
            try:
                rows: Sequence[tuple[bytes]] = db.execute("SELECT body FROM section ORDER BY id").fetchall()
            except sqlite3.OperationalError:
                return []  # killed before it was made
            finally:
                db.close()
        bodies = [json.loads(zlib.decompress(body)) for (body,) in rows]
        return [pick(observation) for body in bodies for observation in body.get("observations", ())]
