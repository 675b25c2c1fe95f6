"""What services say of themselves becomes alerts: one by one, together at the first scan, and never from silence."""

from datetime import UTC, datetime, timedelta

import pytest

from collector.memory.directory import AgentIdentity
from tests.support.collectors import DAY, INTERVAL, Desk
from tests.support.reports import covers, host, service, state, unchanged
from wire.types import Observation, Section, Value

ALL = covers("10.0.0.0/24", ports="1-65535")
RULE = "no-login-critical"


def redis(number: int, authentication: str = "none") -> Observation:
    return service(f"10.0.0.{number}", 6379, service="redis", product="Redis", authentication=authentication)


def scan(desk: Desk, agent: AgentIdentity, *said: Observation, task: str = "ports") -> Section:
    at = desk.clock.forward(INTERVAL)
    section = state(task, *(host(item.target.name) for item in said), *said, ALL, at=at)
    desk.send(agent, section)
    return section


def labels(desk: Desk, rule: str = RULE, *, baseline: bool = False) -> list[str]:
    return sorted(alert.subject.label for alert in desk.alerts(rule) if alert.baseline is baseline)


def test_what_the_first_scan_finds_is_one_alert_and_what_comes_later_its_own(desk: Desk) -> None:
    agent = desk.agent()
    scan(desk, agent, redis(1), redis(2), redis(3, "required"))
    (summary,) = desk.alerts(RULE)
    assert sorted(summary.evidence["examples"]) == ["10.0.0.1:6379/tcp", "10.0.0.2:6379/tcp"]
    scan(desk, agent, redis(1), redis(2), redis(3, "required"), redis(4))
    assert labels(desk) == ["10.0.0.4:6379/tcp"]
    (alert,) = [alert for alert in desk.alerts(RULE) if not alert.baseline]
    assert (alert.colour, alert.clause) == ("red", "GB/T 22239-2019 7.1.4.1 a")
    assert alert.evidence == {"state": "open", "login": "none", "service": "redis", "product": "Redis", "device": None}


def test_a_password_that_is_taken_away_is_news_and_one_that_is_set_resolves(desk: Desk) -> None:
    agent = desk.agent()
    scan(desk, agent, redis(1, "required"))
    scan(desk, agent, redis(1, "none"))
    assert labels(desk) == ["10.0.0.1:6379/tcp"]
    scan(desk, agent, redis(1, "required"))
    assert labels(desk) == []
    assert len(desk.alerts(RULE, "resolved")) == 1


def test_silence_neither_raises_nor_resolves(desk: Desk) -> None:
    agent = desk.agent()
    silent = service("10.0.0.1", 6379, identified=False)
    scan(desk, agent, silent)
    assert desk.alerts(RULE) == []
    scan(desk, agent, redis(1))
    assert len(desk.alerts(RULE)) == 1
    scan(desk, agent, silent)
    assert len(desk.alerts(RULE)) == 1
    # Another task sees the port and asks nothing: that says nothing either.
    scan(desk, agent, service("10.0.0.1", 6379), task="quick")
    scan(desk, agent, redis(1))
    scan(desk, agent, service("10.0.0.1", 6379, ttl=64), task="quick")
    assert len(desk.alerts(RULE)) == 1
    scan(desk, agent, redis(1, "required"))
    assert desk.alerts(RULE) == []


def web(number: int, last: datetime, self_signed: str = "no", **values: Value) -> Observation:
    first = last - timedelta(days=90)
    said = {"tls.version": "TLSv1.3", "tls.not_before": first.isoformat(), "tls.not_after": last.isoformat()}
    said["tls.self_signed"] = self_signed
    return service(f"10.0.0.{number}", 443, service="https", **said, **values)


def test_certificates_run_out_while_nothing_is_reported_but_that_all_is_as_it_was(desk: Desk) -> None:
    agent = desk.agent()
    start = datetime.fromtimestamp(desk.clock.now, UTC)

    def after(days: float) -> datetime:
        return start + timedelta(days=days)

    section = scan(
        desk, agent, web(1, after(17)), web(2, after(400)), web(3, after(-5)), web(4, after(3), "yes"), web(5, after(2))
    )
    desk.core.tick()
    first = (labels(desk, "certificate-expiring"), labels(desk, "certificate-expired", baseline=True))
    assert first == (["10.0.0.5:443/tcp"], ["2164000101 (1)"])

    def days_later(days: int) -> None:
        for _ in range(days):
            at = desk.clock.forward(DAY)
            desk.send(agent, unchanged(section, at))
            desk.core.tick()

    days_later(5)
    # The one that ran out since has an alert of its own, although the server was there at the first scan.
    assert labels(desk, "certificate-expiring") == ["10.0.0.1:443/tcp"]
    assert labels(desk, "certificate-expired") == ["10.0.0.5:443/tcp"]
    days_later(20)
    assert labels(desk, "certificate-expiring") == []
    assert labels(desk, "certificate-expired") == ["10.0.0.1:443/tcp", "10.0.0.5:443/tcp"]
    assert labels(desk, "certificate-expired", baseline=True) == ["2164000101 (1)"]
    scan(desk, agent, web(1, after(400)), web(2, after(400)), web(3, after(400)), web(5, after(400)))
    assert desk.alerts("certificate-expired") == []


def test_days_that_the_collector_was_not_running_are_made_up_for(desk: Desk) -> None:
    agent = desk.agent()
    last = datetime.fromtimestamp(desk.clock.now, UTC) + timedelta(days=17)
    section = scan(desk, agent, web(1, last))
    desk.core.tick()
    assert desk.alerts("certificate-expiring") == []
    at = desk.clock.forward(10 * DAY)
    desk.send(agent, unchanged(section, at))
    desk.core.tick()
    assert labels(desk, "certificate-expiring") == ["10.0.0.1:443/tcp"]


@pytest.mark.parametrize("hostile", [{"tls.not_after": "soon"}, {"tls.not_after": 7}, {"confidence": "much"}])
def test_values_that_are_no_such_thing_are_not_known(desk: Desk, hostile: dict[str, Value]) -> None:
    scan(desk, desk.agent(), service("10.0.0.1", 443, service="https", authentication="x" * 9, **hostile))
    assert [alert.rule for alert in desk.alerts() if alert.rule.startswith(("cert", "no-login"))] == []
