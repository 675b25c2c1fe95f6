"""The SYN engine and discovery over tagged links (IEEE 802.1Q and 802.1ad).

Where the running kernel has no VLAN interfaces, `-m vm` runs these tests in one that does.
"""

import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.kit.raw.packets.states import State
from tests.probes.rig import net_of, run
from tests.raw.lab import LAB, expected, scan, usable
from tests.support import uml
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

Listen = Callable[[Namespace, Iterable[int]], None]


def _tagged(parent: str, vlan: int, *hosts: Namespace, protocol: str = "802.1Q") -> str:
    """Put each host, in order .1, .2, ..., onto a VLAN of the interface; the name of the one on top."""
    top = f"{parent}.{vlan}"
    for number, host in enumerate(hosts, start=1):
        kind = ["type", "vlan", "protocol", protocol, "id", str(vlan)]
        if host.run(["ip", "link", "add", "link", parent, "name", top, *kind], check=False).returncode:
            pytest.skip("needs the kernel's VLAN interfaces: modprobe 8021q; or a kernel that has them: pytest -m vm")
        host.run(["ip", "address", "add", f"198.19.{vlan}.{number}/24", "dev", top])
        host.run(["ip", "address", "add", f"2001:db8:ff{vlan:02}::{number}/64", "dev", top, "nodad"])
        host.run(["ip", "link", "set", top, "up"])
    usable(*hosts)
    return top


@pytest.mark.vm
def test_all_of_this_in_a_kernel_with_vlans(process: Processes, tmp_path: Path) -> None:
    pytest_here = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", "not vm"]
    status, kernel = uml.run(process, [*pytest_here, __file__], ["veth", "8021q", "bridge"], tmp_path)
    assert status == 0, kernel.stdout
    assert "skipped" not in kernel.stdout, kernel.stdout


def test_each_network_of_a_trunk_is_told_as_it_is(netns: Namespaces) -> None:
    scanner, target = netns(), netns()
    _, there = netns.link(scanner, target)
    for vlan in (7, 8):
        _tagged(there.interface, vlan, scanner, target)
    # One host on three links; each address listens elsewhere, so a frame in the wrong network would show.
    listening = {"198.19.7.2": 443, "2001:db8:ff07::2": 444, "198.19.8.2": 445, "2001:db8:ff08::2": 446}
    listening |= {str(there.v4.ip): 447, str(there.v6.ip): 448}
    with ExitStack() as servers:
        for address, port in listening.items():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            servers.enter_context(target.call(socket.create_server, (address, port), family=family))
        result = scan(scanner, listening, "443-450")
    for address, port in listening.items():
        assert result.states(address) == expected(range(443, 451), {State.OPEN: [port]}, State.CLOSED)
    assert result.done is not None
    assert result.done.forged == 0  # no answer was shown to two rings


def test_tags_in_tags_and_link_local_targets(netns: Namespaces, listen: Listen) -> None:
    scanner, target = netns(), netns()
    _, there = netns.link(scanner, target)
    top = _tagged(_tagged(there.interface, 9, scanner, target, protocol="802.1ad"), 7, scanner, target)
    for space, address in ((scanner, "fe80::a"), (target, "fe80::b")):
        space.run(["ip", "address", "add", f"{address}/64", "dev", top, "nodad"])
    listen(target, [80])
    usable(scanner, target)
    result = scan(scanner, ["198.19.7.2", f"fe80::b%{top}", f"fe80::b%{there.interface}"], "79-80")
    for address in ("198.19.7.2", f"fe80::b%{top}"):
        assert result.states(address) == {79: State.CLOSED, 80: State.OPEN}
    assert set(result.states(f"fe80::b%{there.interface}").values()) == {State.NO_NEIGHBOUR}


def test_a_router_between_vlans(netns: Namespaces, listen: Listen) -> None:
    scanner, router, far = netns(), netns(), netns()
    _, way = netns.link(scanner, router)
    _, there = netns.link(router, far)
    _tagged(way.interface, 7, router, scanner)
    _tagged(there.interface, 8, router, far)
    router.sysctl("net.ipv4.ip_forward", 1)
    router.sysctl("net.ipv6.conf.all.forwarding", 1)
    for space, vlan in ((scanner, 7), (far, 8)):
        space.run(["ip", "route", "add", "default", "via", f"198.19.{vlan}.1"])
        space.run(["ip", "route", "add", "default", "via", f"2001:db8:ff{vlan:02}::1"])
    listen(far, [22])
    result = scan(scanner, ["198.19.8.2", "2001:db8:ff08::2"], "22,23")
    assert result.count() == {State.OPEN: 2, State.CLOSED: 2}


def test_discovery_asks_each_network_for_its_own(netns: Namespaces) -> None:
    here, plain, tagged = netns(), netns(), netns()
    at = netns.lan(here, plain, tagged)
    top = _tagged(at[0].interface, 7, here, tagged)
    tagged.run(["ip", "address", "add", "fe80::7/64", "dev", top, "nodad"])
    found = here.call(run, "discovery", {"leases": []}, net_of(*LAB))
    seen = {item.target.name: (item.method, item.values.get("interface")) for item in found.observations}
    assert seen[str(at[1].v4.ip)] == ("arp", at[0].interface)
    assert seen["198.19.7.2"] == ("arp", top)
    assert [name for name in seen if name.startswith("fe80::7%")] == [f"fe80::7%{top}"]
    macs = {item.values["mac"] for item in found.observations if item.target.name in ("198.19.7.2", str(at[2].v4.ip))}
    assert len(macs) == 1  # one card, with and without a tag
    assert {prefix for item in found.coverage for prefix in item.prefixes} == {str(at[0].v4.network), "198.19.7.0/24"}
