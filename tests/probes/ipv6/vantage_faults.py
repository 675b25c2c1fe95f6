"""What can be wrong with a vantage point: each fault is made in the lab, and undone again."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.probes.ipv6.ipv6_lab import GATES, RESOLVER4, RESOLVER6
from tests.probes.ipv6.vantage_lab import (
    DELEGATED,
    DNS64_6,
    FOUR,
    OLD,
    POOL64,
    PREFIX64,
    SIX,
    VantageLab,
)
from tests.support.netns import Namespace

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "ipv6.md"
FAIL, WARN, PASS, INFO = "fail", "warn", "pass", "info"
Make = Callable[[VantageLab], Iterator[None]]


@dataclass(frozen=True)
class Fault:
    """What is done to the lab, how the probe is told, the verdicts that it must bring, and those that follow."""

    name: str
    make: Make
    expected: dict[str, str]
    follows: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)
    code: str = ""


@contextmanager
def made(fault: Fault, lab: VantageLab) -> Iterator[None]:
    """Make a fault for the time of a `with` block."""
    yield from fault.make(lab)


def nothing(_lab: VantageLab) -> Iterator[None]:
    """Leave everything as it is."""
    yield


def filtered(space: str, *rules: str, hook: str = "forward") -> Make:
    """Drop something in a namespace."""

    def make(lab: VantageLab) -> Iterator[None]:
        undo = lab.filter(getattr(lab, space), *rules, hook=hook)
        yield
        undo()

    return make


def both(*makes: Make) -> Make:
    """Do several things."""

    def make(lab: VantageLab) -> Iterator[None]:
        parts = [part(lab) for part in makes]
        for part in parts:
            next(part)
        yield
        for part in reversed(parts):
            next(part, None)

    return make


def ip(space: str, do: str, undo: str) -> Make:
    """Run ip(8) in a namespace, with {uplink}, {lan} and {provider} standing for interfaces."""

    def make(lab: VantageLab) -> Iterator[None]:
        names = {"uplink": lab.uplink.interface, "lan": lab.lan.interface, "gate": lab.gate_in.interface,
                 "in": lab.provider_in.interface, "out": lab.provider_out.interface}  # fmt: skip
        where: Namespace = getattr(lab, space)
        for line in do.split(";"):
            where.run(["ip", *line.format(**names).split()])
        yield
        for line in undo.split(";"):
            where.run(["ip", *line.format(**names).split()])

    return make


def delayed(four: float, six: float) -> Make:
    """Let what goes to the dual site take longer."""

    def make(lab: VantageLab) -> Iterator[None]:
        argv = [sys.executable, HERE / "tun_relay.py", "slow0", lab.agent.name, lab.gate.name, four, six]
        relay = lab.start(argv, lab.agent)
        for space in (lab.agent, lab.gate):
            space.run(["ip", "link", "set", "slow0", "up"])
        lab.agent.run(["ip", "-6", "route", "add", SIX, "dev", "slow0", "src", "3000:7::1"])
        if four:
            lab.agent.run(["ip", "route", "add", FOUR, "dev", "slow0", "src", str(lab.uplink.v4.ip)])
        yield
        relay.kill()

    return make


def tunnelled(lab: VantageLab) -> Iterator[None]:
    """Take the default route through a tunnel."""
    relay = lab.start([sys.executable, HERE / "tun_relay.py", "tun0", lab.agent.name, lab.gate.name, 0, 0], lab.agent)
    for space, end in ((lab.agent, 1), (lab.gate, 2)):
        space.run(["ip", "link", "set", "tun0", "up"])
        space.run(["ip", "address", "add", f"3000:b::{end}/64", "dev", "tun0", "nodad"])
    lab.agent.run(["ip", "-6", "route", "replace", "default", "dev", "tun0"])
    yield
    lab.agent.run(["ip", "-6", "route", "replace", "default", "via", "3000:7::2"])
    relay.kill()


def nat64(announced: str, *, translating: bool) -> Make:
    """Announce a prefix, and translate it or not."""

    def make(lab: VantageLab) -> Iterator[None]:
        uplink = lab.uplink.interface
        for key, value in (("accept_ra", 2), ("accept_ra_defrtr", 0), ("accept_ra_pinfo", 0)):
            lab.agent.sysctl(f"net.ipv6.conf.{uplink}.{key}", value)
        running = [lab.start([sys.executable, HERE / "announce_pref64.py", lab.gate_in.interface, announced], lab.gate)]
        if translating:
            config = lab.write(
                "tayga/tayga.conf",
                f"tun-device nat64\nipv4-addr 198.18.65.1\nprefix {PREFIX64}/96\ndynamic-pool {POOL64}\n"
                f"data-dir {lab.folder}/tayga\nipv6-addr 3000:c::1\n",
            )
            lab.gate.run([lab.needs("tayga"), "--config", config, "--mktun"])
            running.append(lab.start([lab.needs("tayga"), "--config", config, "--nodetach"], lab.gate, ready=None))
            lab.gate.run(["ip", "link", "set", "nat64", "up"])
            lab.gate.run(["ip", "route", "add", POOL64, "dev", "nat64"])
            lab.gate.run(["ip", "-6", "route", "add", f"{PREFIX64}/96", "dev", "nat64"])
        yield
        for process in running:
            process.kill()
        if translating:
            lab.gate.run([lab.needs("tayga"), "--config", config, "--rmtun"])

    return make


def stripping(lab: VantageLab) -> Iterator[None]:
    """Let the school's own forwarder filter AAAA, as home routers can."""
    argv = [lab.needs("dnsmasq", package="dnsmasq-base"), "--keep-in-foreground", "--no-resolv", "--no-hosts",
            f"--server={RESOLVER6}", "--listen-address=3000:7::2", "--bind-interfaces", "--filter-AAAA", "--conf-file=",
            "--log-facility=-", "--pid-file="]  # fmt: skip
    process = lab.start(argv, lab.gate, ready="started")
    yield
    process.kill()


def ruled(text: str) -> Make:
    """Load rules at the vantage point while its ruleset is written down."""

    def make(lab: VantageLab) -> Iterator[None]:
        lab.agent.run(["nft", "-f", lab.write("rules.nft", text)])
        lab.dump()
        yield
        for family, table in re.findall(r"table (\w+) (\w+)", text):
            lab.agent.run(["nft", f"delete table {family} {table}"])
        lab.dump()

    return make


def listening(lab: VantageLab) -> Iterator[None]:
    """Open a port of a client on IPv6 only."""
    argv = [sys.executable, "-u", "-m", "http.server", "22", "--bind", "3000:8:1:1::2"]
    process = lab.start(argv, lab.client, ready="Serving")
    yield
    process.kill()


def count(lab: VantageLab) -> None:
    """Install the table of the docs anew, so that nothing is counted yet."""
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("table inet edusec_traffic {") :].partition("```")[0]
    lab.agent.run(["nft", "add table inet edusec_traffic"])
    lab.agent.run(["nft", "delete table inet edusec_traffic"])
    lab.agent.run(["nft", "-f", lab.write("traffic.nft", table.replace("WAN", lab.uplink.interface))])


def traffic(client: tuple[str, ...], old: tuple[str, ...]) -> Make:
    """Count what the clients fetch: addresses of the server, for the new and for the old client."""

    def make(lab: VantageLab) -> Iterator[None]:
        count(lab)
        for space, addresses in ((lab.client, client), (lab.old, old)):
            for address in addresses:
                fetch(space, address)
        lab.dump()
        yield

    return make


def fetch(space: Namespace, address: str) -> None:
    """Fetch the large page from an address of the server."""
    host = f"[{address}]" if ":" in address else address
    code = f"import urllib.request as u; assert len(u.urlopen('http://{host}/large', timeout=30).read()) > 100000"
    space.run([sys.executable, "-c", code])


IP_DROPS = (
    "table ip f {\nchain i { type filter hook input priority 0; policy drop;\n"
    "ct state established,related accept\niif lo accept\nicmp type echo-request accept\n}\n}\n"
)
ODD = IP_DROPS.replace("icmp type", "meta cpu 77777 accept\nicmp type")
SAME = IP_DROPS + IP_DROPS.replace("table ip f", "table ip6 g").replace(
    "icmp type echo-request accept", "meta l4proto ipv6-icmp accept"
)
NAT = 'table ip n {\nchain p { type nat hook postrouting priority 100; oifname "WAN" masquerade\n}\n}\n'


def faults() -> list[Fault]:
    """Give all of them; the first is a vantage point that is right in everything."""
    out = f"ip6 daddr {{ {GATES[1]}, {GATES[2]} }} drop"
    dns64 = {"resolvers": [DNS64_6], "ra_seconds": ["10"]}
    narrow = ip("provider", "link set {in} mtu 1400", "link set {in} mtu 1500")
    beyond = ip("provider", "link set {out} mtu 1400", "link set {out} mtu 1500")
    quiet = filtered("provider", "icmpv6 type packet-too-big drop", hook="output")
    exceeded = "icmpv6 type time-exceeded drop"
    syn = f"ip6 daddr {SIX} tcp flags & (syn | ack) == syn numgen inc mod"
    ula = both(
        ip("gate", "address add fd00:7::2/64 dev {gate} nodad", "address del fd00:7::2/64 dev {gate}"),
        ip("agent", "address add fd00:7::1/64 dev {uplink} nodad;address del 3000:7::1/64 dev {uplink};"
           "address del 3000:8:1:1::1/64 dev {lan};-6 route replace default via fd00:7::2",
           "address del fd00:7::1/64 dev {uplink};address add 3000:7::1/64 dev {uplink} nodad;"
           "address add 3000:8:1:1::1/64 dev {lan} nodad;-6 route replace default via 3000:7::2"),
    )  # fmt: skip
    bare = ip("agent", "address del 3000:7::1/64 dev {uplink};address del 3000:8:1:1::1/64 dev {lan}",
              "address add 3000:7::1/64 dev {uplink} nodad;address add 3000:8:1:1::1/64 dev {lan} nodad;"
              "-6 route replace default via 3000:7::2")  # fmt: skip
    lost = ip(
        "agent",
        f"-6 route del unreachable {DELEGATED};address del 3000:8:1:1::1/64 dev {{lan}}",
        f"-6 route add unreachable {DELEGATED} dev lo;address add 3000:8:1:1::1/64 dev {{lan}} nodad",
    )
    small = ip("agent", f"-6 route del unreachable {DELEGATED};-6 route add unreachable 3000:8:1::/60 dev lo",
               f"-6 route del unreachable 3000:8:1::/60;-6 route add unreachable {DELEGATED} dev lo")  # fmt: skip
    detour = ip("agent", "-6 route add 3000::/20 via 3000:7::2;-6 route del default",
                "-6 route add default via 3000:7::2;-6 route del 3000::/20")  # fmt: skip
    sixtofour = both(
        ip("gate", "address add 2002:c612:1::2/64 dev {gate} nodad", "address del 2002:c612:1::2/64 dev {gate}"),
        ip("agent", "address add 2002:c612:1::1/64 dev {uplink} nodad;address del 3000:7::1/64 dev {uplink};"
           "address del 3000:8:1:1::1/64 dev {lan};-6 route replace default via 2002:c612:1::2",
           "address del 2002:c612:1::1/64 dev {uplink};address add 3000:7::1/64 dev {uplink} nodad;"
           "address add 3000:8:1:1::1/64 dev {lan} nodad;-6 route replace default via 3000:7::2"),
    )  # fmt: skip
    deaf = both(
        filtered("gate", "icmpv6 type nd-neighbor-solicit drop", hook="input"),
        ip("agent", "-6 neigh flush dev {uplink}", "-6 neigh flush dev {uplink}"),
    )
    return [
        Fault("good", nothing, {}),
        Fault("gates", filtered("gate", out), {"NET-SELF": FAIL}, code="gate_silent"),
        Fault("ula", ula, {"NET-ADDR": WARN}),
        Fault("bare", bare, {"NET-ADDR": FAIL}, {"NET-SELF": FAIL, "NET-ROUTE": FAIL}),
        Fault("tunnel", tunnelled, {"NET-TUNNEL": WARN}),
        Fault("6to4", sixtofour, {"NET-TUNNEL": FAIL}),
        Fault("nodefault", detour, {"NET-ROUTE": FAIL}, code="no_default_route"),
        Fault("deafgate", deaf, {"NET-ROUTE": FAIL}, {"NET-SELF": FAIL}, code="gateway_silent"),
        Fault("nopd", lost, {"NET-PD": FAIL}),
        Fault("smallpd", small, {"NET-PD": WARN}),
        Fault("slow", delayed(0, 0.1), {"NET-PERF": FAIL}),
        Fault("slower", delayed(0.4, 0.48), {"NET-PERF": WARN}, options={"tries": ["4"]}),
        Fault("lossy", filtered("server", f"{syn} 4 3 drop", hook="input"), {"NET-PERF": FAIL}, {"NET-HE": WARN}),
        Fault("seldom", filtered("server", f"{syn} 30 3 drop", hook="input"), {"NET-PERF": WARN}, {"NET-HE": WARN},
              options={"tries": ["20"]}),
        Fault("blackhole", both(narrow, quiet), {"NET-PMTU": FAIL}, {"NET-ICMP6": FAIL}),
        Fault("narrow", beyond, {}),
        Fault("toobig", both(beyond, quiet), {"NET-ICMP6": FAIL}),
        Fault("noexceed", both(filtered("gate", exceeded), filtered("gate", exceeded, hook="output")),
              {"NET-ICMP6": FAIL}),
        Fault("nearonly", filtered("gate", exceeded), {"NET-ICMP6": WARN}),
        Fault("noproblem", filtered("gate", "icmpv6 type parameter-problem drop"), {"NET-ICMP6": WARN}),
        Fault("deafdns", filtered("gate", f"ip6 daddr {RESOLVER6} reject"), {"NET-RES6": FAIL}),
        Fault("dnsv4", nothing, {"NET-RES6": WARN}, options={"resolvers": [RESOLVER4]}),
        Fault("strips", stripping, {"NET-RES6": FAIL}, options={"resolvers": ["3000:7::2"]}, code="aaaa_stripped"),
        Fault("udp512", filtered("gate", "udp sport 53 udp length > 520 drop"), {"NET-EDNS": WARN}),
        Fault("notcp", filtered("gate", "tcp dport 53 reject with tcp reset"), {"NET-EDNS": FAIL}),
        Fault("nat64", nat64(PREFIX64, translating=True), {"NET-NAT64": PASS}, options=dns64),
        Fault("othernat", nat64("3000:65::", translating=True), {"NET-NAT64": FAIL}, options=dns64,
              code="nat64_differs"),
        Fault("deadnat", nat64(PREFIX64, translating=False), {"NET-NAT64": FAIL}, options=dns64, code="nat64_silent"),
        Fault("late", delayed(0, 0.9), {"NET-HE": WARN}, {"NET-PERF": FAIL}, options={"tries": ["3"]}),
        Fault("refused", filtered("server", f"ip6 daddr {SIX} tcp dport 80 reject with tcp reset", hook="input"),
              {"NET-HE": FAIL}),
        Fault("rules", ruled(IP_DROPS), {"NET-FW6": FAIL}),
        Fault("oddrules", ruled(ODD), {"NET-FW6": WARN}),
        Fault("samerules", ruled(SAME), {}),
        Fault("natrules", ruled(NAT), {"NET-FW6": FAIL}),
        Fault("openv6", listening, {"NET-FW6": FAIL}),
        Fault("share", traffic((SIX, FOUR), ()), {"TRF-SHARE": PASS}),
        Fault("halfshare", traffic((SIX, FOUR, FOUR, FOUR, FOUR), ()), {"TRF-SHARE": WARN}),
        Fault("noshare", traffic((FOUR,), ()), {"TRF-SHARE": FAIL}, {"TRF-USERS": FAIL}),
        Fault("users", traffic((SIX, FOUR), (OLD,)), {"TRF-USERS": WARN}),
        Fault("nousers", traffic((), (OLD,)), {"TRF-USERS": FAIL}, {"TRF-SHARE": FAIL}),
    ]  # fmt: skip
