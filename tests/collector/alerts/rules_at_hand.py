"""Three rules of our own about open ports, and scans that they match or do not."""

from pathlib import Path

from collector.memory.directory import AgentIdentity
from tests.support.collectors import Desk
from tests.support.reports import covers, host, service, state
from wire.types import Section

RULE = """
id = "test-{name}"
title.zh = "测试"
title.en = "test"
select = "{select}"
severity = "medium"
{extra}
control = {{ 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }}
remedy.zh = "做点什么"
remedy.en = "do something"

[when]
{when}

[[example]]
facts = {{ {match} }}
verdict = "match"

[[example]]
facts = {{ {other} }}
verdict = "no_match"
"""


def pack(folder: Path) -> Path:
    """Rules of our own, so that these tests do not depend on the shipped ones."""
    made = folder / "pack"
    made.mkdir()
    open_port = {"select": "service", "match": 'state = "open", port = {0}', "other": 'state = "closed", port = {0}'}
    for name, port, extra in (("now", 5001, ""), ("held", 5002, 'for = "1h"'), ("drift", 5003, "drift = true")):
        fields = {key: value.format(port) for key, value in open_port.items()}
        (made / f"test-{name}.toml").write_text(
            RULE.format(name=name, extra=extra, when=f'state = "open"\nport = {port}', **fields), encoding="utf-8"
        )
    return made


def scan(desk: Desk, *open_ports: int, closed: tuple[int, ...] = (), name: str = "10.0.0.5") -> Section:
    return state(
        "ports",
        host(name, closed=closed),
        *(service(name, port) for port in open_ports),
        covers("10.0.0.0/24", ports="1-10000"),
        at=desk.clock.now,
    )


def opened(desk: Desk, agent: AgentIdentity, *ports: int) -> None:
    desk.send(agent, scan(desk, *ports))


def shut(desk: Desk, agent: AgentIdentity, *ports: int) -> None:
    desk.send(agent, scan(desk, closed=ports))
