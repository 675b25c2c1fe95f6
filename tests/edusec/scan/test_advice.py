"""What a scan tells people besides its facts: why a finding matters, what to do, and what they may ask next."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from edusec.lang import choose
from edusec.scan.output.advice import next_steps, remedies
from edusec.scan.output.closing import closing
from edusec.scan.output.show import show
from edusec.scan.request.asked import Asked
from edusec.scan.result.finished import Measure, judged
from edusec.scan.result.lines import FINDING, SERVICE, SUMMARY, Line
from edusec.scan.run.join import made
from wire.types import (
    Body,
    Coverage,
    EntryKind,
    Observation,
    Outcome,
    RunStatus,
    Target,
    TargetKind,
    Transport,
    WhitelistEntry,
)


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    choose(["--lang", "en"], {})
    yield
    choose(["--lang", "en"], {})


def _scan(*open_ports: int, ports: str = "1-9000", whitelist: tuple[WhitelistEntry, ...] = ()) -> list[Line]:
    services = tuple(
        Observation(
            "open_ports",
            "syn",
            Target(TargetKind.SERVICE, "10.0.0.1", port, Transport.TCP),
            Outcome.OPEN,
            5.0,
            {"service": "x11", "version": "7"},
        )
        for port in open_ports
    )
    host = Observation("open_ports", "syn", Target(TargetKind.HOST, "10.0.0.1"), Outcome.SEEN, 5.0, {})
    body = Body((host, *services), (Coverage(("10.0.0.1/32",), 4, ports, Transport.TCP),))
    section = made("open_ports", RunStatus.DONE, body=body, times=(1.0, 2.0))
    asked = Asked(("10.0.0.1",), {}, "", "", (), "list.csv" if whitelist else "")
    return judged("0" * 32, section, asked, Measure(whitelist, datetime.now(UTC).date(), "red"))


def _advice(lines: list[Line]) -> list[str]:
    return list(remedies([line for line in lines if line["type"] == FINDING]))


def test_each_kind_of_finding_says_once_what_to_do_the_gravest_first_and_why_its_ports_matter() -> None:
    said = _advice(_scan(22, 23, 445, 3306))
    assert [line.partition(": ")[0] for line in said] == [
        "Telnet is open", "  23/tcp Telnet", "Port of critical risk is open", "  445/tcp SMB", "High-risk port is open",
        "  22/tcp SSH", "  3306/tcp MySQL",
    ]  # fmt: skip
    choose(["--lang", "zh"], {})
    assert _advice(_scan(445))[1].startswith("  445/tcp SMB：永恒之蓝")


def test_what_may_be_asked_next_is_only_what_applies() -> None:
    assert next_steps(_scan()) == ["next: -p- looks at all ports; --diff tells what changed since earlier scans"]
    assert next_steps([*_scan(ports="1-65535")[:-1], {"type": SUMMARY, "drift": {}}]) == []
    (opened,) = next_steps(_scan(22))
    assert "--whitelist" in opened
    assert ".csv" in opened
    assert "-p-" not in opened


def test_the_column_of_the_whitelist_is_there_where_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    show(_scan(22))
    plain = capsys.readouterr().out
    assert "WHITELIST" not in plain
    assert "x11 7" in plain, "a version without a product belongs to the protocol"
    entry = WhitelistEntry(EntryKind.PORT, "10.0.0.1", "li", "web", "wang", ports="22")
    show(_scan(22, whitelist=(entry,)))
    assert "WHITELIST" in capsys.readouterr().out


def test_a_printers_port_is_said_to_be_never_asked(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {**line, "service": None, "version": None} if line["type"] == SERVICE else line for line in _scan(22, 9100)
    ]
    show(lines)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("10.0.0.1")]
    assert ["never asked" in line for line in shown] == [False, True]


def test_what_the_internet_reaches_is_said_to_be_unknown() -> None:
    said = "exposure: unknown for open services that must not face the internet: 2"
    assert said in list(closing(_scan(22, 80, 445)))
    assert not any("exposure" in line for line in closing(_scan(80)))
