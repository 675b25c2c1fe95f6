"""Service identification next to `nmap -sV` on the same real servers: what each says of them, then wall time.

Needs root, nmap, and the servers of requirements/debian.txt and debian-unpacked.txt; those that are not here are left
out by name. Everything happens in network namespaces of its own, on 198.18.9.0/24.

Truth: each server of tests/support/servers once, over TCP and UDP, on its usual port, and some on a port of the
operator's choice, held against the version of its package (tests/support/servers/verdict.py). Wall time: nginx and
Redis on 254 addresses.
"""

import re
import sys
import tempfile
import time
import xml.etree.ElementTree as ET  # what nmap itself wrote
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.scan.udp import sweep
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import Pace
from probes.kit.services import identity
from probes.kit.services.drive import Drive
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes
from tests.support.servers.lab import LINK, MOVED, PREFIX, Lab, lab
from tests.support.servers.model import SERVERS, Place
from tests.support.servers.verdict import RIGHT, SILENT, WRONG, verdict
from wire.types import ScopeEntry, Transport

HOSTS = [f"198.18.9.{number}" for number in range(1, 255)]
MANY = {"nginx": 80, "redis": 6379}
Pairs = Sequence[tuple[str, int]]
Said = dict[tuple[str, int], tuple[str, str, str]]
"""Service, product and version by address and port."""


def net() -> Net:
    """Make a Net for the laboratory."""
    entries = (ScopeEntry(prefix, "benchmark", "own namespaces", None) for prefix in (PREFIX, LINK))
    return Net(Scope(entries), pace=Pace(1e6))


def ours_tcp(pairs: Pairs) -> Said:
    """Name services over TCP, fingerprints loaded within it."""
    known = by_key(built_in())
    said: Said = {}
    for result in Drive(net()).run(pairs, time.monotonic() + 120):
        if result.heard is not None:
            found = identity.of(result.heard, known)
            said[result.address, result.port] = (found.service, found.product, found.version)
    return said


def ours_udp(pairs: Pairs) -> Said:
    """Name services over UDP."""
    known = by_key(built_in())
    said: Said = {}
    for answer in sweep(net(), pairs, time.monotonic() + 120):
        if answer.heard is not None:
            found = identity.of(answer.heard, known)
            said[answer.address, answer.port] = (found.service, found.product, found.version)
    return said


def nmaps(space: Namespace, how: str, pairs: Pairs) -> Said:
    """The same for nmap -sV."""
    ports = ",".join(sorted({str(port) for _, port in pairs}))
    hosts = sorted({address for address, _ in pairs})
    done = space.run(["nmap", "-n", "-Pn", "-sV", "-T4", how, "-p", ports, "-oX", "-", *hosts], seconds=900)
    said: Said = {}
    for host in ET.fromstring(done.stdout).iter("host"):  # noqa: S314 (what nmap wrote just now)
        address = host.find("address")
        for port in host.iter("port"):
            service = port.find("service")
            if address is not None and service is not None and service.get("method") == "probed":
                named = (service.get("name", ""), service.get("product", ""), service.get("version", ""))
                said[address.get("addr", ""), int(port.get("portid", "0"))] = named
    return said


def timed(run: Callable[[], Said]) -> tuple[Said, float]:
    """Run, and give the seconds of wall time too."""
    started = time.perf_counter()
    return run(), time.perf_counter() - started


def truth(running: Lab) -> None:
    """Ask every server, both ways, and print what each said."""
    places = [(name, place) for name, place in running.places.items() if place.server.answers]
    running.owning.sysctl("net.ipv4.icmp_ratelimit", 0)  # or nmap would wait minutes for errors that are rationed
    kinds: dict[str, list[tuple[str, Place]]] = {}
    for name, place in places:
        kind = "UDP" if place.server.transport is Transport.UDP else "TCP, other port" if ":" in name else "TCP"
        kinds.setdefault(kind, []).append((name, place))
    asked = {kind: [(place.address, place.port) for _, place in found] for kind, found in kinds.items()}
    with ThreadPoolExecutor(3) as several:
        peers = {
            kind: several.submit(nmaps, running.asking, "-sU" if kind == "UDP" else "-sT", pairs)
            for kind, pairs in asked.items()
        }
        peer = {kind: future.result() for kind, future in peers.items()}
    for kind, found in kinds.items():
        ours = running.asking.call(ours_udp if kind == "UDP" else ours_tcp, asked[kind])
        scores = [Counter[str](), Counter[str]()]
        for name, place in found:
            at = (place.address, place.port)
            cells = []
            for said, score in ((ours, scores[0]), (peer[kind], scores[1])):
                service, product, version = said.get(at, ("", "", ""))
                if not product and place.server.product.lower() in service.lower():
                    product = service  # some of nmap's services are called by their product
                judged = verdict(place.server, product, version) if at in said else SILENT
                score[judged] += 1
                cells.append(f"{f'{product} {version}'.strip() or service or '-':40.40} {judged:6}")
            is_it = f"{place.server.product or place.server.service} {place.server.version()}"
            print(f"{kind:15} {name:18} {is_it:28} | edusec {cells[0]} | nmap {cells[1]}")
        for name, score in (("edusec", scores[0]), ("nmap -sV", scores[1])):
            print(f"{kind}: {name}: {score[RIGHT]}/{len(found)} right, {score[SILENT]} silent, {score[WRONG]} wrong")
    for name, reason in running.absent.items():
        print(f"left out: {name}: {reason}")


def many(space: Namespace) -> None:
    """Ask nginx and Redis on all addresses, both ways, and print how long each took."""
    pairs = [(host, port) for port in MANY.values() for host in HOSTS]
    built_in.cache_clear()
    ours, seconds = timed(lambda: space.call(ours_tcp, pairs))
    peer, peer_seconds = timed(lambda: nmaps(space, "-sT", pairs))
    for name, said in (("edusec", ours), ("nmap -sV", peer)):
        count = sum(
            re.search(product, said.get((host, port), ("", "", ""))[1], re.IGNORECASE) is not None
            for product, port in MANY.items()
            for host in HOSTS
        )
        print(f"identified right on {len(HOSTS)} hosts: {name}: {count}/{len(pairs)}")
    print(f"wall: edusec {seconds:.2f} s, nmap -sV {peer_seconds:.2f} s, nmap/edusec {peer_seconds / seconds:.1f}")


def main() -> None:
    """Measure both in one run and print what each saw."""
    with lab(SERVERS, MOVED) as running:
        truth(running)
    with tempfile.TemporaryDirectory(prefix="edusec-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        spaces, processes = Namespaces(), Processes(folder / "processes")
        try:
            asking, owning = spaces(), spaces()
            near, far = spaces.link(asking, owning)
            owning.run(["ip", "route", "add", "local", PREFIX, "dev", "lo"])
            asking.run(["ip", "route", "add", PREFIX, "via", str(far.v4.ip), "src", str(near.v4.ip)])
            for kind, port in MANY.items():
                place = Place("0.0.0.0", port, "lo", folder / kind, SERVERS[kind])  # noqa: S104 (in a namespace of its own)
                place.folder.mkdir(mode=0o755)
                processes(place.server.begin(place), netns=owning, ready=port)
            many(asking)
        finally:
            processes.close()
            spaces.close()


if __name__ == "__main__":
    main()
