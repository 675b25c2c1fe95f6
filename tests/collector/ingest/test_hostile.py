"""Whatever decodes is taken in: odd names, odd coverage, odd values; and every answer about it can be given."""

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.alerts.queries import list_alerts
from collector.inventory.lists.assets import list_assets, show_asset
from collector.inventory.lists.measurements import list_measurements
from collector.inventory.lists.sites import list_sites
from collector.registry import agents, scrapes
from collector.registry.whitelist import review
from tests.support.collectors import Desk, desk
from tests.wire import messages as m
from wire.digest import section_digest
from wire.types import (
    Body,
    Coverage,
    Observation,
    Outcome,
    RunStatus,
    ScopeEntry,
    Section,
    SectionKind,
    Target,
    TargetKind,
    Transport,
)

NAMES = st.sampled_from(
    ["10.0.0.5", "10.0.0.6", "::1", "0.0.0.0", "fe80::1%eth0", "::ffff:10.0.0.5", "a|b", "", "|", "h|x|tcp|22", "校门"]
)
MACS = st.sampled_from(["00:16:3e:00:00:01", "02:00:00:00:00:01", "00-16-3E-00-00-01", "x", ""])
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "mac": MACS | st.integers() | st.none(),
        "closed": st.sampled_from(["22", "1-65535", "", "x", "22,,", "99999"]) | st.booleans(),
        "filtered": st.sampled_from(["22", "80-90"]),
        "name": st.text(max_size=5),
        "ipv6": st.sampled_from(["pass", "fail", "maybe"]) | st.floats(allow_nan=False, allow_infinity=False),
        "aaaa": st.booleans() | st.text(max_size=2),
        "product": st.text(max_size=5) | st.integers(-9, 9),
    },
)
SEEN = st.builds(
    Observation,
    st.sampled_from(["open_ports", "asset_whitelist", "ipv6_reachability"]),
    st.just("x"),
    st.builds(
        Target,
        st.sampled_from(TargetKind),
        NAMES,
        st.none() | st.sampled_from([0, 22, 80, 65535]),
        st.none() | st.sampled_from(Transport),
    ),
    st.sampled_from(Outcome),
    st.just(0.0),
    VALUES,
)
COVERED = st.builds(
    Coverage,
    st.lists(st.sampled_from(["10.0.0.0/24", "::/0", "0.0.0.0/0", "::1/128", "x", "10.0.0.5/99"]), max_size=3).map(
        tuple
    ),
    st.sampled_from([4, 6]),
    st.sampled_from(["", "22", "1-65535"]),
    st.none() | st.sampled_from(Transport),
)
BODIES = st.builds(Body, st.lists(SEEN, max_size=8).map(tuple), st.lists(COVERED, max_size=3).map(tuple)) | m.messages(
    Body
)


LIVING = "(SELECT id FROM asset WHERE merged_into IS NULL)"
ORPHANS = {
    "a host that belongs to no asset": "SELECT * FROM sighting WHERE key LIKE 'h|%' AND subject NOT IN LIVING",
    "a port that belongs to no service": (
        "SELECT * FROM sighting WHERE key LIKE 's|%' AND subject NOT IN (SELECT id FROM service)"
    ),
    "a site that nobody knows": "SELECT * FROM sighting WHERE key LIKE 'w|%' AND subject NOT IN (SELECT id FROM site)",
    "a service of no asset": (
        "SELECT * FROM service WHERE asset NOT IN LIVING AND id IN (SELECT subject FROM sighting)"
    ),
    "evidence for no asset": "SELECT * FROM evidence WHERE asset NOT IN LIVING",
    "an alert that stands for what is gone": (
        "SELECT * FROM alert WHERE kind = 'asset' AND state <> 'resolved' AND subject NOT IN LIVING"
    ),
    "a state that is no state": (
        "SELECT * FROM service WHERE state NOT IN ('open', 'closed', 'filtered', 'open_filtered', 'unknown')"
    ),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("hostile")) as made:
        made.whitelist("host,10.0.0.5,,,o,r,a,\nport,*,tcp,22,o,r,a,\ndomain,*.cn,,,o,r,a,\n".replace("*.cn", "*.x.cn"))
        yield made


numbers = itertools.count()


@settings(max_examples=100)
@given(
    st.lists(st.tuples(BODIES, st.sampled_from(SectionKind), st.sampled_from(RunStatus)), min_size=1, max_size=4),
    m.messages(ScopeEntry),
    st.floats(0, 253402300799),
    st.sampled_from(["", "http://127.0.0.1:1/", "http://[", "\x00"]),
)
def test_whatever_decodes_is_taken_in(
    shared: Desk,
    parts: list[tuple[Body, SectionKind, RunStatus]],
    scope: ScopeEntry,
    created: float,
    url: str,
) -> None:
    known = list(shared.core.directory.agents.values())
    agent = known[next(numbers) % 3].identity if len(known) >= 3 else shared.agent(name=f"agent {next(numbers)}")
    shared.clock.forward(60)
    sections = [
        Section("p", "p", kind, status, section_digest("p", status, "", body), created, created / 2, "", body)
        for body, kind, status in parts
    ]
    shared.send(agent, *sections, created=created, scope=(scope,), metrics_url=url)
    shared.core.tick()
    items = list_assets(shared.core, shared.admin, None, "", 500).items
    for answer in (
        items,
        [show_asset(shared.core, shared.admin, asset.id) for asset in items[-3:]],
        list_sites(shared.core, shared.admin),
        list_measurements(shared.core, shared.admin, limit=50),
        list_alerts(shared.core, shared.admin, None, "all"),
        agents.list_agents(shared.core, shared.admin),
        scrapes.scrape_targets(shared.core),
        review(shared.core, shared.admin),
    ):
        msgspec.json.encode(answer)
    assert all(asset.first_seen.timestamp() <= shared.clock.now for asset in items)
    at_hand = shared.core.sections._pictures
    stored = {
        (section, *row)
        for section, *row in shared.core.store.write(
            lambda turn: turn.rows("SELECT section, key, state, detail, missed_from FROM sighting")
        )
    }
    assert {(section, *row) for section, known in at_hand.items() for row in known} == {
        row for row in stored if row[0] in at_hand
    }
    for what, sql in ORPHANS.items():
        assert shared.core.store.write(lambda turn, sql=sql: turn.rows(sql.replace("LIVING", LIVING))) == [], what
