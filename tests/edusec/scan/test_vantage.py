"""A scan that was made from the internet judges what is open there as exposed; any other one cannot know."""

from datetime import date

import pytest

from edusec.commands.asset import Exposure
from edusec.declare.options import Vantage
from edusec.scan.request.asked import Asked
from edusec.scan.result.finished import Measure, judged
from edusec.scan.result.judge import Exposures
from edusec.scan.result.lines import FINDING, Line
from edusec.scan.run.join import made
from rules.facts import NOT_INTERNET, UNKNOWN, VANTAGES
from tests.edusec.run_cli import VALID, edusec
from tests.support.reports import service
from wire.types import Body, Observation, Outcome, RunStatus, Target, TargetKind, Transport

RULES = {"high-risk-port-internet", "open-resolver"}
RDP = service("198.18.0.5", 3389)
DNS = Observation(
    "udp_ports",
    "dns",
    Target(TargetKind.SERVICE, "198.18.0.5", 53, Transport.UDP),
    Outcome.OPEN,
    0.0,
    {"service": "domain", "dns.recursion": "offered"},
)


def found(*seen: Observation, vantage: str = "internet", own: tuple[str, ...] = ()) -> list[str]:
    section = made("open_ports", RunStatus.DONE, body=Body(seen), times=(1.0, 2.0))
    asked = Asked(("x",), {}, "", "", (), "", vantage=vantage)
    lines = judged("0" * 32, section, asked, Measure((), date(2026, 11, 29), "red", own))
    return sorted(line["rule"] for line in lines if line["type"] == FINDING and line["rule"] in RULES)


def test_what_is_open_as_seen_from_the_internet_is_exposed_to_it() -> None:
    assert found(RDP, DNS) == sorted(RULES)


@pytest.mark.parametrize("vantage", [word for word in (*VANTAGES, "unknown") if word != "internet"])
def test_from_elsewhere_nobody_can_tell(vantage: str) -> None:
    assert found(RDP, DNS, vantage=vantage) == []


@pytest.mark.parametrize(
    "name", ["10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fd00::1", "fe80::1", "::1"]
)
def test_an_address_that_means_another_machine_elsewhere_is_not_on_the_internet(name: str) -> None:
    assert found(service(name, 3389)) == []


def test_a_port_that_may_be_open_and_the_machine_itself_are_not_exposed() -> None:
    assert found(service("198.18.0.5", 3389, Outcome.OPEN_FILTERED)) == []
    assert found(RDP, own=("198.18.0.5",)) == []


def _summary(*seen: Observation, vantage: str = "unknown", **told: Exposures) -> Line:
    section = made("open_ports", RunStatus.DONE, body=Body(seen), times=(1.0, 2.0))
    asked = Asked(("x",), {}, "", "", (), "", vantage=vantage)
    lines = judged("0" * 32, section, asked, Measure((), date(2026, 11, 29), "red", **told))
    VALID.validate(dict(lines[-1]))
    return lines[-1]


def test_how_many_services_it_matters_for_is_told_where_it_is_not_known() -> None:
    web = service("198.18.0.5", 443)
    assert _summary(RDP, DNS, web)["exposure_unknown"] == 2
    assert _summary(RDP, DNS, web, vantage="internet")["exposure_unknown"] == 0
    assert _summary(service("198.18.0.5", 3389, Outcome.OPEN_FILTERED))["exposure_unknown"] == 0
    assert _summary(service("127.0.0.1", 3389))["exposure_unknown"] == 0


def test_what_the_collector_knows_counts_as_seen() -> None:
    place = ("198.18.0.5", "tcp", 3389)
    assert _summary(RDP, exposures={place: "not_internet"})["exposure_unknown"] == 0
    known = _summary(RDP, exposures={place: "internet"})
    assert (known["exposure_unknown"], known["findings"]["red"]) == (0, 2)
    assert _summary(RDP, exposures={("198.18.0.6", "tcp", 3389): "internet"})["exposure_unknown"] == 1


def test_the_flags_have_the_words_of_the_rules() -> None:
    assert {*Vantage} == {*VANTAGES, UNKNOWN}
    assert {*Exposure} == {*VANTAGES, NOT_INTERNET, UNKNOWN}


@pytest.mark.parametrize("words", ["--last", "--resume", "--list", "--unit 2164000001"])
def test_it_goes_with_targets_of_ones_own(words: str) -> None:
    done = edusec("scan", *words.split(), "--vantage", "internet")
    assert (done.returncode, "--vantage goes with targets" in done.stderr) == (2, True)
