"""Which files of the gateway others may name: whoever took over the collector must not read what it likes."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import Config, TaskConfig
from agent.files import PLACES, forbidden, names_files
from agent.policy import NONE, Kept
from agent.probing.job import Job
from agent.probing.runner import perform
from agent.tasks import plan
from probes.kit import options, registry
from probes.kit.scope.model import Scope
from wire.types import RunStatus, Task


def test_a_task_of_the_collector_reads_no_file_that_the_gateway_does_not_allow(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    handed = Task("look", "traffic_ipv6", 60, {"source": "nft", "nft_file": str(secret)})
    policy = Kept(replace(NONE, tasks=(handed,)), None)
    config = Config()

    def job(config: Config) -> Job:
        return plan.job_of(plan.effective(config, policy.head)["look"], config, policy, Scope())

    section = perform(job(config)).packed.section
    assert (section.status, section.reason) == (RunStatus.CANNOT_RUN, job(config).refused)
    assert section.reason.startswith("not_accepted: [agent] files = [")
    assert str(secret) in section.reason
    # What the gateway's own operator writes is the operator's business, and so is what that one allows.
    own = TaskConfig(handed.name, handed.probe, handed.interval, handed.options)
    for allowed in (
        replace(config, tasks=(own,)),
        replace(config, files=(str(secret),)),
        replace(config, files=(f"{tmp_path}/",)),
    ):
        assert job(allowed).refused == ""


@pytest.mark.parametrize(
    ("path", "free"),
    [
        ("/etc/edusec/snmp.toml", True),
        ("/run/edusec/nft.json", True),
        ("", True),
        ("/etc/shadow", False),
        ("/etc/edusec/../shadow", False),
        ("/etc/edusec/state/identity.json", False),
        ("//etc/edusec/snmp.toml", False),
        ("/etc/edusec", False),
        ("etc/edusec/snmp.toml", False),
        ("snmp.toml", False),
    ],
)
def test_places(path: str, free: bool) -> None:
    assert (forbidden({"credentials": path}, PLACES) == "") is free
    assert (forbidden({"leases": (*PLACES[1:], path)}, PLACES) == "") is free
    assert forbidden({"ports": path, "disk": path, "targets": (path,)}, PLACES) == ""


def test_what_probes_read_by_themselves_is_allowed() -> None:
    for name in registry.names():
        for item in options.describe(registry.load(name)):
            if names_files(item.name):
                assert forbidden({item.name: item.default}, PLACES) == "", f"{name}: {item.name}"
