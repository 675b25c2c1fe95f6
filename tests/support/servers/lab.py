"""Real servers side by side in a namespace, each on an address of its own, and a namespace that asks them."""

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes, Running
from tests.support.servers.model import SERVERS, Command, Place, Server
from wire.types import Transport

PREFIX = "198.18.9.0/24"
"""Where servers have addresses of their own."""
LINK = "198.18.1.0/24"
"""The link between the two namespaces."""
MOVED: Mapping[str, int] = {
    "redis": 16379, "memcached": 21211, "postgresql": 15432, "mosquitto": 11883, "openldap": 10389, "xrdp": 13389,
    "kamailio": 5080, "openssh": 443, "nginx": 22, "exim": 80, "vsftpd": 12345,
    "prosody": 15222, "beanstalkd": 8000, "svnserve": 10000,
}  # fmt: skip
"""Servers that are worth a second look on a port of an operator's choice, also on one that belongs to others."""
for _module in ("data", "files", "link", "mail", "names", "office", "remote", "web"):
    import_module(f"tests.support.servers.{_module}")
KNOWN: Mapping[str, Server] = SERVERS
"""Every server by its name, once the modules above have told of theirs."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Two joined namespaces; `places` are the servers that run, `absent` says why others do not.

    `spaces` makes further namespaces, which end with it.
    """

    asking: Namespace
    owning: Namespace
    places: Mapping[str, Place]
    absent: Mapping[str, str]
    spaces: Namespaces


@contextmanager
def lab(
    names: Iterable[str], moved: Mapping[str, int] | None = None, known: Mapping[str, Server] = KNOWN
) -> Iterator[Lab]:
    """Run the named servers, begun all at once; all end, and nothing stays, when the context does.

    `moved` are further ones on ports that are not their usual ones; their places are called `redis:7001` and the like.
    """
    folder = Path(f"/tmp/edusec-lab-{os.getpid()}-{time.monotonic_ns()}")
    folder.mkdir(mode=0o755)
    spaces, processes = Namespaces(), Processes(folder / "processes")
    running: list[tuple[Place, Running]] = []
    try:
        asking, owning = spaces(), spaces()
        near, far = spaces.link(asking, owning)
        asking.run(["ip", "route", "add", PREFIX, "via", str(far.v4.ip), "src", str(near.v4.ip)])
        wanted = {name: (known[name], known[name].port) for name in names}
        wanted |= {f"{name}:{port}": (known[name], port) for name, port in (moved or {}).items()}
        absent = {name: reason for name, (server, _) in wanted.items() if (reason := server.why_not())}
        places: dict[str, Place] = {}
        for number, (name, (server, port)) in enumerate(wanted.items(), 1):
            if name in absent:
                continue
            interface, address = (far.interface, str(far.v4.ip)) if server.on_link else ("lo", f"198.18.9.{number}")
            place = Place(address, port, interface, folder / name.replace(":", "-"), server)
            place.folder.mkdir(mode=0o755)
            if not server.on_link:
                owning.run(["ip", "address", "add", f"{address}/32", "dev", interface])
            places[name] = place
        with ThreadPoolExecutor(4) as several:
            for place, command in several.map(_prepare, places.values()):
                running.append((place, processes(place.server.laid(command), netns=owning, cwd=place.folder)))
        for place, process in running:
            process.wait_ready(lambda place=place: _listens(place, owning))  # type: ignore[misc]
        yield Lab(asking, owning, places, absent, spaces)
    finally:
        for _, process in running:
            process.send(signal.SIGTERM)  # all at once, so that they end side by side
        processes.close()
        spaces.close()
        shutil.rmtree(folder)


def _prepare(place: Place) -> tuple[Place, Command]:
    return place, place.server.begin(place)


def _listens(place: Place, space: Namespace) -> bool:
    which = "-Hltn" if place.server.transport is Transport.TCP else "-Hlun"
    lines = space.run(["ss", which, f"sport = :{place.port}"]).stdout.splitlines()
    own = (place.address, f"[::ffff:{place.address}]", "0.0.0.0", "*", f"0.0.0.0%{place.interface}")
    return any(line.split()[3].rpartition(":")[0] in own for line in lines)
