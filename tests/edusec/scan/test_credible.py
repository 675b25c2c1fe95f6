"""What an agent in strange hands sends as the result of a scan: shown as far as it is one, and never a traceback."""

import random
from datetime import date

import pytest

from edusec.scan.output import show
from edusec.scan.output.forms import FORMS
from edusec.scan.remote.credible import credible
from edusec.scan.request.asked import Asked
from edusec.scan.result.finished import Measure, judged
from edusec.scan.result.lines import DEVICE, SERVICE, Line
from edusec.scan.run.join import REFUSED, join, made
from wire.types import (
    Body,
    Coverage,
    Observation,
    Outcome,
    RunStatus,
    Section,
    Skipped,
    Target,
    TargetKind,
    Transport,
    Value,
)

_NAMES = ("10.0.0.1", "10.0.0.1%x", "fe80::1", "fe80::1%eth0", "FE80::1", "10.0.0.0/24", "=1+1", "\x1b[2J", "")
_KEYS = (*REFUSED, *DEVICE, "service", "version", "cpe", "confidence", "http.title", "identified", "name", "why")
_VALUES: tuple[Value, ...] = ("", "1-5", "1-65535", "99999", "=cmd()", "\x1b\u202e", True, None, -1, 1e300, ("a", "b"))
_PREFIXES = ("10.0.0.0/24", "10.0.0.1", "x", "fe80::/64", "fe80::1%eth0", "::/0", "0.0.0.0/0")


def _lines(*sections: Section) -> list[Line]:
    asked = Asked(("unit:4101",), {}, "", "", (), "")
    return judged("ab" * 16, join(list(map(credible, sections))), asked, Measure((), date(2026, 11, 29), "red"))


def _strange(dice: random.Random) -> Section:
    def observation() -> Observation:
        target = Target(
            dice.choice(list(TargetKind)),
            dice.choice(_NAMES),
            dice.choice((None, 0, 80)),
            dice.choice((None, *Transport)),
        )
        values = {dice.choice(_KEYS): dice.choice(_VALUES) for _ in range(dice.randrange(5))}
        return Observation("open_ports", dice.choice(("syn", "")), target, dice.choice(list(Outcome)), 1.0, values)

    def area() -> Coverage:
        prefixes = tuple(dice.choice(_PREFIXES) for _ in range(dice.randrange(3)))
        return Coverage(prefixes, dice.choice((4, 6)), dice.choice(("", "22,80")), dice.choice((None, *Transport)))

    body = Body(
        tuple(observation() for _ in range(dice.randrange(6))),
        tuple(area() for _ in range(dice.randrange(3))),
        (Skipped(dice.choice(_NAMES), "\x1b"),),
        tuple(area() for _ in range(dice.randrange(2))),
    )
    return made("open_ports", dice.choice(list(RunStatus)), dice.choice(("", "crashed: \x1b")), body, (0.0, 2e9))


def test_whatever_an_agent_sends_every_form_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(7)
    for _ in range(150):
        lines = _lines(_strange(dice), _strange(dice))
        written = [form(lines) for form in FORMS.values()]
        show.show(lines)
        assert not any(b"\x1b" in text for text in written)
    assert "\x1b" not in capsys.readouterr().out


def test_what_no_scan_says_is_left_out_and_said() -> None:
    good = Observation(
        "open_ports", "syn", Target(TargetKind.SERVICE, "10.0.0.1", 22, Transport.TCP), Outcome.OPEN, 1.0
    )
    odd = Observation("open_ports", "syn", Target(TargetKind.SERVICE, "x", 22, Transport.TCP), Outcome.OPEN, 1.0)
    told = made("open_ports", RunStatus.DONE, body=Body((good, odd), (Coverage(("y",), 4, "22", Transport.TCP),)))
    lines = _lines(told)
    assert [line["address"] for line in lines if line["type"] == SERVICE] == ["10.0.0.1"]
    assert lines[0]["status"] == "partial"
    assert [part["reason"] for part in lines[0]["skipped"]] == ["bad_output"]
    assert credible(made("open_ports", RunStatus.DONE, body=Body((good,)))).body == Body((good,))
