"""Sections of one scan joined: the later word counts, silence adds up, and nothing that failed looks done."""

from dataclasses import replace

from edusec.scan.run.join import as_done, join, left_out, made
from probes.kit.contract import IDENTIFIED
from wire.digest import section_digest
from wire.types import (
    Body,
    Coverage,
    Observation,
    Outcome,
    RunStatus,
    Section,
    SectionKind,
    Skipped,
    Target,
    TargetKind,
    Transport,
)


def _service(port: int, product: str = "", transport: Transport = Transport.TCP) -> Observation:
    target = Target(TargetKind.SERVICE, "127.0.0.1", port, transport)
    return Observation("open_ports", "connect", target, Outcome.OPEN, 5.0, {"product": product})


def _host(outcome: Outcome = Outcome.SEEN, **values: str) -> Observation:
    return Observation("open_ports", "connect", Target(TargetKind.HOST, "127.0.0.1"), outcome, 5.0, values)


def _section(*seen: Observation, ports: str = "", status: RunStatus = RunStatus.DONE, at: float = 1.0) -> Section:
    covered = (Coverage(("127.0.0.1/32",), 4, ports, Transport.TCP),) if ports else ()
    body = Body(seen, covered)
    reason = "" if status is RunStatus.DONE else "crashed"
    digest = section_digest("open_ports", status, reason, body)
    return Section("scan", "open_ports", SectionKind.STATE, status, digest, at, at + 1, reason, body)


def test_the_later_word_counts_and_silence_adds_up() -> None:
    first = _section(_service(22, "old"), _host(closed="23-24", filtered="80-81"), ports="22-24,80-81")
    second = _section(_service(22, "new"), _service(80), _host(Outcome.UNKNOWN, closed="25", filtered="90"), at=9.0)
    whole = join([first, second])
    assert whole.body is not None
    assert [(item.target.port, item.values.get("product")) for item in whole.body.observations if item.target.port] == [
        (22, "new"),
        (80, ""),
    ]
    (host,) = [item for item in whole.body.observations if item.target.kind is TargetKind.HOST]
    # Port 80 was filtered at first and is open now.
    assert (host.outcome, host.values) == (Outcome.SEEN, {"closed": "23-25", "filtered": "81,90"})
    assert (whole.started, whole.finished, whole.status) == (1.0, 10.0, RunStatus.DONE)
    assert whole.digest == section_digest(whole.probe, whole.status, whole.reason, whole.body)


def test_a_list_that_grew_too_long_does_not_come_back_with_its_last_ports() -> None:
    lists = (range(1001, 1361, 2), range(3001, 3361, 2), range(5001, 5021, 2))
    whole = join([_section(_host(closed=",".join(map(str, ports)))) for ports in lists])
    assert whole.body is not None
    assert [item.values for item in whole.body.observations] == [{"closed": ""}]


def test_ports_of_both_transports_stand_side_by_side() -> None:
    whole = join([_section(_service(53)), _section(_service(53, transport=Transport.UDP))])
    assert whole.body is not None
    assert len(whole.body.observations) == 2


def test_what_failed_makes_the_whole_partial_and_failures_alone_a_failure() -> None:
    crashed = _section(status=RunStatus.CRASHED)
    assert join([_section(ports="22"), crashed]).status is RunStatus.PARTIAL
    assert join([crashed, crashed]).status is RunStatus.CRASHED
    assert join([crashed, crashed]).reason == "crashed"
    unfinished = join([_section(ports="22"), left_out("open_ports", ["127.0.0.1"], "tcp ports 23", "stopped")])
    assert unfinished.status is RunStatus.PARTIAL
    assert unfinished.reason == "stopped"
    assert unfinished.body is not None
    assert [part.what for part in unfinished.body.skipped] == ["127.0.0.1 tcp ports 23"]


def test_a_first_word_never_takes_the_place_of_what_is_known() -> None:
    first = replace(_service(22), values={IDENTIFIED: False})
    for order in ([first, _service(22, "nginx")], [_service(22, "nginx"), first]):
        whole = join([_section(item) for item in order])
        assert whole.body is not None
        assert [item.values for item in whole.body.observations] == [{"product": "nginx"}]


def test_what_gave_no_answer_is_not_asked_again_and_stays_said() -> None:
    nobody = Coverage(("10.9.0.0/24",), 4, "22", Transport.TCP)
    skipped = (Skipped("10.9.0.0/24", "no_answer"), Skipped("10.8.0.0/24 ports 22", "deadline"))
    had = as_done(made("open_ports", RunStatus.PARTIAL, "deadline", Body((), (), skipped, (nobody,))))
    assert had.body is not None
    assert (had.status, had.reason, had.body.skipped, had.body.silent) == (
        RunStatus.PARTIAL,
        "",
        skipped[:1],
        (nobody,),
    )
