"""Domains in scope as targets: resolved within the scope, and never a way to aim at what is not public."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.edusec.run_cli import argv, json_lines
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

PUBLIC = "11.22.33.44"  # reached inside two namespaces only
ZONE = {"www.school.example.": PUBLIC, "inside.school.example.": "10.9.8.7"}
SERVER = """
import socket, dns.message, dns.rrset, dns.flags
zone = {zone!r}
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    packet, peer = door.recvfrom(4096)
    question = dns.message.from_wire(packet)
    answer = dns.message.make_response(question)
    asked = question.question[0]
    if asked.rdtype == 1 and asked.name.to_text() in zone:
        answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "A", zone[asked.name.to_text()]))
    door.sendto(answer.to_wire(), peer)
"""


@pytest.fixture
def space(netns: Namespaces, process: Processes) -> Iterator[Namespace]:
    """A namespace whose resolver is on its own loopback, and that reaches PUBLIC in another namespace."""
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    there.run(["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"])
    here.run(["ip", "route", "add", f"{PUBLIC}/32", "via", str(theirs.v4.ip), "dev", mine.interface])
    # `ip netns exec` puts the files of this folder in place of those in /etc.
    own = Path("/etc/netns", here.name)
    own.mkdir(parents=True)
    (own / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    process([sys.executable, "-c", SERVER.format(zone=ZONE)], netns=here, ready="ready")
    yield here
    shutil.rmtree(own)
    with contextlib.suppress(OSError):  # others may have files of their own there
        own.parent.rmdir()


def _authorise(space: Namespace, value: str) -> None:
    until = str(datetime.now(UTC).date() + timedelta(9))
    space.run(
        argv("scope", "add", value, "--authoriser", "王", "--reason", "test", "--until", until, "--ports", "80-90")
    )


def test_a_domain_in_scope_lends_its_authorisation_to_the_public_address_behind_it(space: Namespace) -> None:
    _authorise(space, "*.school.example")
    done = space.run(argv("scan", "www.school.example", "--ports", "80", "--no-identify", "--json"), check=False)
    lines = json_lines(done)
    assert done.returncode == 0, done.stderr
    assert [(line["address"], line["name"], line["closed"]) for line in lines if line["type"] == "host"] == [
        (PUBLIC, "www.school.example", "80")
    ]
    lent = [entry for entry in lines[0]["scope"] if entry["value"] == PUBLIC]
    assert [(entry["authoriser"], entry["ports"]) for entry in lent] == [("王", "80-90")]
    # Only for the ports of the domain's own entry.
    other = space.run(argv("scan", "www.school.example", "--ports", "22", "--no-identify", "--json"), check=False)
    assert other.returncode == 3
    assert json_lines(other)[0]["coverage"] == []


def test_a_domain_does_not_open_the_way_to_an_inside_address(space: Namespace) -> None:
    _authorise(space, "*.school.example")
    done = space.run(argv("scan", "inside.school.example"), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "edusec scope add 10.9.8.7 " in done.stderr


def test_a_name_without_address_or_authorisation_is_said_so(space: Namespace) -> None:
    _authorise(space, "*.school.example")
    absent = space.run(argv("scan", "absent.school.example"), check=False)
    assert absent.returncode == 2
    assert "has no address (nodata" in absent.stderr
    foreign = space.run(argv("scan", "www.other.example"), check=False)
    assert foreign.returncode == 2
    assert "edusec scope add www.other.example " in foreign.stderr


def test_a_resolver_outside_the_scope_is_not_asked(space: Namespace) -> None:
    Path("/etc/netns", space.name, "resolv.conf").write_text("nameserver 198.51.100.53\n")
    _authorise(space, "*.school.example")
    done = space.run(argv("scan", "www.school.example"), check=False)
    assert done.returncode == 2
    assert "edusec scope add 198.51.100.53 " in done.stderr
