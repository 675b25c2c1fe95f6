"""A scan passes as it is, its open services with a first word; what they are follows, each as soon as it is known."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from probes.kit.contract import IDENTIFIED, Progress, Words, Yield
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import QuietHours
from probes.kit.services import enrich
from probes.kit.services.enrich import identified
from probes.kit.services.talk import Heard
from tests.probes.rig import LAB, net_of
from tests.support.patience import given_time
from tests.support.processes import Processes
from wire.types import Coverage, Observation, Outcome, Skipped, Target, TargetKind, Transport


def seen(port: int, outcome: Outcome = Outcome.OPEN, host: str = "127.0.0.1") -> Observation:
    """An observation as a port scan yields it."""
    target = Target(TargetKind.SERVICE, host, port, Transport.TCP)
    return Observation("open_ports", "connect", target, outcome, 1.0, {}, 0.001)


def first(port: int) -> Observation:
    """The same as `identified` passes it on at once."""
    return replace(seen(port), values={IDENTIFIED: False})


def test_open_services_are_named_once_the_scan_is_over(
    process: Processes, free_port: Callable[..., int], tmp_path: Path
) -> None:
    web, closed = free_port(), free_port()
    process(["python3", "-m", "http.server", str(web), "--bind", "127.0.0.1", "-d", tmp_path], ready=web)
    host = Observation("open_ports", "connect", Target(TargetKind.HOST, "127.0.0.1"), Outcome.SEEN, 1.0)
    coverage = Coverage(("127.0.0.1/32",), 4, str(web), Transport.TCP)

    def scan() -> Iterator[Yield]:
        yield Progress(0, 2)
        yield seen(web)
        yield seen(closed)
        yield host
        yield coverage

    items = list(identified(scan(), Net(Scope()), time.monotonic() + 30))
    kept = [item for item in items if not isinstance(item, Progress)]
    assert kept[:4] == [first(web), first(closed), host, coverage]
    words = Words()
    for item in kept:
        if isinstance(item, Observation):
            words.add(item)
    assert words.all[1:] == [seen(closed), host]
    named = words.all[0]
    assert named.target == seen(web).target
    assert named.values["service"] == "http"
    assert named.values["product"] == "http.server"
    assert named.values["confidence"] == 0.9
    assert named.values["http.title"] == "Directory listing for /"
    assert IDENTIFIED not in named.values


def test_a_host_with_many_silent_ports_keeps_no_other_from_being_named() -> None:
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(40)]
        honest = opened.enter_context(socket.create_server(("127.0.0.2", 0)))
        port = honest.getsockname()[1]

        def greet() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with honest.accept()[0] as sock:
                        sock.sendall(b"220 mx ESMTP Postfix\r\n")
                        sock.recv(100)

        greeter = threading.Thread(target=greet)
        greeter.start()
        scan: list[Yield] = [seen(sock.getsockname()[1]) for sock in silent]
        scan.append(seen(port, host="127.0.0.2"))

        def products(seconds: float) -> list[object]:
            net = Net(Scope(), connections=8, per_host=4)
            items = list(identified(iter(scan), net, time.monotonic() + seconds))
            return [item.values.get("product") for item in items if isinstance(item, Observation)]

        try:
            assert "Postfix" in given_time(products, lambda found: "Postfix" in found, first=2)
        finally:
            honest.shutdown(socket.SHUT_RDWR)
            greeter.join()


def test_what_there_was_no_time_to_ask_says_so() -> None:
    items = list(identified(iter([seen(1), seen(2)]), Net(Scope()), time.monotonic() - 1))
    assert items == [first(1), first(2), Skipped("127.0.0.1 ports 1-2", "not_identified")]


def test_a_service_under_way_at_the_deadline_was_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes the connection and never says a word
        port = int(mute.getsockname()[1])
        items = list(identified(iter([seen(port)]), Net(Scope()), time.monotonic() + 0.3))
    assert [item for item in items if not isinstance(item, Progress)] == [
        first(port),
        Skipped(f"127.0.0.1 ports {port}", "not_identified"),
    ]


def test_quiet_hours_that_begin_meanwhile_are_the_reason() -> None:
    net = net_of(*LAB, quiet=[QuietHours.parse("00:00-12:00"), QuietHours.parse("12:00-00:00")])
    target = Target(TargetKind.SERVICE, "198.18.0.1", 22, Transport.TCP)
    word, skipped = identified(iter([replace(seen(22), target=target)]), net, time.monotonic() + 5)
    assert isinstance(word, Observation)
    assert word.values == {IDENTIFIED: False}
    assert isinstance(skipped, Skipped)
    assert (skipped.what, skipped.reason.partition(":")[0]) == ("198.18.0.1 ports 22", "quiet_hours")
    assert net.sent == 0


def test_the_application_behind_a_web_server_has_a_name_of_its_own() -> None:
    answers = (("http_header.server", "nginx/1.22.1"), ("http_body", '<link href="/seeyon/common/images/favicon.ico">'))
    values = enrich.values_of(Heard("http", {}, answers), by_key(built_in()))
    assert (values["product"], values["version"]) == ("nginx", "1.22.1")
    assert values["application"] == "致远互联 Seeyon OA"
    alone = enrich.values_of(Heard("http", {}, answers[1:]), by_key(built_in()))
    assert alone["product"] == "Seeyon OA"
    assert "application" not in alone
