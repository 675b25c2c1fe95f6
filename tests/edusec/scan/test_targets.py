"""What operators may name as targets, and that the scope is checked for all of it before anything is sent."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from edusec.exits import Stop
from edusec.scan.request.targets import read_targets, require_ports
from probes.kit.scope.model import Scope
from wire.types import ScopeEntry

TODAY = date(2026, 11, 22)
LATER = TODAY + timedelta(30)


def _scope(*values: str, ports: str = "") -> Scope:
    return Scope(ScopeEntry(value, "a", "b", LATER, ports) for value in values)


@pytest.mark.parametrize(
    ("words", "prefixes"),
    [
        (["127.0.0.1"], ("127.0.0.1",)),
        (["::1"], ("::1",)),
        (["::ffff:127.0.0.1"], ("127.0.0.1",)),
        (["::ffff:198.18.0.1-::ffff:198.18.0.1"], ("198.18.0.1",)),
        (["198.18.0.0/30"], ("198.18.0.0/30",)),
        (["198.18.0.1-3"], ("198.18.0.1", "198.18.0.2/31")),
        (["198.18.0.254-198.18.1.1"], ("198.18.0.254/31", "198.18.1.0/31")),
        (["198.18.0.1", "198.18.0.1"], ("198.18.0.1",)),
        (["2001:db8::/120"], ("2001:db8::/120",)),
        (["localhost"], ("127.0.0.1", "::1")),
    ],
)
def test_targets_become_the_fewest_prefixes(words: list[str], prefixes: tuple[str, ...], tmp_path: Path) -> None:
    scope = _scope("198.18.0.0/15", "2001:db8::/32")
    assert read_targets(words, scope, TODAY, hosts_file=tmp_path / "none").prefixes == prefixes


@pytest.mark.parametrize("word", ["2001:db8::1%lo", "::ffff:198.18.0.1-::ffff:198.18.0.1", "::ffff:198.18.0.1"])
def test_another_spelling_of_what_is_excluded_is_excluded(word: str, tmp_path: Path) -> None:
    scope = _scope("198.18.0.0/15", "2001:db8::/32")
    with pytest.raises(Stop, match="nothing is left"):
        read_targets([word], scope, TODAY, exclude=["2001:db8::/64", "198.18.0.1"], hosts_file=tmp_path / "none")


def test_names_of_the_hosts_file_need_no_resolver(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("198.18.0.7 printer.school printer # room 2\n2001:db8::7 printer\nnonsense printer\n\n")
    targets = read_targets(["Printer"], _scope("198.18.0.0/24", "2001:db8::/64"), TODAY, hosts_file=hosts)
    assert targets.prefixes == ("198.18.0.7", "2001:db8::7")
    assert targets.names == {"198.18.0.7": "printer", "2001:db8::7": "printer"}


def test_domains_in_scope_are_left_to_the_run(tmp_path: Path) -> None:
    targets = read_targets(["www.example.edu.cn"], _scope("*.example.edu.cn"), TODAY, hosts_file=tmp_path / "none")
    assert (targets.prefixes, targets.domains) == ((), ("www.example.edu.cn",))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("198.18.0.1/24", "198.18.0.0/24"),
        ("198.18.0.9-3", "198.18.0.9-3"),
        ("198.18.0.1-::1", "one family"),
        ("198.18.0.1-999", "999"),
        ("http://198.18.0.1/", "is not a target"),
        ("127.1", "is not a target"),
        ("0x7f000001", "is not a target"),
        ("", "is not a target"),
        ("a b", "is not a target"),
        ("198.18.0.1%eth0", "is not a target"),
    ],
)
def test_what_is_no_target_says_so(word: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Stop, match=said.replace(".", r"\.")):
        read_targets([word], _scope("198.18.0.0/15"), TODAY, hosts_file=tmp_path / "none")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("198.18.0.0/23", "198.18.0.0/23"),  # only the first half of it is authorised
        ("2001:db8:1::/120", "2001:db8:1::/120"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("www.example.com", "www.example.com"),
    ],
)
def test_one_target_outside_the_scope_refuses_all_with_the_command(word: str, value: str, tmp_path: Path) -> None:
    scope = _scope("198.18.0.0/24", "2001:db8::/64")
    with pytest.raises(Stop) as refusal:
        read_targets(["127.0.0.1", word], scope, TODAY, hosts_file=tmp_path / "none")
    assert f"edusec scope add {value} --authoriser" in str(refusal.value)
    assert str(LATER) in str(refusal.value)


def test_adjoining_entries_make_one_scope(tmp_path: Path) -> None:
    scope = _scope("198.18.0.0/25", "198.18.0.128/25")
    assert read_targets(["198.18.0.0/24"], scope, TODAY, hosts_file=tmp_path / "none").prefixes == ("198.18.0.0/24",)


def test_an_authorisation_ends_after_its_last_day(tmp_path: Path) -> None:
    scope = _scope("198.18.0.0/24")
    assert read_targets(["198.18.0.1"], scope, LATER, hosts_file=tmp_path / "none")
    with pytest.raises(Stop, match="scope add"):
        read_targets(["198.18.0.1"], scope, LATER + timedelta(1), hosts_file=tmp_path / "none")


@pytest.mark.parametrize("word", ["198.18.0.0/15", "2001:db8::/64"])
def test_a_prefix_too_large_to_enumerate_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"split|edusec discover"):
        read_targets([word], _scope("198.18.0.0/15", "2001:db8::/32"), TODAY, hosts_file=tmp_path / "none")


def test_ports_that_nobody_authorised_are_refused_by_number(tmp_path: Path) -> None:
    scope = _scope("198.18.0.0/24", ports="22,80")
    targets = read_targets(["198.18.0.0/24"], scope, TODAY, hosts_file=tmp_path / "none")
    require_ports(targets, (22, 80), scope, TODAY)
    with pytest.raises(Stop, match=r"scope add 198\.18\.0\.0/24 .* --ports 443"):
        require_ports(targets, (22, 443), scope, TODAY)
