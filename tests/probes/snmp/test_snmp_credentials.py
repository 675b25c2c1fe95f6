"""The file with the credentials: read only where nobody else can, faults named without telling what stands in it."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.probing.job import Job
from agent.probing.runner import run as perform
from probes.kit.contract import CannotRun
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.snmp.credentials import for_address, parse_credentials, read_credentials
from tests.probes.rig import entry, run
from tests.probes.snmp.snmp_lab import COMMUNITY, credentials
from wire.types import RunStatus

GOOD = """
[[agent]]
hosts = ["198.18.0.0/16"]
community = "secret-1"
[[agent]]
hosts = ["0.0.0.0/0", "2001:db8::/32"]
user = "monitor"
auth = "sha256"
auth_password = "secret-22"
priv = "aes128"
priv_password = "secret-333"
"""


def test_the_first_entry_that_names_an_address_is_its_only_one() -> None:
    found = parse_credentials(GOOD)
    assert for_address(found, ip_address("198.18.3.4")) is found[0]
    assert for_address(found, ip_address("198.19.3.4")) is found[1]
    assert for_address(found, ip_address("2001:db8::1")) is found[1]
    assert for_address(found, ip_address("2001:db9::1")) is None
    assert "secret" not in repr(found)
    assert "monitor" not in repr(found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('community = "secret-1"', ""), "agent 1: needs either community"),
        (('community = "secret-1"', 'community = "secret-1"\nuser = "secret-u"'), "agent 1: needs either community"),
        (('community = "secret-1"', "community = 7"), "agent 1: community: must be text"),
        (('"198.18.0.0/16"', '"secret-host"'), "agent 1: hosts: must list addresses"),
        (('["198.18.0.0/16"]', "[]"), "agent 1: hosts: must list addresses"),
        (('"sha256"', '"secret-algorithm"'), "agent 2: auth: choose one of md5"),
        (('"secret-22"', '"short"'), "agent 2: auth_password: must have 8 characters"),
        (('priv_password = "secret-333"', ""), "agent 2: priv and priv_password go together"),
        (('auth = "sha256"\nauth_password = "secret-22"', ""), "agent 2: priv: needs auth too"),
        (("user =", "secret_word ="), "agent 2: allowed are"),
        (("[[agent]]", "[[agents]]"), "must hold 1 to"),
    ],
)
def test_a_fault_is_named_and_no_secret_is(tmp_path: Path, change: tuple[str, str], fault: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(GOOD.replace(*change))
    path.chmod(0o600)
    with pytest.raises(CannotRun) as caught:
        read_credentials(str(path))
    assert fault in str(caught.value)
    assert "secret-" not in str(caught.value)
    assert "secret_" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [(b"root:secret:1:\n", "is not TOML"), (b"\xff\xfe", "is not UTF-8"), (b"#" * 70000, "larger than")],
)
def test_what_is_no_such_file_is_not_shown(tmp_path: Path, raw: bytes, fault: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(raw)
    path.chmod(0o600)
    with pytest.raises(CannotRun, match=fault) as caught:
        read_credentials(str(path))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = Path(credentials(tmp_path, "127.0.0.1"))
    path.chmod(mode)
    with pytest.raises(CannotRun, match="chmod 600"):
        read_credentials(str(path))


def test_links_pipes_and_nothing_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(credentials(tmp_path, "127.0.0.1"))
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "nothing", "."):
        with pytest.raises(CannotRun, match="no_credentials"):
            read_credentials(str(tmp_path / name))


def test_nothing_is_sent_outside_the_scope_or_without_a_credential_for_it(tmp_path: Path) -> None:
    pytest.importorskip("pysnmp")
    net = Net(Scope([entry("198.18.0.9", "161")]))
    given = {"targets": ("198.51.100.7", "198.18.0.9"), "credentials": credentials(tmp_path, "198.51.100.0/24")}
    found = run("snmp_tables", given, net)
    assert net.sent == 0
    reasons = {item.what: item.reason for item in found.skipped}
    assert reasons["198.51.100.7 port 161"].startswith("out_of_scope: edusec scope add 198.51.100.7")
    assert reasons["198.18.0.9"] == "no_credentials: no entry of the file names it"


def test_the_runner_gives_it_room_enough_and_keeps_the_secret(tmp_path: Path, free_port: Callable[..., int]) -> None:
    pytest.importorskip("pysnmp")
    options = {"targets": ("127.0.0.1",), "credentials": credentials(tmp_path, "127.0.0.1"), "port": free_port()}
    section = perform(Job("snmp", "snmp_tables", 20, options))
    assert section.status is RunStatus.PARTIAL
    assert section.body is not None
    assert [item.reason.partition(":")[0] for item in section.body.skipped] == ["snmp_silent"]
    assert COMMUNITY not in repr(section)
