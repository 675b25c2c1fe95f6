"""An interrupted scan keeps what it covered, and goes on with the rest only, whatever ended it."""

import json
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.probing.job import Job
from edusec.local.places import scans_file
from edusec.scan.request.wanted import Wanted, prepare
from edusec.scan.run.perform import perform
from edusec.scan.run.source import Tell, local
from edusec.scan.session import scan
from edusec.scan.store import journal
from tests.edusec.run_cli import Done, argv, edusec, json_lines
from tests.support.netns import Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import Processes, Running
from wire.ports import expand, parse_ports
from wire.types import RunStatus, Section

TODAY = datetime.now(UTC).date()


def _door() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield int(door.getsockname()[1])


door = pytest.fixture(_door)


def test_a_journal_that_fails_in_the_middle_says_that_there_is_nothing_to_resume(
    door: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def once(job: Job, tell: Tell, stop: threading.Event) -> Section:
        scans_file().unlink()
        scans_file().mkdir()
        stop.set()
        return local(job, tell, stop)

    wanted = Wanted(("127.0.0.1",), ports=f"{door}", options={"identify": False})
    assert scan(wanted, "none", quiet=True, source=once).interrupted
    said = capsys.readouterr().err
    assert "an interrupted scan cannot be resumed" in said
    assert "--resume" not in said


def test_the_rest_of_a_scan_joins_what_an_earlier_attempt_found(door: int) -> None:
    work = prepare(Wanted(("127.0.0.1", "127.0.0.9"), ports=f"{door},9-2000", options={"identify": False}))
    asked: list[Job] = []
    kept: list[Section] = []

    def once(job: Job, tell: Tell, stop: threading.Event) -> Section:
        section = local(job, tell, threading.Event())
        asked.append(job)
        stop.set()
        return section

    narrow = prepare(Wanted(("127.0.0.1",), ports=f"{door}", options={"identify": False}))
    first = perform(narrow, once, quiet=True, keep=lambda section, **_: kept.append(section))
    assert [section.body.coverage[0].ports for section in kept if section.body] == [str(door)]

    def counting(job: Job, tell: Tell, stop: threading.Event) -> Section:
        asked.append(job)
        return local(job, tell, stop)

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
            (f"{address} udp ports 20000-24000", "stopped")
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

    def cut(seconds: float) -> Done:
        """Scan this machine, which answers, and a host with a port that keeps silent for twice the time there is."""
        hard = ("--timeout", f"{seconds / 3:g}", "--retries", "5", "--time-limit", f"{seconds:g}")
        scan = ("scan", "127.0.0.1", address, "--no-identify", "--ports", "20-60", *hard, "--json")
        return here.run(argv(*scan), check=False)

    done = given_time(cut, lambda done: bool(json_lines(done)[0]["coverage"]), first=3)
    lines = json_lines(done)
    assert done.returncode == 3
    assert lines[0]["status"] == "partial"
    run = lines[0]["id"]
    assert f"edusec scan --resume --run {run[:8]}" in done.stderr
    assert [item["prefixes"] for item in lines[0]["coverage"]] == [["127.0.0.1/32"]]
    assert lines[0]["skipped"] == [{"what": f"{address} tcp ports 20-60", "reason": "deadline"}]
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
    for _ in range(2):  # the second one leaves at once, and the rest can be done all the same
        running.send(signal.SIGINT)
    assert running.wait() == 130
    assert "edusec scan --resume --run" in running.stderr
    assert not journal.unfinished(scans_file())[0].running


def test_further_ports_of_an_address_take_along_one_that_answers(door: int) -> None:
    # 65,535 ports in pieces: each of the later ones is asked together with a port that is known to answer.
    work = prepare(Wanted(("127.0.0.1",), ports="all", options={"identify": False, "rate": 1000.0}))
    asked: list[Job] = []

    def watched(job: Job, tell: Tell, stop: threading.Event) -> Section:
        asked.append(job)
        return local(job, tell, stop)

    done = perform(work, watched, quiet=True)
    sets = [set(expand(parse_ports(str(job.options["ports"])))) for job in asked]
    assert len(sets) > 1
    assert all(later & sets[0] for later in sets[1:])
    assert set().union(*sets) == set(range(1, 65536))
    assert done.section.body is not None
    assert [item.ports for item in done.section.body.coverage] == ["1-65535"]
    assert door in {item.target.port for item in done.section.body.observations}


def _told() -> str:
    """What unfinished scans have in the journal, as it is written there."""
    if not _journaled():
        return ""
    with closing(sqlite3.connect(scans_file(), timeout=10)) as database:
        return " ".join(text for (text,) in database.execute("select section from unfinished_sections"))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@pytest.mark.parametrize("how", ["Ctrl-C", "time", "scan killed", "guard killed", "probe killed"])
def test_services_that_were_asked_are_kept_and_only_the_others_are_asked_again(
    process: Processes, free_port: Callable[..., int], tmp_path: Path, how: str
) -> None:
    """One service answers at once, another takes the connection and says nothing until the scan is interrupted."""
    web, mute = sorted((free_port(), free_port()))
    serve = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "-d", tmp_path]
    server = process([*serve, str(web)], ready=web)

    def interrupted(seconds: float) -> Running:
        """Scan until it is interrupted."""
        for file in scans_file().parent.glob(f"{scans_file().name}*"):
            file.unlink()
        scan = ("scan", "127.0.0.1", "--ports", f"{web},{mute}", "--json", "--time-limit", f"{seconds:g}")
        running = process(argv(*scan))
        if how != "time":
            running.wait_ready(_told_of_both)
            (guard,) = _children(running.pid)
            (probe,) = _children(guard)
            who = {"Ctrl-C": running.pid, "scan killed": running.pid, "guard killed": guard, "probe killed": probe}[how]
            os.kill(who, signal.SIGINT if how == "Ctrl-C" else signal.SIGKILL)
        running.wait()
        return running

    def _told_of_both() -> bool:
        return '"product":"http.server"' in _told() and f'"port":{mute}' in _told()

    why = {"Ctrl-C": "stopped", "time": "", "guard killed": "crashed", "probe killed": "crashed"}
    with socket.create_server(("127.0.0.1", mute)):
        # Before ten seconds are over the mute one is given up; a busy machine may need more than three for the other.
        for seconds in (3, 4, 5, 6, 7) if how == "time" else (99,):
            running = interrupted(seconds)
            code = running.wait()
            if _told_of_both() and (how != "time" or '"reason":""' in running.stdout.partition("\n")[0]):
                break
    assert code == {"Ctrl-C": 130, "scan killed": -signal.SIGKILL}.get(how, 3)
    if how in why:
        lines = [json.loads(line) for line in running.stdout.splitlines()]
        assert (lines[0]["status"], lines[0]["reason"].partition(":")[0]) == ("partial", why[how])
        known = {line["port"]: (line["product"], line["details"]) for line in lines if line["type"] == "service"}
        assert known[web][0] == "http.server"
        assert known[mute] == (None, {"identified": False})
        assert [(part["what"], part["reason"]) for part in lines[0]["skipped"]] == [
            (f"127.0.0.1 tcp ports {mute}", "not_identified")
        ]
        assert "edusec scan --resume" in running.stderr
    # Whoever asked the first one again would find it closed.
    server.terminate()
    process([*serve, str(mute)], ready=mute)
    done = edusec("scan", "--resume", "--json")
    lines = json_lines(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert (lines[0]["status"], lines[0]["skipped"]) == ("done", [])
    assert [(item["prefixes"], item["ports"]) for item in lines[0]["coverage"]] == [(["127.0.0.1/32"], f"{web},{mute}")]
    assert [(line["port"], line["product"]) for line in lines if line["type"] == "service"] == [
        (web, "http.server"),
        (mute, "http.server"),
    ]
    assert all("identified" not in line["details"] for line in lines if line["type"] == "service")


def test_udp_ports_that_stayed_silent_are_not_asked_again(
    netns: Namespaces, process: Processes, needs: Callable[..., str]
) -> None:
    needs("nft", package="nftables")
    here, there, address = _space(netns)
    running = process(argv("scan", address, "--ports", "none", "--udp", "20000-20519"), netns=here)
    running.wait_ready(lambda: '"silent":[{' in _told())
    running.send(signal.SIGKILL)
    running.wait()
    there.run(["nft", "flush", "ruleset"])
    here.run(["nft", "add rule inet watch out udp dport 20000-20511 counter"])
    done = here.run(argv("scan", "--resume", "--json"), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert _syns(here) == 0  # the first 512 are asked together
    lines = json_lines(done)
    areas = [
        [(item["prefixes"], item["transport"], item["ports"]) for item in lines[0][name]]
        for name in ("silent", "coverage")
    ]
    assert areas == [
        [([f"{address}/32"], "udp", "20000-20511")],
        [([f"{address}/32"], "udp", "20512-20519")],
    ]
    assert lines[-1]["ports"] == {"open_filtered": 512, "closed": 8}
    assert (lines[0]["status"], lines[0]["skipped"]) == ("done", [])
    table = edusec("scan", "--last").stdout
    assert f"{address}/32 udp/20000-20511" in table
    assert "open|filtered 512" in table


def test_an_open_port_is_kept_from_the_moment_it_is_found(
    netns: Namespaces, process: Processes, needs: Callable[..., str]
) -> None:
    needs("nft", package="nftables")
    here, there, address = _space(netns, "tcp dport 50-60")
    process(["python3", "-m", "http.server", "40"], netns=there, ready=40)
    scan = argv("scan", address, "--ports", "20-60", "--timeout", "9", "--json")
    running = process(scan, netns=here)
    running.wait_ready(lambda: '"port":40' in _told())
    running.send(signal.SIGINT)
    assert running.wait() == 130
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    assert [(line["port"], line["details"]) for line in lines if line["type"] == "service"] == [
        (40, {"identified": False})
    ]
    assert [(part["what"], part["reason"]) for part in lines[0]["skipped"]] == [
        (f"{address} tcp ports 20-60", "stopped")
    ]
    there.run(["nft", "flush", "ruleset"])
    lines = json_lines(here.run(argv("scan", "--resume", "--json"), check=False))
    assert [(line["port"], line["product"]) for line in lines if line["type"] == "service"] == [(40, "http.server")]
    assert (lines[0]["status"], lines[0]["skipped"]) == ("done", [])


def test_quiet_hours_send_nothing_and_leave_the_rest_for_later(netns: Namespaces, needs: Callable[..., str]) -> None:
    needs("nft", package="nftables")
    here, _, address = _space(netns)
    here.run(["nft", "add rule inet watch out udp dport 53 counter"])
    always = ("--quiet-hours", "00:00-12:00", "--quiet-hours", "12:00-00:00")
    first = here.run(argv("scan", address, "--ports", "20-60", "--udp", "53", *always, "--json"), check=False)
    again = here.run(argv("scan", "--resume", "--json"), check=False)
    for done in (first, again):
        run, *_ = json_lines(done)
        assert (done.returncode, run["status"], run["coverage"]) == (3, "partial", [])
        assert [part["what"] for part in run["skipped"]] == [f"{address} tcp ports 20-60", f"{address} udp ports 53"]
        assert {part["reason"].partition(":")[0] for part in run["skipped"]} == {"quiet_hours"}
        assert f"edusec scan --resume --run {run['id'][:8]}" in done.stderr
    assert _syns(here) == 0
    refused = edusec("scan", "127.0.0.1", "--quiet-hours", "9-12")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "07:30-12:00" in refused.stderr
