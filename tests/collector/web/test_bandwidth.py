"""The agent's own bandwidth probe against the collector's own responder, both as they ship."""

from collections.abc import Callable
from pathlib import Path

from agent.uplink.enrol import enrol
from tests.collector.web.door import SCHOOL, Door
from tests.support.gateway import Gateway
from tests.support.processes import Processes, wait_until


def test_an_agent_measures_to_its_collector(make_door: Callable[..., Door], tmp_path: Path, process: Processes) -> None:
    door = make_door()
    gateway = Gateway(tmp_path, process)
    enrol(gateway.state, door.url, door.token())
    gateway.configure('[[task]]\nname = "speed"\nprobe = "bandwidth"\ninterval = 5\n')
    gateway.run("--now")
    path = f"/api/v1/measurements?unit={SCHOOL}&probe=bandwidth"

    def methods() -> set[str]:
        return {item["method"] for item in door.get(path)["items"] if item["outcome"] == "measured"}

    # The first run may come before the first policy, which says where the responder is.
    wait_until(lambda: bool(methods()), "a measurement arrived", seconds=90)
    for item in door.get(path)["items"]:
        if item["outcome"] == "measured":
            rates = {key: value for key, value in item["values"].items() if key.endswith("_bps")}
            assert rates, item
            assert all(value > 0 for value in rates.values()), item
    directions = {line.split("direction=")[1].split()[0] for line in door.log.splitlines() if "direction=" in line}
    assert directions == {"download", "upload"}
