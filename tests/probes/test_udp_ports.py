"""The UDP probe: what answered is open, what an error settled is covered, silence is neither."""

import socket
from collections.abc import Callable
from pathlib import Path

from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from tests.probes.rig import LAB, net_of, run
from tests.support.names import wait_for_version
from tests.support.netns import Namespaces
from tests.support.ports import free_port
from tests.support.processes import Processes, wait_until
from wire.ports import contains, parse_ports
from wire.types import Outcome, TargetKind, Transport


def test_an_error_settles_a_port_and_silence_does_not() -> None:
    closed = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        quiet = silent.getsockname()[1]
        found = run("udp_ports", {"targets": ["127.0.0.1"], "ports": f"{quiet},{closed}"}, Net(Scope()), seconds=30)
    assert found.open() == set()
    [host] = found.observations
    assert (host.target.kind, host.outcome) == (TargetKind.HOST, Outcome.SEEN)
    assert host.values == {"closed_udp": str(closed)}
    assert [(item.prefixes, item.ports, item.transport) for item in found.silent] == [
        (("127.0.0.1/32",), str(quiet), Transport.UDP)
    ]
    (covered,) = found.coverage
    assert covered.transport is Transport.UDP
    assert contains(parse_ports(covered.ports), closed)
    assert not contains(parse_ports(covered.ports), quiet)


def test_a_name_server_is_named(
    netns: Namespaces, process: Processes, tmp_path: Path, needs: Callable[..., str]
) -> None:
    named = needs("named", package="bind9")
    space = netns()
    (tmp_path / "conf").write_text(
        f'options {{ directory "{tmp_path}"; pid-file "{tmp_path}/pid"; session-keyfile "{tmp_path}/key"; '
        f'recursion no; version "9.99-test"; }};\ncontrols {{ }};\n'
    )
    process([named, "-g", "-c", tmp_path / "conf"], netns=space, ready="running")
    wait_for_version(space, "127.0.0.1")
    found = space.call(lambda: run("udp_ports", {"targets": ["127.0.0.1"], "ports": "53,123"}, Net(Scope())))
    assert found.open() == {("127.0.0.1", 53)}
    service = next(item for item in found.observations if item.target.kind is TargetKind.SERVICE)
    assert service.values["service"] == "domain"
    assert service.values.get("banner") == "9.99-test", service.values
    assert [(item.ports, item.prefixes) for item in found.coverage] == [("53,123", ("127.0.0.1/32",))]


def test_real_servers_are_identified_and_the_host_with_them(
    netns: Namespaces, process: Processes, tmp_path: Path, needs: Callable[..., str]
) -> None:
    nmbd, memcached, dnsmasq = (
        needs("nmbd", package="samba"),
        needs("memcached"),
        needs("dnsmasq", package="dnsmasq-base"),
    )
    asking, space = netns(), netns()
    near, far = netns.link(asking, space)
    folder = tmp_path / "samba"
    folder.mkdir()
    (tmp_path / "smb.conf").write_text(
        f"[global]\nnetbios name = OFFICE-PC\nworkgroup = SCHOOL\ninterfaces = {far.v4}\n"
        f"private dir = {folder}\nstate directory = {folder}\ncache directory = {folder}\nlock directory = {folder}\n"
        f"pid directory = {folder}\nncalrpc dir = {folder}\n"
    )
    (tmp_path / "tftp").mkdir()
    process([nmbd, "-F", "--no-process-group", "-s", tmp_path / "smb.conf", "-l", folder], netns=space)
    process([memcached, "-u", "root", "-U", "11211", "-l", str(far.v4.ip)], netns=space, ready=11211)
    tftp = ["--enable-tftp", f"--tftp-root={tmp_path / 'tftp'}", "--user=root", "--conf-file=/dev/null"]
    process([dnsmasq, "-k", "--port=53", "--no-resolv", *tftp], netns=space, ready=53)
    address = str(far.v4.ip)
    ports = "53,69,137,161,443,11211"
    net = net_of(str(near.v4.network))

    def names_are_served() -> bool:
        return (address, 137) in asking.call(run, "udp_ports", {"targets": [address], "ports": "137"}, net).open()

    wait_until(names_are_served, "nmbd answers")
    found = asking.call(run, "udp_ports", {"targets": [address], "ports": ports}, net)
    services = {
        item.target.port: item.values["service"]
        for item in found.observations
        if item.target.kind is TargetKind.SERVICE and item.outcome is Outcome.OPEN
    }
    assert services == {53: "domain", 69: "tftp", 137: "netbios-ns", 11211: "memcache"}
    [host] = [item for item in found.observations if item.target.kind is TargetKind.HOST]
    assert host.values["hostname"] == "office-pc"
    assert [(item.ports, item.prefixes) for item in found.coverage] == [(ports, (f"{address}/32",))]


def test_what_there_was_no_time_for_is_skipped(netns: Namespaces) -> None:
    space, other = netns(), netns()
    _, there = netns.link(space, other)
    given = {"targets": [str(there.v4.network[77])], "ports": "53,123"}
    found = space.call(lambda: run("udp_ports", given, net_of(*LAB), seconds=2.0))
    assert [(item.what, item.reason) for item in found.skipped] == [(str(there.v4.network[77]), "deadline")]
    assert (found.coverage, found.observations) == ([], [])


def test_what_is_outside_the_scope_is_skipped_with_the_command() -> None:
    net = Net(Scope())
    found = run("udp_ports", {"targets": ["198.51.100.0/30"], "ports": "53"}, net)
    assert net.sent == 0
    assert found.coverage == []
    assert "edusec scope add" in found.skipped[0].reason
