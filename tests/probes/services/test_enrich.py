"""A scan's open services come back with what they are; everything else passes unchanged, coverage last."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from probes.kit.contract import Progress, Yield
from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.net import Net
from probes.kit.scope import Scope
from probes.kit.services import enrich
from probes.kit.services.enrich import identified
from probes.kit.services.talk import Heard
from tests.support.processes import Processes
from wire.types import Coverage, Observation, Outcome, Target, TargetKind, Transport


def seen(port: int, outcome: Outcome = Outcome.OPEN) -> Observation:
    """An observation as a port scan yields it."""
    target = Target(TargetKind.SERVICE, "127.0.0.1", port, Transport.TCP)
    return Observation("open_ports", "connect", target, outcome, 1.0, {}, 0.001)


def test_open_services_are_named_and_the_order_stays(
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
    assert kept[1:] == [seen(closed), host, coverage]
    named = kept[0]
    assert isinstance(named, Observation)
    assert named.target == seen(web).target
    assert named.values["service"] == "http"
    assert named.values["product"] == "http.server"
    assert named.values["confidence"] == 0.9
    assert named.values["http.title"] == "Directory listing for /"


def test_no_time_left_gives_the_scan_back_as_it_was() -> None:
    assert list(identified(iter([seen(1)]), Net(Scope()), time.monotonic() - 1)) == [seen(1)]


def test_the_application_behind_a_web_server_has_a_name_of_its_own() -> None:
    answers = (("http_header.server", "nginx/1.22.1"), ("http_body", '<link href="/seeyon/common/images/favicon.ico">'))
    values = enrich.values_of(Heard("http", {}, answers), by_key(built_in()))
    assert (values["product"], values["version"]) == ("nginx", "1.22.1")
    assert values["application"] == "致远互联 Seeyon OA"
    alone = enrich.values_of(Heard("http", {}, answers[1:]), by_key(built_in()))
    assert alone["product"] == "Seeyon OA"
    assert "application" not in alone
