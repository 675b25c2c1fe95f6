"""What comes back with an answer: the policy, and the responder it names."""

from pathlib import Path

import pytest

from agent import policy as policies
from agent.uplink.identity import Identity
from tests.agent.uplink.uplinks import Agent
from tests.support.fake_collector import UNIT, FakeCollector
from wire.errors import WireError
from wire.types import Policy, Responder, WhitelistEntry


def test_a_policy_arrives_with_its_head_apart(agent: Agent, collector: FakeCollector) -> None:
    entries = tuple(WhitelistEntry("host", f"10.0.{n // 250}.{n % 250}", "o", "r", "a") for n in range(3000))  # type: ignore[arg-type]
    policy = Policy("p1", UNIT, "n", 60, whitelist=entries, targets=("a.example",))
    collector.store.policy = policy
    agent.uplink.step()
    (kept,) = agent.policies
    assert kept.head == policies.head_of(policy)
    assert kept.file is not None
    assert policies.read_whole(kept.file) == policy
    agent.policy = "p1"
    agent.uplink.step()
    assert len(agent.policies) == 1


@pytest.mark.parametrize(("host", "kept"), [("127.0.0.1", True), ("192.0.2.1", False), ("localhost", False)])
def test_only_the_collectors_own_responder_is_used(
    agent: Agent, collector: FakeCollector, folder: Path, host: str, kept: bool
) -> None:
    collector.store.policy = Policy("p1", UNIT, "n", 60, responder=Responder(host, 8444, "ticket"))
    agent.uplink.step()
    adopted = agent.policies[0]
    assert adopted.file is not None
    stored = policies.read_whole(adopted.file)
    assert (adopted.head.responder is not None, stored.responder is not None) == (kept, kept)
    assert ("responder" in agent.problems.current()) is not kept


def test_a_policy_that_cannot_be_stored_leaves_the_one_before(
    agent: Agent, collector: FakeCollector, folder: Path
) -> None:
    collector.store.policy = Policy("p1", UNIT, "n", 60)
    agent.add("a")
    (folder / "policy.json.new").mkdir()
    agent.uplink.step()
    assert agent.policies == []
    assert "cannot be stored" in agent.problems.current()["policy"]
    assert agent.spool.waiting() == 0  # the report itself was taken
    (folder / "policy.json.new").rmdir()
    agent.uplink.step()
    assert [kept.head.digest for kept in agent.policies] == ["p1"]


def test_a_policy_file_that_is_damaged_counts_as_none(folder: Path, enrolled: Identity) -> None:
    policy = Policy("p1", UNIT, "n", 60, targets=("a.example",))
    policies.stage(folder, policy)
    assert policies.load(folder) == (policies.Kept(policies.NONE, None), "")  # not in force yet
    kept = policies.adopt(folder, policies.head_of(policy))
    assert kept.file is not None
    assert policies.load(folder) == (kept, "")
    assert policies.read_whole(kept.file) == policy
    whole = kept.file.read_bytes()
    for damaged in (whole[:-5] + b"x" + whole[-4:], b"{}", b"", b"\xff\n", whole[:-1]):
        kept.file.write_bytes(damaged)
        found, problem = policies.load(folder)
        assert found == policies.Kept(policies.NONE, None)
        assert str(kept.file) in problem
        with pytest.raises(WireError):
            policies.read_whole(kept.file)
