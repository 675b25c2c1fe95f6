"""Service identification next to `nmap -sV` on the same real servers: accuracy first, then wall time.

Needs root, nmap, nginx and redis-server. Everything happens in two network namespaces of its own: one owns
198.18.9.0/24 and runs real servers on all of its addresses, the other asks them.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.net import Net
from probes.kit.pacing import Pace
from probes.kit.scope import Scope
from probes.kit.services import identity
from probes.kit.services.drive import Drive
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes
from wire.types import ScopeEntry

PREFIX = "198.18.9.0/24"
HOSTS = [f"198.18.9.{number}" for number in range(1, 255)]
PORTS = {80: "nginx", 6379: "Redis"}


def lab(spaces: Namespaces, processes: Processes, folder: Path) -> Namespace:
    """Make the two namespaces and start the servers; give the namespace that asks."""
    asking, owning = spaces(), spaces()
    near, far = spaces.link(asking, owning)
    owning.run(["ip", "route", "add", "local", PREFIX, "dev", "lo"])
    asking.run(["ip", "route", "add", PREFIX, "via", str(far.v4.ip), "src", str(near.v4.ip)])
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1; "
        f"events {{ worker_connections 4096; }} http {{ access_log off; {temporary} server {{ listen 80; }} }}"
    )
    processes(["nginx", "-c", config, "-e", folder / "error"], netns=owning, ready=lambda: _listens(owning, 80))
    redis = ["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]  # noqa: S104 (inside a namespace of its own)
    processes([*redis, "--dir", folder], netns=owning, ready=lambda: _listens(owning, 6379))
    return asking


def _listens(space: Namespace, port: int) -> bool:
    return f":{port} " in space.run(["ss", "-Hltn", f"sport = :{port}"]).stdout


def ours() -> tuple[int, float]:
    """Count services named right, and seconds of wall time, fingerprints loaded within it."""
    started = time.perf_counter()
    known = by_key(built_in())
    net = Net(Scope((ScopeEntry(PREFIX, "benchmark", "own namespaces", None),)), pace=Pace(1e6))
    pairs = [(host, port) for port in PORTS for host in HOSTS]
    right = 0
    for result in Drive(net).run(pairs, time.monotonic() + 60):
        named = identity.of(result.heard, known).product if result.heard else ""
        right += named == PORTS[result.port]
    return right, time.perf_counter() - started


def nmap(space: Namespace) -> tuple[int, float]:
    """The same for nmap -sV -T4."""
    started = time.perf_counter()
    done = space.run(
        ["nmap", "-n", "-Pn", "-sV", "-T4", "-p", ",".join(map(str, PORTS)), "-oG", "-", PREFIX], seconds=300
    )
    seconds = time.perf_counter() - started
    lines = [line for line in done.stdout.splitlines() if re.match(r"Host: 198\.18\.9\.(?!0 |255 )", line)]
    return sum(len(re.findall(r"/open/tcp//[^/]*//(?:nginx|Redis)", line)) for line in lines), seconds


def main() -> None:
    """Measure both in one run and print a line each."""
    with tempfile.TemporaryDirectory(prefix="edusec-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        spaces, processes = Namespaces(), Processes(folder / "processes")
        try:
            asking = lab(spaces, processes, folder)
            right, seconds = asking.call(ours)
            peer_right, peer_seconds = nmap(asking)
        finally:
            processes.close()
            spaces.close()
    total = len(HOSTS) * len(PORTS)
    print(f"identified right: edusec {right}/{total}, nmap -sV {peer_right}/{total}")
    print(f"wall: edusec {seconds:.2f} s, nmap -sV {peer_seconds:.2f} s, nmap/edusec {peer_seconds / seconds:.1f}")


if __name__ == "__main__":
    main()
