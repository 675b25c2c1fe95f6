"""Check 1,000 sites of a lab over both families: seconds, memory of all processes together, sites per second.

bench/ipv6_sites.py [--sites 1000] [--workers 16]; needs root (network namespaces), bind9, nsd, unbound and nginx.
Bars: 60 s on two cores, 150 MB. Name servers and web servers share the machine with what is measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.probes.ipv6.ipv6_lab import GATES, RESOLVER6, SCOPE, Authority, Lab, page  # noqa: E402
from tests.support import debian  # noqa: E402
from tests.support.netns import Namespaces  # noqa: E402
from tests.support.processes import Processes  # noqa: E402

BAR_SECONDS, BAR_BYTES = 60.0, 150 << 20


def needs(program: str, *, package: str | None = None) -> str:
    """Path of a program; ends the run with the package's name when it is missing."""
    found = debian.find(program)
    if found is None:
        sys.exit(f"needs {program}: apt-get install {package or program}")
    return found


def build(lab: Lab, count: int) -> list[str]:
    """Start the servers; gives the names of the sites, each with its own address in both families."""
    head = "$TTL 60\n@ SOA ns.test. a.test. 1 3600 600 86400 60\n@ NS ns.test.\n"
    names = [f"s{number}.test" for number in range(1, count + 1)]
    tld = head + "ns AAAA 3000:5::53:2\nns A 198.18.253.2\n"
    for number, name in enumerate(names, start=1):
        tld += f"{name}. AAAA 3000:5:8::{number:x}\n{name}. A 198.18.{128 + number // 250}.{number % 250 + 1}\n"
    lab.nsd(
        "root",
        ("3000:5::53:1", "198.18.253.1"),
        {
            "": "$TTL 60\n. SOA a.rootlab. a. 1 3600 600 86400 60\n. NS a.rootlab.\na.rootlab. AAAA 3000:5::53:1\n"
            "a.rootlab. A 198.18.253.1\ntest. NS ns.test.\nns.test. AAAA 3000:5::53:2\nns.test. A 198.18.253.2\n"
        },
    )
    lab.nsd("tld", ("3000:5::53:2", "198.18.253.2"), {"test": tld})
    lab.unbound()
    # The kernel takes whole prefixes for its own, so that no address has to be added.
    lab.server.run(["ip", "-6", "route", "add", "local", "3000:5:8::/64", "dev", "lo"])
    lab.server.run(["ip", "route", "add", "local", "198.18.128.0/18", "dev", "lo"])
    lab.router.run(["ip", "route", "add", "198.18.128.0/18", "via", str(lab.server_end.v4.ip)])
    Authority(lab.folder).issue("good", names)
    lab.write("html/index.html", page("School", "<a href='/a.html'>a</a>"))
    certificate = f"ssl_certificate {lab.folder}/good.pem; ssl_certificate_key {lab.folder}/good.pem;"
    listen = "listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;"
    lab.nginx(lab.server, "web", f"server {{ {listen} root {lab.folder}/html; {certificate} }}\n")
    return names


class Memory(threading.Thread):
    """Watches the memory of a process and all below it."""

    def __init__(self, pid: int) -> None:
        """Watch from now on."""
        super().__init__(daemon=True)
        self._root, self._ended, self.peak = psutil.Process(pid), threading.Event(), 0
        self.start()

    def run(self) -> None:
        """Add up every tenth of a second."""
        while not self._ended.wait(0.1):
            total = 0
            try:
                for process in [self._root, *self._root.children(recursive=True)]:
                    total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self.peak = max(self.peak, total)

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self.join()


def main() -> int:
    """Measure once and say whether the bars are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        processes, spaces = Processes(Path(folder) / "processes"), Namespaces()
        try:
            lab = Lab(spaces, processes, needs, Path(folder) / "lab")
            return measure(lab, Path(folder), given.sites, given.workers)
        finally:
            processes.close()
            spaces.close()


def measure(lab: Lab, folder: Path, count: int, workers: int) -> int:
    """Run the command and print what it took."""
    names = build(lab, count)
    sites, scope, output = folder / "sites.txt", folder / "scope.toml", folder / "out.jsonl"
    sites.write_text("\n".join(names), encoding="utf-8")
    edusec = [sys.executable, "-P", "-m", "edusec"]
    until = str(datetime.now(UTC).date() + timedelta(1))
    for value in SCOPE:
        words = ["scope", "add", value, "--authoriser", "bench", "--reason", "lab", "--until", until]
        subprocess.run([*edusec, *words, "--scope", scope], check=True, capture_output=True, cwd=ROOT)
    argv = [*lab.agent.prefix, *edusec, "ipv6", "check", "--file", str(sites), "--no-zone", "--json", "--quiet"]
    argv += ["--tries", "0", "--pages", "0", "--workers", str(workers), "--resolvers", RESOLVER6, "--timeout", "5"]
    argv += ["--ca-file", str(lab.folder / "ca.pem"), "--scope", str(scope)]
    for gate in GATES:
        argv += ["--self-targets", f"[{gate}]:80"]
    started = time.monotonic()
    with output.open("wb") as out, subprocess.Popen(argv, stdout=out, cwd=ROOT) as process:
        memory = Memory(process.pid)
        process.wait(timeout=600)
        seconds = time.monotonic() - started
        memory.end()
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    checks = [line for line in lines if line["type"] == "check" and line["id"] != "NET-SELF"]
    print(f"{count} sites, {len(checks)} checks, {dict(Counter(line['verdict'] for line in checks))}")
    for name in ("WEB-AAAA", "WEB-TCP", "WEB-TLS", "WEB-HTTP", "WEB-SAME", "WEB-LAT"):
        print(f"  {name}: {dict(Counter(line['verdict'] for line in checks if line['id'] == name))}")
    print(f"{seconds:.1f} s (bar {BAR_SECONDS:.0f}), {count / seconds:.0f} sites/s")
    print(f"{memory.peak / (1 << 20):.0f} MB in all processes together (bar {BAR_BYTES >> 20})")
    whole = sum(line["verdict"] == "pass" for line in checks if line["id"] == "WEB-SAME") == count
    return 0 if whole and seconds <= BAR_SECONDS and memory.peak <= BAR_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
