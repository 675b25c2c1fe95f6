"""An interrupted scan keeps what it covered, and goes on with the rest only, whatever ended it."""

import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.job import Job
from edusec.places import scans_file
from edusec.scan import batches as parted
from edusec.scan import journal
from edusec.scan.batches import Area, Pace, areas
from edusec.scan.perform import perform
from edusec.scan.source import local
from edusec.scan.wanted import Part, Wanted, prepare
from probes.kit.contract import Progress
from probes.kit.targets import parse_targets
from tests.edusec.run_cli import argv, edusec, json_lines
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes
from wire.ports import MAX_SPEC, expand, format_ports, parse_ports
from wire.types import Coverage, RunStatus, Section, Transport

TODAY = datetime.now(UTC).date()
_PAIR = tuple[int, int]


def _pairs(area: Area) -> set[_PAIR]:
    return {(int(address), port) for span in area.spans for address in span for port in area.ports}


@given(
    ports=st.sets(st.integers(1, 65535), min_size=1, max_size=40),
    covered=st.lists(
        st.tuples(st.integers(0, 31), st.integers(0, 31), st.sets(st.integers(1, 65535), min_size=1, max_size=20)),
        max_size=6,
    ),
)
def test_what_is_left_is_what_is_not_covered(ports: set[int], covered: list[tuple[int, int, set[int]]]) -> None:
    spans = parse_targets(["198.18.0.0/28", "198.18.0.20-25"])
    coverage = [
        Coverage(
            (f"198.18.0.{min(low, high)}/32", f"198.18.0.{max(low, high)}/32"), 4, format_ports(some), Transport.TCP
        )
        for low, high, some in covered
    ]
    part = Part(Transport.TCP, format_ports(ports), {})
    left = areas([part], spans, coverage)
    base = int(parse_targets(["198.18.0.0"])[0].low)
    gone = {(base + host, port) for low, high, some in covered for host in (low, high) for port in some}
    everything = {(int(address), port) for span in spans for address in span for port in ports}
    found = [_pairs(area) for area in left]
    assert set().union(*found) == everything - gone
    assert sum(map(len, found)) == len(everything - gone)  # nothing twice
    # Coverage of the other transport is none.
    assert sum(area.pairs for area in areas([replace(part, transport=Transport.UDP)], spans, coverage)) == len(
        everything
    )


def test_a_link_local_address_of_one_link_is_not_covered_by_that_of_another() -> None:
    """Coverage names no interface, so it says nothing where several are meant."""
    part = Part(Transport.TCP, "22", {})
    coverage = [Coverage(("fe80::1/128", "2001:db8::1/128"), 6, "22", Transport.TCP)]
    left = areas([part], parse_targets(["fe80::1%eth0", "fe80::1%eth1", "2001:db8::1"]), coverage)
    assert [[str(address) for span in area.spans for address in span] for area in left] == [
        ["fe80::1%eth0", "fe80::1%eth1"]
    ]
    assert areas([part], parse_targets(["fe80::1%eth0"]), coverage) == []


@settings(max_examples=12)
@given(hosts=st.integers(1, 3000), ports=st.integers(1, 70), many=st.booleans(), speed=st.floats(1, 1e6))
def test_batches_are_the_area_piece_by_piece(hosts: int, ports: int, many: bool, speed: float) -> None:
    numbers = tuple(range(1, 65536, 13)) if many else tuple(range(1, ports + 1))
    hosts = min(hosts, 70) if many else hosts
    spans = parse_targets(["127.0.0.1", "2001:db8::/123", f"10.0.0.1-10.0.{hosts // 250}.{hosts % 250 + 1}"])
    area = Area(Part(Transport.TCP, "", {}), spans, numbers)
    pace = Pace(Transport.TCP, 1000)
    seen: list[_PAIR] = []
    for batch in parted.batches(area, pace):
        assert len(format_ports(batch.area.ports)) <= MAX_SPEC
        assert len(batch.targets) <= 900
        assert {(s.family, s.low, s.high) for s in parse_targets(batch.targets)} >= {
            (s.family, s.low, s.high) for s in batch.area.spans if s.family == 4
        }
        seen += _pairs(batch.area)
        pace.took(batch.area.pairs, batch.area.pairs / speed)
    assert len(seen) == len(set(seen))
    assert set(seen) == _pairs(area)


def _door() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield int(door.getsockname()[1])


door = pytest.fixture(_door)


def test_the_rest_of_a_scan_joins_what_an_earlier_attempt_found(door: int) -> None:
    work = prepare(Wanted(("127.0.0.1", "127.0.0.9"), ports=f"{door},9-2000", options={"identify": False}))
    asked: list[Job] = []
    kept: list[Section] = []

    def once(job: Job, on_progress: Callable[[Progress], None], stop: threading.Event) -> Section:
        section = local(job, on_progress, threading.Event())
        asked.append(job)
        stop.set()
        return section

    narrow = prepare(Wanted(("127.0.0.1",), ports=f"{door}", options={"identify": False}))
    first = perform(narrow, once, quiet=True, keep=kept.append)
    assert [section.body.coverage[0].ports for section in kept if section.body] == [str(door)]

    def counting(job: Job, on_progress: Callable[[Progress], None], stop: threading.Event) -> Section:
        asked.append(job)
        return local(job, on_progress, stop)

    del asked[:]
    done = perform(work, counting, quiet=True, had=kept)
    assert done.finished
    assert done.section.status is RunStatus.DONE
    # The one port of the one address is not asked again, and is in the result all the same.
    again = [job for job in asked if "127.0.0.1" in job.options["targets"]]  # type: ignore[operator]
    assert [door in expand(parse_ports(str(job.options["ports"]))) for job in again] == [False]
    assert done.section.body is not None
    ports = {(item.target.name, item.target.port) for item in done.section.body.observations if item.target.port}
    assert ports == {("127.0.0.1", door)}
    covered = {(prefix, item.ports) for item in done.section.body.coverage for prefix in item.prefixes}
    assert {prefix for prefix, _ in covered} == {"127.0.0.1/32", "127.0.0.9/32"}
    assert first.interrupted


def test_the_journal_keeps_sections_until_the_scan_is_done(tmp_path: Path, door: int) -> None:
    file = tmp_path / "scans.db"
    work = prepare(Wanted(("127.0.0.1",), ports=str(door), options={"identify": False}))
    kept = journal.Journal(file, "a" * 32, "2026-11-29T05:00:00.000Z", {"x": 1})
    done = perform(work, local, quiet=True, keep=kept.keep)
    (scan,) = journal.unfinished(file)
    assert (scan.id, scan.asked, scan.running) == ("a" * 32, {"x": 1}, True)
    assert journal.sections(file, scan.id) == [done.section]
    kept.pause()
    assert not journal.unfinished(file)[0].running
    kept.close()
    assert (journal.unfinished(file), journal.sections(file, scan.id)) == ([], [])


def _space(netns: Namespaces, silent: str = "meta l4proto udp") -> tuple[Namespace, Namespace, str]:
    """A host that answers at once but for what is to be silent; the handshakes that we begin are counted."""
    here, there = netns(), netns()
    _, theirs = netns.link(here, there)
    for key, value in (("net.ipv4.icmp_ratemask", 0), ("net.ipv4.icmp_msgs_per_sec", 100_000)):
        there.sysctl(key, value)
    there.run(
        [
            "nft",
            "add table inet wall; add chain inet wall in { type filter hook input priority 0; " + silent + " drop; }",
        ]
    )
    here.run(["nft", ("add table inet watch; add chain inet watch out { type filter hook output priority 0; "
              "tcp flags syn counter; }")])  # fmt: skip
    address = str(theirs.v4.ip)
    until = str(TODAY + timedelta(1))
    here.run(argv("scope", "add", address, "--authoriser", "test", "--reason", "test", "--until", until))
    return here, there, address


def _syns(space: Namespace) -> int:
    listed = json.loads(space.run(["nft", "-j", "list", "chain", "inet", "watch", "out"]).stdout)
    rules = [item["rule"] for item in listed["nftables"] if "rule" in item]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)


def _journaled() -> bool:
    if not scans_file().exists():
        return False
    with sqlite3.connect(scans_file(), timeout=10) as database:
        try:
            (count,) = database.execute("select count(*) from unfinished_sections").fetchone()
        except sqlite3.OperationalError:  # the table is just being made
            return False
    database.close()
    return bool(count)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_covered_before_the_end_is_kept_and_not_asked_again(
    netns: Namespaces, process: Processes, needs: Callable[..., str], number: signal.Signals
) -> None:
    needs("nft", package="nftables")
    here, there, address = _space(netns)
    scan = ("scan", address, "--no-identify", "--ports", "20-60", "--udp", "20000-24000", "--json")
    running = process(argv(*scan), netns=here)
    running.wait_ready(_journaled)
    running.send(number)
    assert running.wait() == (130 if number is not signal.SIGKILL else -signal.SIGKILL)
    assert _syns(here) > 0
    if number is not signal.SIGKILL:
        partial = [json.loads(line) for line in running.stdout.splitlines()]
        assert partial[0]["status"] == "partial"
        assert [(part["what"], part["reason"]) for part in partial[0]["skipped"]] == [
            (f"{address} ports 20000-24000", "stopped")
        ]
    before = _syns(here)
    there.run(["nft", "flush", "ruleset"])
    done = here.run(argv("scan", "--resume", "--json"), check=False)
    lines = json_lines(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert _syns(here) == before
    assert {(item["transport"], item["ports"]) for item in lines[0]["coverage"]} == {
        ("tcp", "20-60"),
        ("udp", "20000-24000"),
    }
    assert (lines[0]["status"], lines[0]["skipped"], lines[0]["targets"]) == ("done", [], [address])
    (host,) = [line for line in lines if line["type"] == "host"]
    assert host["closed"] == "20-60"
    # It is done: nothing is left to resume, and the result stands once.
    assert edusec("scan", "--resume").returncode == 2
    assert json_lines(edusec("scan", "--last", "--json")) == lines
    with sqlite3.connect(scans_file()) as database:
        assert database.execute("select count(*) from scans").fetchone() == (1,)
    database.close()


def test_a_time_limit_leaves_a_scan_that_can_be_resumed_under_todays_scope_only(
    netns: Namespaces, needs: Callable[..., str]
) -> None:
    needs("nft", package="nftables")
    here, _, address = _space(netns, "tcp dport 50")
    hard = ("--timeout", "1", "--retries", "5", "--time-limit", "3")
    done = here.run(
        argv("scan", "127.0.0.1", address, "--no-identify", "--ports", "20-60", *hard, "--json"), check=False
    )
    lines = json_lines(done)
    assert done.returncode == 3
    assert lines[0]["status"] == "partial"
    run = lines[0]["id"]
    assert f"edusec scan --resume --run {run[:8]}" in done.stderr
    assert [item["prefixes"] for item in lines[0]["coverage"]] == [["127.0.0.1/32"]]
    assert [part["what"] for part in lines[0]["skipped"]] == [address]
    # The authorisation ended meanwhile: not a packet more.
    before = _syns(here)
    here.run(argv("scope", "remove", address))
    refused = here.run(argv("scan", "--resume", "--run", run[:8]), check=False)
    assert refused.returncode == 2
    assert "edusec scope add" in refused.stderr
    assert _syns(here) == before


def test_a_scan_that_is_still_running_is_left_alone(
    netns: Namespaces, process: Processes, needs: Callable[..., str]
) -> None:
    needs("nft", package="nftables")
    here, _, address = _space(netns)
    running = process(argv("scan", address, "--no-identify", "--ports", "20-60", "--udp", "20000-24000"), netns=here)
    running.wait_ready(_journaled)
    refused = here.run(argv("scan", "--resume"), check=False)
    assert refused.returncode == 2
    assert "running" in refused.stderr
    assert edusec("scan", "--resume", "127.0.0.1").returncode == 2
    running.send(signal.SIGINT)
    assert running.wait() == 130


def test_further_ports_of_an_address_take_along_one_that_answers(door: int) -> None:
    # 65,535 ports in pieces: each of the later ones is asked together with a port that is known to answer.
    work = prepare(Wanted(("127.0.0.1",), ports="all", options={"identify": False, "rate": 1000.0}))
    asked: list[Job] = []

    def watched(job: Job, on_progress: Callable[[Progress], None], stop: threading.Event) -> Section:
        asked.append(job)
        return local(job, on_progress, stop)

    done = perform(work, watched, quiet=True)
    sets = [set(expand(parse_ports(str(job.options["ports"])))) for job in asked]
    assert len(sets) > 1
    assert all(later & sets[0] for later in sets[1:])
    assert set().union(*sets) == set(range(1, 65536))
    assert done.section.body is not None
    assert [item.ports for item in done.section.body.coverage] == ["1-65535"]
    assert door in {item.target.port for item in done.section.body.observations}
