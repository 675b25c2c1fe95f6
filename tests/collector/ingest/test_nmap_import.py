"""Scans of nmap in the inventory: real files of a real nmap, and files that mean harm."""

import contextlib
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadFile, BadInput, Forbidden, NotFound
from collector.ingest import nmap_xml
from collector.ingest.imports import import_scan
from collector.ingest.nmap_file import read_nmap, series
from collector.memory.people import Role
from collector.registry.agents import list_agents
from tests.edusec.run_cli import edusec, json_lines
from tests.support import debian
from tests.support.collectors import COUNTY, FAR_SCHOOL, SCHOOL, START, Clock, Desk, desk
from tests.support.faults import said_in_english
from tests.support.netns import Namespaces
from tests.support.processes import Processes
from wire.codec import decode, encode
from wire.types import Outcome, RunStatus, Section, TargetKind, Transport

LIMIT = 8 << 20
HEAD = '<?xml version="1.0"?>\n<!DOCTYPE nmaprun>\n'


def _file(hosts: str, *, at: float = START, args: str = "nmap -p 1-9 10.0.0.1", more: str = "") -> bytes:
    return (
        f'{HEAD}<nmaprun scanner="nmap" args="{args}" start="{at:.0f}" version="7.93" xmloutputversion="1.05">\n'
        f'<scaninfo type="connect" protocol="tcp" numservices="9" services="1-9"/>\n{more}{hosts}\n'
        f'<runstats><finished time="{at:.0f}" elapsed="1" exit="success"/><hosts up="1" total="1"/></runstats>'
        "</nmaprun>"
    ).encode()


def _host(ports: str, address: str = "10.0.0.1", state: str = "up", extra: str = "") -> str:
    return (
        f'<host{extra}><status state="{state}" reason="x" reason_ttl="0"/><address addr="{address}" addrtype="ipv4"/>'
        f"<ports>{ports}</ports></host>"
    )


def _port(number: int, state: str, service: str = "", protocol: str = "tcp") -> str:
    told = f'<state state="{state}" reason="x" reason_ttl="0"/>{service}'
    return f'<port protocol="{protocol}" portid="{number}">{told}</port>'


def _covered(section: Section) -> set[tuple[tuple[str, ...], str, Transport | None]]:
    assert section.body is not None
    return {(item.prefixes, item.ports, item.transport) for item in section.body.coverage}


@pytest.fixture(scope="module")
def real(_namespaces_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a real nmap wrote of a host with one server, one closed range and one range that drops."""
    nmap = debian.needs("nmap", package="nmap")
    debian.needs("nft", package="nftables")
    folder = tmp_path_factory.mktemp("nmap")
    spaces, process = Namespaces(), Processes(folder)
    try:
        here, there = spaces(), spaces()
        _, theirs = spaces.link(here, there)
        process([sys.executable, "-m", "http.server", "8080"], netns=there, ready=8080)
        there.run(["nft", ("add table inet w; add chain inet w in { type filter hook input priority 0; "
                           "tcp dport 9000-9009 drop; }")])  # fmt: skip
        file = folder / "school.xml"
        words = [nmap, "-n", "-sT", "-sV", "--version-light", "-p", "8075-8084,9000-9009", "--max-retries", "1"]
        here.run([*words, str(theirs.v4.ip), "-oX", str(file)])
    finally:
        process.close()
        spaces.close()
    return file


def test_a_real_scan_enters_the_inventory_once(real: Path, tmp_path: Path) -> None:
    clock = Clock()
    clock.now = time.time()
    with desk(tmp_path, clock=clock) as office:
        done = import_scan(office.core, office.admin, real.read_bytes(), "school.xml", SCHOOL)
        assert (done.added, done.changed, done.unchanged) == (2, 0, 0)
        (asset,) = office.assets()
        assert asset.unit == SCHOOL
        assert [(item.port, item.state) for item in asset.services] == [(8080, "open")]
        assert "SimpleHTTP" in (asset.services[0].product or "")
        # The same file again is the same scan.
        again = import_scan(office.core, office.admin, real.read_bytes(), "copy.xml", SCHOOL)
        assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
        (agent,) = list_agents(office.core, office.admin)
        assert (agent.state, agent.name) == ("revoked", "nmap import")
        (state,) = office.core.sections.states()
        assert state.runs == 1
    section = read_nmap(real.read_bytes(), "school.xml", LIMIT)
    assert section.body is not None
    ((prefixes, ports, transport),) = _covered(section)
    assert (ports, transport, len(prefixes)) == ("8075-8084,9000-9009", Transport.TCP, 1)
    (host,) = [item for item in section.body.observations if item.target.kind is TargetKind.HOST]
    assert (host.values["closed"], host.values["filtered"]) == ("8075-8079,8081-8084", "9000-9009")


def test_a_real_scan_is_judged_and_kept_like_one_of_our_own(real: Path, tmp_path: Path) -> None:
    listed = tmp_path / "approved.csv"
    listed.write_text(
        "kind,value,transport,ports,owner,reason,approver,expires\nport,*,tcp,1,li,web,wang,\n", encoding="utf-8"
    )
    done = edusec("scan", "--import", real, "--whitelist", listed, "--json", "--fail-on", "none", "--diff")
    lines = json_lines(done)
    assert (done.returncode, done.stderr) == (0, "")
    (service,) = [line for line in lines if line["type"] == "service"]
    assert (service["port"], service["method"], service["standing"]) == (8080, "nmap", "unlisted")
    assert "unlisted-port" in {line["rule"] for line in lines if line["type"] == "finding"}
    assert json_lines(edusec("scan", "--last", "--json"))[0]["id"] == lines[0]["id"]
    # What nmap says can be compared with what nmap said.
    again = json_lines(edusec("scan", "--import", real, "--json", "--fail-on", "none", "--diff"))
    assert again[-1]["drift"] == {"against": 1}


def test_only_what_the_file_says_was_looked_at_is_covered() -> None:
    hosts = (
        _host(_port(1, "open") + _port(2, "open|filtered") + _port(3, "unfiltered"))
        + _host(_port(1, "open"), "10.0.0.2", extra=' timedout="true"')
        + _host("", "10.0.0.3", "down")
        + _host('<extraports state="open|filtered" count="8"><extrareasons reason="no-response" count="8" proto="tcp"/>'
                "</extraports>" + _port(4, "closed"), "10.0.0.4")
    )  # fmt: skip
    section = read_nmap(_file(hosts), "a.xml", LIMIT)
    assert _covered(section) == {
        (("10.0.0.1/32",), "1,4-9", Transport.TCP),
        (("10.0.0.4/32",), "4", Transport.TCP),
    }
    assert section.body is not None
    seen = {item.target.name for item in section.body.observations if item.outcome is Outcome.SEEN}
    assert seen == {"10.0.0.1", "10.0.0.2", "10.0.0.4"}
    assert all(item.method == "nmap" for item in section.body.observations)
    assert decode(Section, encode(section)) == section


def test_a_name_out_of_a_table_is_no_observation() -> None:
    guessed = '<service name="http" method="table" conf="3"/>'
    told = '<service name="http" product="nginx" version="1.2" method="probed" conf="10"><cpe>cpe:/a:x</cpe></service>'
    section = read_nmap(_file(_host(_port(1, "open", guessed) + _port(2, "open", told))), "a.xml", LIMIT)
    assert section.body is not None
    values = {item.target.port: item.values for item in section.body.observations if item.target.port}
    assert values[1] == {}
    assert values[2] == {"service": "http", "product": "nginx", "version": "1.2", "confidence": 1.0, "cpe": "cpe:/a:x"}


def test_what_is_known_of_systems_scripts_and_silent_udp_ports_is_kept() -> None:
    udp = '<scaninfo type="udp" protocol="udp" numservices="9" services="51-59"/>\n'
    quiet = '<extraports state="open|filtered" count="5"><extrareasons reason="x" count="5" proto="udp" ports="55-59"/>'
    script = '<script id="http-title" output=" Camera "><elem key="title">Camera</elem></script>'
    ports = (
        f"{quiet}</extraports>" + _port(1, "open", f'<service name="http" method="probed" tunnel="ssl"/>{script}')
        + _port(53, "open", protocol="udp") + _port(51, "closed", protocol="udp")
        + _port(52, "open|filtered", protocol="udp")
    )  # fmt: skip
    guesses = "".join(f'<osmatch name="{name}" accuracy="{sure}" line="1"/>' for name, sure in (("A", 91), ("B", 96)))
    card = '<address addr="0A:00:00:00:00:0B" addrtype="mac"/>'
    host = _host(ports).replace("<ports>", f"{card}<ports>").replace("</ports>", f"</ports><os>{guesses}</os>")
    section = read_nmap(_file(host, more=udp), "a.xml", LIMIT)
    assert section.body is not None
    values = {item.target.port: item.values for item in section.body.observations}
    assert values[None] == {
        "mac": "0a:00:00:00:00:0b", "system": "B", "system_confidence": 0.96, "closed_udp": "51",
    }  # fmt: skip
    assert values[1] == {"service": "http", "tunnel": "ssl", "script.http-title": "Camera"}
    assert _covered(section) == {
        (("10.0.0.1/32",), "1-9", Transport.TCP),
        (("10.0.0.1/32",), "51,53", Transport.UDP),
    }
    assert [(item.ports, item.transport) for item in section.body.silent] == [("52,55-59", Transport.UDP)]
    assert decode(Section, encode(section)) == section


def test_a_later_scan_by_the_same_arguments_follows_an_earlier_one(tmp_path: Path) -> None:
    with desk(tmp_path) as office:
        first = _file(_host(_port(1, "open")), args="nmap -oX a.xml -p 1-9 10.0.0.1")
        import_scan(office.core, office.admin, first, "a.xml", SCHOOL)
        office.clock.forward(3600)
        later = _file(_host(_port(2, "open")), at=office.clock.now, args="nmap -oX b.xml -p 1-9 10.0.0.1")
        result = import_scan(office.core, office.admin, later, "b.xml", SCHOOL)
        assert result.changed == 2
        states = {item.port: item.state for item in office.asset("10.0.0.1").services}
        assert states[2] == "open"
        with pytest.raises(BadFile, match="older than what the same arguments"):
            import_scan(office.core, office.admin, first, "a.xml", SCHOOL)
        office.clock.forward(8 * 86_400)
        with pytest.raises(BadFile, match="older than 7 days"):
            import_scan(office.core, office.admin, later, "b.xml", SCHOOL)
    assert series("nmap -oX a.xml -p 1 x") == series("nmap -p 1 -oN 'q' x".replace("'q'", "q")) != series("nmap -p 2 x")


def test_a_file_from_the_future_is_refused(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        with pytest.raises(BadFile, match="future"):
            import_scan(at.core, at.admin, _file(_host(_port(5, "open")), at=at.clock.now + 60), "f.xml", SCHOOL)
        assert at.assets() == ()


def test_many_hosts_with_all_ports_cost_what_the_file_is_long() -> None:
    closed = '<extraports state="closed"><extrareasons proto="tcp" ports="1-9,11-65535"/></extraports>'
    hosts = "".join(_host(closed, f"10.0.{part}.{last}") for part in range(60) for last in range(256))
    whole = _file(hosts).replace(b'services="1-9"', b'services="0-65535"')
    section = read_nmap(whole, "f.xml", LIMIT)  # port by port this would be a thousand million steps
    assert section.body is not None
    assert {seen.values["closed"] for seen in section.body.observations} == {"1-9,11-65535"}
    assert len(section.body.observations) == 60 * 256
    assert [item.ports for item in section.body.coverage] == ["0-65535"]


def test_more_single_ports_than_any_scan_lists_are_refused_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmap_xml, "MAX_PORTS", 3)
    some = "".join(f'<port protocol="tcp" portid="{port}"><state state="open"/></port>' for port in (1, 2))
    assert read_nmap(_file(_host(some)), "scan.xml", LIMIT)
    with pytest.raises(BadFile, match="more than 3 single ports"):
        read_nmap(_file(_host(some) + _host(some, "10.0.0.2")), "scan.xml", LIMIT)


def test_roles_and_units_hold(tmp_path: Path) -> None:
    def attempt(office: Desk, role: Role, unit: str) -> None:
        person = office.person(role, COUNTY)
        import_scan(office.core, person, _file(_host(_port(1, "open"))), "a.xml", unit)

    with desk(tmp_path) as office:
        with pytest.raises(Forbidden):
            attempt(office, Role.VIEWER, SCHOOL)
        with pytest.raises(NotFound):
            attempt(office, Role.OPERATOR, FAR_SCHOOL)
        attempt(office, Role.ADMIN, SCHOOL)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<nmaprun scanner="nmap" args="&b;" start="1"/>'
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a SYSTEM "file:///etc/passwd">]><nmaprun args="x">&a;</nmaprun>'
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"h\.xml:\d+:xml: "),
        (b"\x00\xff", r"h\.xml:\d+:xml: "),
        (BOMB.encode(), r"h\.xml:1:xml: .*entit"),
        (OUTSIDE.encode(), r"h\.xml:1:xml: .*entit"),
        (b"<x/>", r"h\.xml:1:xml: .*nmaprun"),
        (b"<nmaprun>" + b"<a>" * 5000, r"h\.xml:1:xml: "),
        (_file(_host(_port(1, "open")))[:-60], r"h\.xml:\d+:xml: "),
        (_file(_host(_port(99999, "open"))), r"h\.xml:5:port\.portid: '99999'"),
        (_file(_host(_port(1, "open"), "10.0.0.999")), r"h\.xml:5:address: '10\.0\.0\.999'"),
        (_file("").replace(b'services="1-9"', b'services="9-1"'), r"h\.xml:4:scaninfo\.services: "),
        (_file("").replace(b"start=", b"begin="), r"h\.xml:3:start: "),
        (HEAD.encode() + b'<nmaprun scanner="nmap" start="1"></nmaprun>', r"h\.xml:1:nmaprun: "),
        (b" " * (LIMIT + 1), r"h\.xml:0:file: "),
    ],
)
def test_every_fault_has_its_place(content: bytes, said: str) -> None:
    with pytest.raises(BadFile) as refusal:
        read_nmap(content, "h\x1b.xml", LIMIT)
    problems = said_in_english(refusal.value)
    assert any(re.search(said, problem) for problem in problems), problems
    assert not any("\x1b" in problem for problem in problems)


@given(place=st.integers(0, 900), text=st.binary(max_size=12))
def test_a_damaged_file_is_refused_or_read_and_never_more(place: int, text: bytes) -> None:
    whole = _file(_host(_port(1, "open") + _port(2, "closed")))
    place = min(place, len(whole))
    with contextlib.suppress(BadFile):
        section = read_nmap(whole[:place] + text + whole[place:], "h.xml", LIMIT)
        assert section.status in (RunStatus.DONE, RunStatus.PARTIAL)
        assert decode(Section, encode(section)) == section


def test_a_scan_that_was_made_from_the_internet_says_what_is_open_to_it(desk: Desk) -> None:
    public = "198.18.0.5"
    inside = _file(_host(_port(3389, "open") + _port(445, "open"), public), args="nmap -p 1-9999 inside")
    import_scan(desk.core, desk.admin, inside, "inside.xml", SCHOOL)
    assert desk.alerts("high-risk-port-internet") == []
    outside = _file(_host(_port(3389, "open"), public), args="nmap -p 1-9999 outside")
    import_scan(desk.core, desk.admin, outside, "outside.xml", SCHOOL, "internet")
    desk.core.tick()
    told = {found.port: found.exposure for found in desk.asset(f"ip:{public}").services}
    assert told == {3389: "internet", 445: "unknown"}  # 445: the file does not say that it was asked
    (alert,) = desk.alerts("high-risk-port-internet")
    assert alert.subject.label == f"{public}:3389/tcp"
    with pytest.raises(BadInput, match="vantage"):
        import_scan(desk.core, desk.admin, outside, "outside.xml", SCHOOL, "moon")
