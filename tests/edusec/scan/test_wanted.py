"""What an operator may ask for: files of targets, what is excluded, port sets by name, and profiles."""

import json
import re
import socket
from datetime import date, timedelta
from pathlib import Path

import pytest

from edusec.exits import Stop
from edusec.scan.request.excludes import Excluded
from edusec.scan.request.ports import ranked, read_frequencies, read_ports
from edusec.scan.request.profiles import PROFILES
from edusec.scan.request.target_files import MAX_WORDS, read_words
from edusec.scan.request.targets import check_word, read_targets
from edusec.scan.request.wanted import Wanted, prepare
from edusec.scan.store.journal import Unfinished
from edusec.scan.store.resume import taken_up, written
from probes.kit import registry
from probes.kit.options import build
from probes.kit.scope.model import Scope
from tests.edusec.run_cli import edusec, json_lines
from wire.ports import expand, parse_ports
from wire.types import ScopeEntry, Transport

TODAY = date(2026, 11, 22)
SCOPE = Scope(ScopeEntry(value, "a", "b", TODAY + timedelta(30)) for value in ("198.18.0.0/24", "2001:db8::/64"))


def _left(words: list[str], exclude: list[str], hosts: Path) -> tuple[str, ...]:
    return read_targets(words, SCOPE, TODAY, exclude=exclude, hosts_file=hosts).prefixes


@pytest.mark.parametrize(
    ("words", "exclude", "left"),
    [
        (["198.18.0.0/30"], ["198.18.0.1"], ("198.18.0.0", "198.18.0.2/31")),
        (["198.18.0.0/30"], ["198.18.0.2-3", "198.18.0.0/31", "198.18.0.9"], None),
        (["198.18.0.0/29"], ["198.18.0.0/30", "198.18.0.3-5"], ("198.18.0.6/31",)),
        (["198.18.0.7"], ["198.18.0.0/30"], ("198.18.0.7",)),
        (["2001:db8::/126"], ["2001:db8::2"], ("2001:db8::/127", "2001:db8::3")),
        (["2001:db8::1"], ["2001:db8::/64"], None),
        # What is excluded need not be in scope: nothing will be sent there.
        (["198.18.0.0/23"], ["198.18.1.0/24"], ("198.18.0.0/24",)),
        (["198.18.0.4", "printer"], ["printer"], ("198.18.0.4",)),
    ],
)
def test_what_is_excluded_is_left_out(
    words: list[str], exclude: list[str], left: tuple[str, ...] | None, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("198.18.0.9 printer\n", encoding="utf-8")
    if left is None:
        with pytest.raises(Stop, match="nothing is left"):
            _left(words, exclude, hosts)
    else:
        assert _left(words, exclude, hosts) == left


@pytest.mark.parametrize("words", [["198.18.0.0/24"], ["198.18.0.0/24", "www.example.edu.cn"], ["fe80::1%lo"]])
@pytest.mark.parametrize("scope", [SCOPE, None])
def test_an_excluded_name_without_an_address_stops_the_scan(
    words: list[str], scope: Scope | None, tmp_path: Path
) -> None:
    with pytest.raises(Stop, match=r"--exclude www\.example\.edu\.cn"):
        read_targets(words, scope, TODAY, exclude=["www.example.edu.cn"], hosts_file=tmp_path / "none")


def test_excluded_spans_cut_as_sets_do() -> None:
    from ipaddress import ip_address, ip_network

    spans = [ip_network(text) for text in ("198.18.0.8/29", "198.18.0.12/30", "198.18.0.32/32", "198.18.0.0/32")]
    excluded = Excluded(spans)
    whole = ip_network("198.18.0.0/26")
    kept = {address for part in excluded.left(whole) for address in part}
    assert kept == {address for address in whole if not any(address in span for span in spans)}
    assert all((address in excluded) == (address not in kept) for address in whole)
    assert ip_address("2001:db8::1") not in excluded


def test_files_of_targets_stand_for_their_words(tmp_path: Path) -> None:
    file = tmp_path / "targets.txt"
    file.write_text("\ufeff# 教学楼\r\n198.18.0.1 198.18.0.4/30  # two\r\n\r\nprinter\n", encoding="utf-8")
    assert read_words(["127.0.0.1", f"@{file}"], (), check_word) == (
        "127.0.0.1", "198.18.0.1", "198.18.0.4/30", "printer",
    )  # fmt: skip
    assert read_words([], [file], check_word)[0] == "198.18.0.1"


def test_every_fault_of_a_file_is_named_by_line(tmp_path: Path) -> None:
    file = tmp_path / "targets.txt"
    file.write_text("198.18.0.1\n198.18.0.1/24 ok.example\n\n!\x1b[31m\n" + "a" * 300 + "\n", encoding="utf-8")
    done = edusec("scan", f"@{file}")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.findall(r"targets\.txt:(\d+): ", done.stderr) == ["2", "4", "5"]
    assert "\x1b" not in done.stderr
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n", encoding="utf-8")
    for words in ((f"@{empty}",), ("--targets-file", empty), (f"@{tmp_path / 'none'}",)):
        assert edusec("scan", *words).returncode == 2


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "targets.txt"
    file.write_text("198.18.0.1\n" * (MAX_WORDS + 5), encoding="utf-8")
    with pytest.raises(Stop, match=f":{MAX_WORDS + 1}: more than {MAX_WORDS}"):
        read_words([f"@{file}"], (), check_word)
    with pytest.raises(Stop, match="32 MiB"):
        read_words(["@/dev/zero"], (), check_word)


def test_ports_by_name_and_by_frequency(tmp_path: Path) -> None:
    def ports(text: str, transport: Transport = Transport.TCP, file: Path | None = None) -> str:
        return read_ports("--ports", text, transport, file)

    assert (ports("80,443,79"), ports("all"), ports("none")) == ("79-80,443", "1-65535", "")
    assert ports("top:3") == "22,80,443"
    assert ports("top:1", Transport.UDP) == "53"
    own = tmp_path / "nmap-services"
    own.write_text(
        "# x\nb\t8/tcp\t0.2\t# c\na\t7/tcp\t0.9\na\t7/udp\t0.1\nz 9/sctp 0.5\nn 1/tcp 0.000000\n", encoding="utf-8"
    )
    assert ports("top:1", file=own) == "7"
    assert ports("top:2", file=own) == "7-8"
    for text in ("top:0", "top:", "top:x", "top:-1", "http", "1-70000", ""):
        with pytest.raises(Stop, match="--ports: "):
            ports(text)
    with pytest.raises(Stop, match=r"^top:3: .* has 2 tcp ports only"):
        ports("top:3", file=own)
    own.write_text("a 7/tcp 0.9\nnonsense\n", encoding="utf-8")
    with pytest.raises(Stop, match="nmap-services:2: "):
        ports("top:1", file=own)


def test_our_own_order_has_each_port_once() -> None:
    for transport, least in ((Transport.TCP, 1000), (Transport.UDP, 60)):
        order = ranked(transport)
        assert len(order) == len(set(order)) >= least
        assert all(0 < port < 65536 for port in order)
    assert ranked(Transport.TCP)[:3] == (80, 443, 22)


def test_an_installed_nmap_services_file_is_read() -> None:
    file = Path("/usr/share/nmap/nmap-services")
    if not file.exists():
        pytest.skip("needs nmap-common (/usr/share/nmap/nmap-services)")
    assert len(set(read_frequencies(file, Transport.TCP)[:1000])) == 1000
    # Both orders agree on what matters most.
    assert len(set(read_frequencies(file, Transport.TCP)[:20]) & set(ranked(Transport.TCP)[:60])) >= 15


def test_profiles_are_options_that_the_probe_takes() -> None:
    for profile in PROFILES.values():
        build(registry.load("open_ports"), profile.options)
    assert next(iter(PROFILES)) == "safe"
    rates = {name: float(str(profile.options["rate"])) for name, profile in PROFILES.items()}
    assert min(rates, key=lambda name: rates[name]) == "safe"


def test_a_flag_wins_over_its_profile() -> None:
    work = prepare(Wanted(("127.0.0.1",), profile="deep", ports="22", options={"rate": 7.0, "identify": False}))
    tcp, udp = work.parts
    assert (tcp.ports, tcp.options["rate"], tcp.options["identify"], tcp.options["retries"]) == ("22", 7.0, False, 2)
    assert len(expand(parse_ports(udp.ports))) == 20
    job = work.job(tcp, work.prefixes, tcp.ports, 5.0)
    assert job.options["targets"] == ("127.0.0.1",)
    fast = prepare(Wanted(("127.0.0.1",), profile="fast"))
    assert fast.job(fast.parts[0], ("127.0.0.1",), "1", 5.0).limits.per_host == 512
    # The caps are those of all that is sent: UDP ports and discovery have no options of their own for them.
    slow = prepare(Wanted(("127.0.0.1",), ports="none", udp="53", options={"rate": 7.0}))
    (udp,) = slow.parts
    assert slow.job(udp, ("127.0.0.1",), "53", 5.0).limits.rate == slow.limits.rate == 7.0
    assert slow.limits.per_host == PROFILES["safe"].options["per_host"]
    assert taken_up(Unfinished("1", "", json.loads(json.dumps(written(slow))), False), None, 5.0).limits == slow.limits
    with pytest.raises(Stop, match="--rate"):
        prepare(Wanted(("127.0.0.1",), ports="none", udp="53", options={"rate": 0.0}))
    with pytest.raises(Stop, match="safe, fast, deep"):
        prepare(Wanted(("127.0.0.1",), profile="reckless"))


def test_work_for_an_agent_elsewhere_is_not_checked_against_our_scope() -> None:
    assert prepare(Wanted(("203.0.113.0/30",)), elsewhere=True).prefixes == ("203.0.113.0/30",)
    for name in ("localhost", "www.example.com"):
        with pytest.raises(Stop, match="by address"):
            prepare(Wanted((name,)), elsewhere=True)


def test_a_scan_takes_its_targets_from_a_file_without_what_is_excluded(tmp_path: Path) -> None:
    file = tmp_path / "targets.txt"
    file.write_text("127.0.0.1-2\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = str(door.getsockname()[1])
        words = ("scan", "--targets-file", file, "--exclude", "127.0.0.2", "--no-identify", "--ports", port, "--json")
        lines = json_lines(edusec(*words))
    assert (lines[0]["targets"], lines[0]["exclude"]) == ([f"@{file}"], ["127.0.0.2"])
    assert [item["prefixes"] for item in lines[0]["coverage"]] == [["127.0.0.1/32"]]
    assert [line["port"] for line in lines if line["type"] == "service"] == [int(port)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("127.0.0.1 --ports 22 --top-ports 5", "exclude each other"),
        ("127.0.0.1 --profile reckless", "must be one of safe, fast, deep"),
        ("127.0.0.1 --exclude 127.0.0.0/8", "nothing is left"),
        ("127.0.0.1 --exclude http://x/", "is not a target"),
        ("127.0.0.1 --top-ports 9999999", "tcp ports only"),
        ("127.0.0.1 --port-frequencies /nowhere --top-ports 9", "no such file"),
        ("127.0.0.1 --retries 99", "edusec: --retries: 99 is out of range; a whole number from 0 to 5"),
        ("127.0.0.1 --retries 99 --lang zh", "edusec: --retries：99 超出范围；须为整数，0 至 5\n"),
        ("127.0.0.1 --confirm 0 --lang zh", "'--confirm' 的值无效：须不小于 1\n"),
        ("127.0.0.1 --ports none", "no port is left"),
        ("127.0.0.5-2", "write 127.0.0.2-127.0.0.5"),
        ("fe80::1", "fe80::1%eth0"),
        ("::1/64", "is ::/64 meant?"),
        ("2001:db8::/64", "edusec discover 2001:db8::/64"),
        ("127.0.0.1 --json --format csv", "exclude each other"),
        ("127.0.0.1 -o /tmp", "is a folder"),
        ("127.0.0.1 --scope /nowhere/scope.toml", "--scope /nowhere/scope.toml: there is no such file"),
        ("--resume --ports 22", "without options for a scan"),
        ("--last 127.0.0.1", "without targets"),
        ("--last --profile deep", "without options for a scan"),
        ("--last --whitelist approved.csv", "--whitelist goes with targets or --import"),
        ("--resume --whitelist approved.csv", "a scan that is kept has its own"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sent(words: str, said: str) -> None:
    done = edusec("scan", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_all_ports_may_be_written_as_nmap_does() -> None:
    assert read_ports("--ports", "-", Transport.TCP) == read_ports("--ports", "all", Transport.TCP) == "1-65535"
