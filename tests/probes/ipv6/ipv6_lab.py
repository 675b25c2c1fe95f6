"""A small internet in namespaces: root, TLD and leaf name servers, a resolver, web servers; a site for each fault.

agent - router - server, and behind the router a second server whose path has a smaller MTU and drops what says so.
All addresses are made up (3000::/4 is not allotted by IANA, so it counts as global) and never leave the namespaces.
"""

import ipaddress
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.raw.lab import usable
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

ROOT6, TLD6, NS6, NS6B, VIEW6, BROKEN6 = (f"3000:5::53:{number}" for number in range(1, 7))
ROOT4, TLD4, NS4, NS4B, VIEW4, BROKEN4, OLD4 = (f"198.18.253.{number}" for number in range(1, 8))
RESOLVER6, RESOLVER4 = "3000:5::53:a", "198.18.253.10"
DNS64_6, DNS64_4 = "3000:5::53:64", "198.18.253.64"
DEAD6 = "3000:5::dead"
GATES = ("3000:5::1", "3000:5::2", "3000:5::3")
SCOPE = ("3000::/20", "198.18.0.0/15", "2001:db8::/32")
FILLER = "<p>" + "\n".join(f"Notice {number}: the school opens its gates at eight." for number in range(160)) + "</p>"


def page(title: str, *more: str) -> str:
    """A home page that is large enough to need full-size packets."""
    return f"<html><head><title>{title}</title></head><body>{''.join(more)}{FILLER}</body></html>"


@dataclass
class Site:
    """One site: `http6` and `http4` are nginx directives, `records` what its zone holds beside the usual."""

    name: str
    number: int
    html: str
    html6: str = ""
    http6: str = ""
    http4: str = ""
    ports6: tuple[int, ...] = (80, 443)
    aaaa: tuple[str, ...] = ()
    certificate6: str = "good"
    tls6: bool = True
    records: str = ""
    servers: tuple[str, ...] = ("ns1.host.test", "ns2.host.test")
    delegation: str = ""
    served: bool = True
    web: bool = True
    files: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The name that is checked."""
        return f"www.{self.name}.test"

    @property
    def six(self) -> str:
        """Where its IPv6 side listens."""
        return f"3000:5::80:{self.number:x}"

    @property
    def four(self) -> str:
        """Where its IPv4 side listens."""
        return f"198.18.100.{self.number}"


def zone_text(site: Site, *, serial: int = 1, aaaa: tuple[str, ...] | None = None) -> str:
    """The zone file of a site."""
    lines = [
        f"$ORIGIN {site.name}.test.",
        "$TTL 60",
        f"@ SOA ns1.host.test. admin.host.test. {serial} 3600 600 86400 60",
        *(f"@ NS {server}." for server in site.servers),
        site.records,
    ]
    if site.web:
        published = site.aaaa if aaaa is None else aaaa
        lines += [f"www A {site.four}", *(f"www AAAA {address}" for address in published)]
    return "\n".join(lines) + "\n"


class Authority:
    """A certificate authority made for one test run."""

    def __init__(self, folder: Path) -> None:
        """Make its key and certificate; `file` is what an operator would trust."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab CA")])
        certificate = self._build(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self._certificate = self._finish(certificate)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, hosts: list[str]) -> None:
        """Write name.pem, key and certificate, for some hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        signed = self._finish(self._build(subject, key).add_extension(names, critical=False))
        (self._folder / f"{name}.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(1))
            .not_valid_after(now + timedelta(30))
        )

    def _finish(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._key, hashes.SHA256())


class Lab:
    """The namespaces and everything that runs in them; `agent` is the vantage point."""

    def __init__(self, netns: Namespaces, process: Processes, needs: Callable[..., str], folder: Path) -> None:
        """Join the namespaces; nothing runs yet."""
        self.folder, self._process, self._needs = folder, process, needs
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.agent, self.router, self.server, self.far, self.mid = (netns() for _ in range(5))
        ends = [
            netns.link(self.router, side)
            for side in (self.agent, self.server, self.mid)
        ]  # fmt: skip
        self.server_end = ends[1][1]
        far = netns.link(self.mid, self.far)
        for space in (self.router, self.mid):
            space.sysctl("net.ipv6.conf.all.forwarding", 1)
            space.sysctl("net.ipv4.ip_forward", 1)
        for space, (gate, own) in (
            (self.agent, ends[0]), (self.server, ends[1]), (self.mid, ends[2]), (self.far, far),
        ):  # fmt: skip
            add_route(space, "default", gate.v6.ip, own.interface)
            add_route(space, "default", gate.v4.ip, own.interface)
        usable(self.agent, self.router, self.server, self.far, self.mid)
        for prefix in ("3000:5::/32", "198.18.100.0/24", "198.18.253.0/24"):
            add_route(self.router, prefix, self._hop(ends[1][1], prefix), ends[1][0].interface)
        for prefix in ("3000:14::/32", "198.18.114.0/24", str(far[0].v6.network), str(far[0].v4.network)):
            add_route(self.router, prefix, self._hop(ends[2][1], prefix), ends[2][0].interface)
        for prefix in ("3000:14::/32", "198.18.114.0/24"):
            add_route(self.mid, prefix, self._hop(far[1], prefix), far[0].interface)
        # The way back from the far server is narrow, and nobody is told.
        self.mid.run(["ip", "link", "set", ends[2][1].interface, "mtu", "1400"])
        self.mid.run([needs("nft", package="nftables"), "add table inet f"])
        self.mid.run(["nft", "add chain inet f o { type filter hook output priority 0; }"])
        self.mid.run(["nft", "add rule inet f o icmpv6 type packet-too-big drop"])
        for address in (
            ROOT6, TLD6, NS6, NS6B, VIEW6, BROKEN6, *GATES,
            ROOT4, TLD4, NS4, NS4B, VIEW4, BROKEN4, OLD4,
        ):  # fmt: skip
            self.own(self.server, address)

    @staticmethod
    def _hop(end: object, prefix: str) -> object:
        return end.v6.ip if ":" in prefix else end.v4.ip  # type: ignore[attr-defined]

    @staticmethod
    def own(space: Namespace, address: str) -> None:
        """Give a namespace one more address."""
        length = 128 if ":" in address else 32
        space.run(["ip", "address", "add", f"{address}/{length}", "dev", "lo"])

    def write(self, name: str, text: str) -> Path:
        """Write a file that every server may read."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def nsd(self, name: str, addresses: tuple[str, ...], zones: dict[str, str]) -> None:
        """Start an nsd with zones on some addresses."""
        for zone, text in zones.items():
            self.write(f"{name}/{zone or 'root'}.zone", text)
        config = self.write(
            f"{name}/nsd.conf",
            "server:\n"
            + "".join(f"  ip-address: {address}\n" for address in addresses)
            + f'  zonesdir: "{self.folder}/{name}"\n  pidfile: ""\n  database: ""\n  username: ""\n  chroot: ""\n'
            + f'  xfrdfile: ""\n  xfrdir: "{self.folder}/{name}"\n  zonelistfile: "{self.folder}/{name}/list"\n'
            + "  hide-version: yes\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n"
            + "".join(f'zone:\n  name: "{zone or "."}"\n  zonefile: "{zone or "root"}.zone"\n' for zone in zones),
        )
        self._process([self._needs("nsd"), "-d", "-c", config], ready="nsd started", netns=self.server)

    def named(self, name: str, six: list[str], four: list[str], body: str) -> None:
        """Start a bind9 with a configuration on some addresses."""
        config = self.write(
            f"{name}/named.conf",
            f'options {{ directory "{self.folder}/{name}"; recursion no; dnssec-validation no; pid-file none;\n'
            f"session-keyfile none; empty-zones-enable no; notify no; minimal-responses no;\n"
            f"listen-on {{ {' '.join(f'{address};' for address in four)} }};\n"
            f"listen-on-v6 {{ {' '.join(f'{address};' for address in six)} }}; }};\ncontrols {{ }};\n{body}",
        )
        named = self._needs("named", package="bind9")
        self._process([named, "-g", "-n", "1", "-c", config], ready="all zones loaded", netns=self.server)

    def unbound(
        self,
        name: str = "unbound",
        addresses: tuple[str, ...] = (RESOLVER6, RESOLVER4),
        more: str = "",
        *,
        modules: str = "iterator",
    ) -> None:
        """Start a resolver."""
        for address in addresses:
            self.own(self.server, address)
        hints = self.write(
            f"{name}/hints", f". 3600 NS a.rootlab.\na.rootlab. 3600 AAAA {ROOT6}\na.rootlab. 3600 A {ROOT4}\n"
        )
        config = self.write(
            f"{name}/unbound.conf",
            "server:\n"
            + "".join(f"  interface: {address}\n" for address in addresses)
            + f'  access-control: ::/0 allow\n  access-control: 0.0.0.0/0 allow\n  root-hints: "{hints}"\n'
            f'  module-config: "{modules}"\n  {more}\n'
            '  username: ""\n  chroot: ""\n  pidfile: ""\n  use-syslog: no\n  do-daemonize: no\n  verbosity: 1\n'
            '  local-zone: "test." nodefault\n  num-threads: 1\n  outgoing-range: 200\n  qname-minimisation: no\n'
            "remote-control:\n  control-enable: no\n",
        )
        self._process([self._needs("unbound"), "-d", "-c", config], ready="start of service", netns=self.server)

    def broken_server(self, zone: str, four: str, target6: str) -> None:
        """Start a name server that fails whenever it is asked for AAAA, as some load balancers do (RFC 4074)."""
        script = Path(__file__).with_name("broken_dns.py")
        argv = [sys.executable, script, zone, four, target6, BROKEN6, BROKEN4]
        self._process(argv, ready="ready", netns=self.server)

    def counting_web(self) -> None:
        """Start the web server that fails or waits at times, behind nginx."""
        script = Path(__file__).with_name("counting_web.py")
        self._process([sys.executable, script, self.folder / "html"], ready="ready", netns=self.server)

    def quic(self, certificate: str, addresses: list[str]) -> None:
        """Start an HTTP/3 server on some addresses."""
        script = Path(__file__).with_name("quic_server.py")
        argv = [sys.executable, script, self.folder / f"{certificate}.pem", *addresses]
        self._process(argv, ready="ready", netns=self.server)

    def nginx(self, space: Namespace, name: str, servers: str) -> None:
        """Start an nginx with some server blocks."""
        base = self.folder / name
        base.mkdir(exist_ok=True)
        config = self.write(
            f"{name}/nginx.conf",
            f"daemon off; user root; worker_processes 1; pid {base}/pid; error_log stderr notice;\n"
            "events { worker_connections 4096; }\nhttp { access_log off; default_type text/html; gzip on;\n"
            + "".join(
                f"{kind}_temp_path {base}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + servers
            + "}\n",
        )
        self._process([self._needs("nginx"), "-c", config], ready="start worker process", netns=space)

    def server_block(self, site: Site, listen: str, ports: tuple[int, ...], html: str, extra: str, cert: str) -> str:
        """One side of a site for nginx."""
        side = "6" if ":" in listen else "4"
        self.write(f"html/{site.name}{side}/index.html", html)
        for path, text in site.files.items():
            self.write(f"html/{site.name}{side}/{path}", text)
        host = f"[{listen}]" if ":" in listen else listen
        lines = "".join(
            f"listen {host}:{port}{' ssl' if port == 443 and (site.tls6 or side == '4') else ''};" for port in ports
        )
        return (
            f"server {{ {lines} server_name _; root {self.folder}/html/{site.name}{side};\n"
            f"ssl_certificate {self.folder}/{cert}.pem; ssl_certificate_key {self.folder}/{cert}.pem;\n"
            f"{extra.replace('ACCESS', str(self.folder / site.name) + '.log')}\n}}\n"
        )


def add_route(space: Namespace, prefix: str, hop: object, interface: str) -> None:
    family = "-6" if isinstance(hop, ipaddress.IPv6Address) else "-4"
    space.run(["ip", family, "route", "add", prefix, "via", str(hop), "dev", interface])
