"""The UDP probe: what answered is open, what an error settled is covered, silence is neither."""

import socket
from collections.abc import Callable
from pathlib import Path

from probes.kit.net import Net
from probes.kit.scope import Scope
from tests.probes.rig import run
from tests.support.names import wait_for_version
from tests.support.netns import Namespaces
from tests.support.processes import Processes
from wire.ports import contains, parse_ports
from wire.types import Outcome, TargetKind, Transport


def test_an_error_settles_a_port_and_silence_does_not() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone,
    ):
        silent.bind(("127.0.0.1", 0))
        gone.bind(("127.0.0.1", 0))
        quiet, closed = silent.getsockname()[1], gone.getsockname()[1]
        gone.close()
        found = run("udp_ports", {"targets": ["127.0.0.1"], "ports": f"{quiet},{closed}"}, Net(Scope()), seconds=30)
    assert found.open() == set()
    assert [(item.target.kind, item.outcome) for item in found.observations] == [(TargetKind.HOST, Outcome.SEEN)]
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


def test_what_is_outside_the_scope_is_skipped_with_the_command() -> None:
    net = Net(Scope())
    found = run("udp_ports", {"targets": ["198.51.100.0/30"], "ports": "53"}, net)
    assert net.sent == 0
    assert found.coverage == []
    assert "edusec scope add" in found.skipped[0].reason
