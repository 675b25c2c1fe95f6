"""A collector for tests: a real store in a temporary folder, a clock that the test moves, a small unit tree."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from collector.alerts.queries import list_alerts
from collector.answers.views import Alert, Asset, Counts
from collector.ingest.reports import submit
from collector.inventory.lists.assets import list_assets
from collector.memory.directory import AgentIdentity
from collector.memory.people import Person, Role
from collector.metrics.stock import Stock
from collector.registry import agents, people, units, whitelist
from collector.running import Running, open_core
from collector.settings import Settings
from collector.store import migrate
from tests.support.reports import Sender
from wire.types import Answer, EnrolmentRequest, Section

START = 1_780_000_000.0
DAY = 86_400.0
INTERVAL = 300.0

TREE = """编码,名称,上级,区划
640000,宁夏回族自治区,,
640100,银川市,640000,
640104,兴庆区,640100,
640105,西夏区,640100,
2164000101,第一小学,640104,640104
3164000102,第二中学,640104,640104
2164000201,西夏小学,640105,640105
4164000301,宁夏示例大学,640100,640105
""".encode()
SCHOOL, OTHER_SCHOOL, FAR_SCHOOL, COUNTY = "2164000101", "3164000102", "2164000201", "640104"


class Clock:
    """The collector's time; the test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> float:
        self.now += seconds
        return self.now


class Desk:
    """A running collector, its administrator, and what tests do with both again and again."""

    def __init__(self, database: Path, settings: Settings, clock: Clock, **options: Any) -> None:
        self.clock = clock
        self.core: Running = open_core(database, settings, clock=clock, scheduled=False, **options)
        self.senders: dict[str, Sender] = {}
        if not self.core.directory.units:
            units.import_units(self.core, _root(), TREE, "tree.csv")
        self.admin = _root()

    def counts(self) -> Counts:
        """What the metrics would tell now."""
        return Stock().counts(self.core)

    def person(self, role: Role, unit: str | None, name: str = "") -> Person:
        token = people.add_person(self.core, name or f"{role}-{unit}", role, unit)
        found = people.authenticate(self.core, token)
        assert found is not None
        return found

    def agent(self, unit: str = SCHOOL, name: str = "gateway", vantage: str = "unknown") -> AgentIdentity:
        token = agents.create_token(self.core, self.admin, unit, 3600, vantage)
        made = agents.enrol(self.core, EnrolmentRequest(token.secret, name, "test"), self.clock.now)
        identity = agents.authenticate(self.core, made.credential)
        assert identity is not None
        self.senders[identity.id] = Sender(identity.id)
        return identity

    def send(self, agent: AgentIdentity, *sections: Section, **fields: Any) -> Answer:
        report = self.senders[agent.id].report(*sections, created=fields.pop("created", self.clock.now), **fields)
        return submit(self.core, agent, report, self.clock.now).result()

    def assets(self, q: str = "", under: str | None = None) -> tuple[Asset, ...]:
        return list_assets(self.core, self.admin, under, q, 500).items

    def asset(self, q: str) -> Asset:
        (found,) = self.assets(q)
        return found

    def alerts(self, rule: str | None = None, state: str | None = None) -> list[Alert]:
        return list_alerts(self.core, self.admin, None, state, rule)

    def whitelist(self, text: str, unit: str | None = SCHOOL) -> None:
        header = "kind,value,transport,ports,owner,reason,approver,expires\n"
        whitelist.import_entries(self.core, self.admin, (header + text).encode(), "list.csv", unit)
        self.core.tick()


@contextmanager
def desk(folder: Path, settings: Settings | None = None, clock: Clock | None = None, **options: Any) -> Iterator[Desk]:
    """A collector that is closed at the end."""
    made = Desk(folder / "collector.db", settings or Settings(), clock or Clock(), **options)
    try:
        yield made
    finally:
        made.core.close()


def old_schema(file: Path, revision: str) -> None:
    """Make an empty database as the release with this revision of the schema left it."""
    config = Config()
    config.set_main_option("script_location", str(migrate.FOLDER))
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


def _root() -> Person:
    return Person("root", "root", Role.ADMIN, None)
