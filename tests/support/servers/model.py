"""What a real server of the lab is, and the place where it runs."""

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import unpacked
from wire.types import Transport

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server runs: an address of its own, mostly its usual port, and a folder that all users can enter."""

    address: str
    port: int
    interface: str
    folder: Path
    server: "Server"

    def write(self, name: str, text: str) -> Path:
        """Write a file of configuration into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def make(self, name: str, owner: str = "") -> Path:
        """Make a folder inside, for a user where one is named."""
        path = self.folder / name
        path.mkdir()
        if owner:
            self.run(["chown", owner, path])
        return path

    def run(self, argv: Command) -> str:
        """Run a command that prepares something, to its end; gives its output."""
        words = [str(word) for word in self.server.laid(argv)]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        if done.returncode:
            raise RuntimeError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


@dataclass(frozen=True, slots=True)
class Server:
    """A real server from Debian. `begin` writes its configuration and gives the command that runs it in the foreground.

    `product` is how it should be named, empty where its protocol tells no product; `tells` says whether strangers learn
    its version. `answers` is false for one that keeps silent to everybody whom it does not know. `on_link`: it
    serves a link and not an address, so it gets the address of the link to the namespace that asks.
    """

    name: str
    product: str
    package: str
    port: int
    service: str
    begin: Callable[[Place], Command] = field(repr=False)
    transport: Transport = Transport.TCP
    tells: bool = True
    answers: bool = True
    on_link: bool = False
    more_ports: tuple[int, ...] = ()

    def package_version(self) -> str | None:
        """Debian version of its package: installed, else unpacked; None when it is neither."""
        return _installed(self.package) or unpacked.version(self.package)

    def version(self) -> str:
        """Upstream version of its package, without epoch and revision; empty when it is not here."""
        return re.split(r"[-+~]", (self.package_version() or "").split(":", 1)[-1], maxsplit=1)[0]

    def laid(self, argv: Command) -> Command:
        """Give the command as it runs here: with the unpacked files in place where its package is not installed."""
        return argv if _installed(self.package) else unpacked.over(argv)

    def why_not(self) -> str | None:
        """Reason why it cannot run here, or None."""
        if _installed(self.package):
            return None
        if unpacked.version(self.package) is None:
            return f"needs {self.package}: scripts/debian-packages and scripts/debian-unpacked bring it"
        return unpacked.why_not()


def _installed(package: str) -> str | None:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout[3:] if done.stdout.startswith("ii ") else None


SERVERS: dict[str, Server] = {}
"""Every server that a module of this folder describes, by name."""


def server(
    product: str,
    package: str,
    port: int,
    service: str,
    *,
    transport: Transport = Transport.TCP,
    tells: bool = True,
    answers: bool = True,
    on_link: bool = False,
    more_ports: tuple[int, ...] = (),
    among: dict[str, Server] = SERVERS,
) -> Callable[[Callable[[Place], Command]], Callable[[Place], Command]]:
    """Describe the server that a function begins; the function's name is the server's."""

    def register(begin: Callable[[Place], Command]) -> Callable[[Place], Command]:
        name = begin.__name__
        among[name] = Server(
            name, product, package, port, service, begin, transport,
            tells=tells, answers=answers, on_link=on_link, more_ports=more_ports,
        )  # fmt: skip
        return begin

    return register
