"""Where Prometheus is sent to: an agent that was taken over must not choose what the data centre asks."""

from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from collector.errors import BadInput, Forbidden, NotFound
from collector.ingest.reports import submit
from collector.memory.directory import AgentIdentity
from collector.memory.people import Role
from collector.registry import agents, register, scrapes
from collector.settings import Scraping, Settings
from collector.store import migrate
from collector.store.sqlite import SqliteStore
from tests.support.collectors import FAR_SCHOOL, SCHOOL, Desk, desk
from tests.support.reports import host, state

GATE = "198.51.100.7"
"""The address that reports seem to come from: that of the school's NAT."""
SHEET = f"单位,类别,网段,责任人\n{SCHOOL},网段,10.1.0.0/16,王五\n{SCHOOL},网段,2001:db8:1::/48,王五\n"


def say(desk: Desk, agent: AgentIdentity, url: str, source: str = GATE) -> None:
    section = state("s", host("10.0.0.5"), at=desk.clock.now)
    report = desk.senders[agent.id].report(section, created=desk.clock.now, metrics_url=url)
    submit(desk.core, agent, report, desk.clock.now, source).result()


def shown(desk: Desk) -> tuple[str, str]:
    (agent,) = agents.list_agents(desk.core, desk.admin)
    return agent.scrape, "" if agent.scrape_reason is None else agent.scrape_reason.en


def told(desk: Desk) -> list[str]:
    return [f"{at.scheme}://{at.address}{at.path}" for at in scrapes.scrape_targets(desk.core)]


@pytest.fixture
def agent(desk: Desk) -> AgentIdentity:
    register.import_entries(desk.core, desk.admin, SHEET.encode(), "sites.csv")
    return desk.agent()


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"http://{GATE}:9917/metrics", f"http://{GATE}:9917/metrics"),
        (f"http://[::ffff:{GATE}]:9917", f"http://{GATE}:9917/metrics"),
        ("https://10.1.2.3:9917/metrics", "https://10.1.2.3:9917/metrics"),
        ("http://[2001:DB8:1::9]:9917/metrics", "http://[2001:db8:1::9]:9917/metrics"),
    ],
)
def test_the_agents_own_side_is_scraped(desk: Desk, agent: AgentIdentity, url: str, target: str) -> None:
    say(desk, agent, url)
    assert (shown(desk), told(desk)) == (("listed", ""), [target])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.2.0.1:9917/metrics", "neither where the report came from, 198.51.100.7, nor in a network"),
        ("http://169.254.169.254:9917/metrics", "neither where"),
        ("http://[fe80::1]:9917/metrics", "neither where"),
        (f"http://{GATE}:9093/metrics", "port 9093 is none of 9917"),
        ("http://10.1.2.3/metrics", "port 80 is none of 9917"),
        (f"http://{GATE}:9917/-/quit", "the path must be /metrics"),
        ("http://alertmanager.example:9917/metrics", "a name can lead anywhere"),
        ("http://2130706433:9917/metrics", "a name can lead anywhere"),
        ("http://0x7f.1:9917/metrics", "a name can lead anywhere"),
        (f"http://{GATE}@10.2.0.1:9917/metrics", "no http(s) address"),
        (f"http://{GATE}:0/metrics", "no http(s) address"),
        ("ftp://127.0.0.1/", "no http(s) address"),
        ("http://[::1", "no http(s) address"),
    ],
)
def test_anything_else_is_left_out_and_said(desk: Desk, agent: AgentIdentity, url: str, reason: str) -> None:
    say(desk, agent, url)
    state, why = shown(desk)
    assert (state, told(desk)) == ("refused", [])
    assert reason in why


def test_loopback_is_the_gateways_own_unless_the_report_came_from_there(desk: Desk, agent: AgentIdentity) -> None:
    for url in ("http://127.0.0.1:9917/metrics", "http://[::1]:9917/metrics", "http://localhost:9917/metrics"):
        say(desk, agent, url)
        assert (shown(desk), told(desk)) == (("local", ""), [])
    say(desk, agent, "http://127.0.0.1:9917/metrics", source="127.0.0.1")
    assert told(desk) == ["http://127.0.0.1:9917/metrics"]


def test_what_the_configuration_says(tmp_path: Path) -> None:
    rule = Scraping(ports="9917,9000-9010", networks=("192.0.2.0/24",), source=False)
    with desk(tmp_path, Settings(scraping=rule)) as made:
        agent = made.agent()
        say(made, agent, f"http://{GATE}:9917/metrics")  # behind a proxy this is the proxy's address
        assert shown(made)[0] == "refused"
        say(made, agent, "http://192.0.2.9:9005/metrics")
        assert told(made) == ["http://192.0.2.9:9005/metrics"]


def test_a_person_approves_one_address_and_the_agent_cannot_change_it(
    desk: Desk, agent: AgentIdentity, tmp_path: Path
) -> None:
    url = "https://gateway.school.example.edu.cn/own/metrics"
    operator = desk.person(Role.OPERATOR, SCHOOL)
    with pytest.raises(NotFound):
        scrapes.approve(desk.core, desk.person(Role.OPERATOR, FAR_SCHOOL), agent.id, url)
    with pytest.raises(Forbidden):
        scrapes.approve(desk.core, desk.person(Role.VIEWER, SCHOOL), agent.id, url)
    with pytest.raises(BadInput):
        scrapes.approve(desk.core, operator, agent.id, "https://user@gateway.school.example.edu.cn/metrics")
    scrapes.approve(desk.core, operator, agent.id, url)
    say(desk, agent, url)
    assert (shown(desk)[0], told(desk)) == ("approved", ["https://gateway.school.example.edu.cn:443/own/metrics"])
    say(desk, agent, url.replace("gateway", "elsewhere"))
    assert (shown(desk)[0], told(desk)) == ("refused", [])
    say(desk, agent, url)
    agents.revoke(desk.core, desk.admin, agent.id)
    assert told(desk) == []
    trail = desk.core.store.write(
        lambda turn: turn.rows("SELECT person, object FROM audit WHERE action = 'agent.metrics'")
    )
    assert trail == [(operator.name, agent.id)]


@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{1,20}(/.*)?", fullmatch=True))
def test_no_url_breaks_the_list(url: str) -> None:
    place = scrapes.place_of(url)
    if place is not None:
        assert place.address.isascii()
        assert place.address.isprintable()
        assert not set("@?# /\\") & set(place.address)


def test_an_upgrade_goes_on_scraping_what_it_scraped(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(migrate.FOLDER))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.exec_driver_sql("INSERT INTO unit VALUES ('u', 'u', 'county', NULL, 'u/', 'u', '', 0)")
        for name, url in (
            ("remote", "http://10.9.0.1:9000/metrics"),
            ("own", "http://127.0.0.1:9917/metrics"),
            ("cloud", "http://169.254.169.254:80/metrics"),
            ("odd", "http://10.9.0.1:9000/-/quit"),
        ):
            connection.exec_driver_sql("INSERT INTO agent VALUES (?, 'u', 'u', ?, ?, 0, NULL)", (name, name, name))
            connection.exec_driver_sql(
                "INSERT INTO agent_state VALUES ('u', ?, 0, 0, '', 1, 0, 0, ?, '[]')", (name, url)
            )
        connection.commit()
    engine.dispose()
    with closing(SqliteStore(path)) as store:
        found = dict(store.write(lambda turn: turn.rows("SELECT id, scrape FROM agent")))
    assert found == {"remote": "http://10.9.0.1:9000/metrics", "own": "", "cloud": "", "odd": ""}
