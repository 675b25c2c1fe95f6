"""Without a proven vantage point the probes of sites and zones send nothing and call nothing a failure."""

from pathlib import Path

import pytest

from probes.kit.ipv6.vantage.judge import LOOK_OUT, NET_CHECKS
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from tests.probes.rig import run
from wire.types import Outcome


@pytest.mark.parametrize("name", ["site_ipv6", "zone_ipv6"])
def test_a_blind_vantage_point_knows_nothing(name: str) -> None:
    net = Net(Scope())
    found = run(name, {"targets": ["www.school.example"], "resolvers": ["198.51.100.53"]}, net, seconds=20)
    assert net.sent == 0
    assert found.coverage == []
    assert found.observations or found.skipped
    assert {item.outcome for item in found.observations} <= {Outcome.UNKNOWN}


def test_a_vantage_point_that_nobody_configured_says_what_to_set() -> None:
    net = Net(Scope())
    found = run("vantage_ipv6", {"resolvers": ["198.51.100.53"], "nft_file": "/nonexistent"}, net, seconds=20)
    assert net.sent == 0
    by_id = {item.method: item for item in found.observations}
    assert tuple(by_id) == NET_CHECKS
    assert by_id["NET-SELF"].values["code"] == "no_gate_targets"
    assert {by_id[name].outcome for name in LOOK_OUT} == {Outcome.UNKNOWN}
    assert {by_id[name].values["code"] for name in LOOK_OUT} == {"no_ipv6"}


def test_traffic_that_nobody_counts_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "nft.json"
    for text in (None, "", "[]", '{"nftables": [{"counter": {}}]}', '{"nftables": {}}', "[" * 100_000):
        if text is not None:
            file.write_text(text, encoding="ascii")
        found = run("traffic_ipv6", {"interface": "nope", "nft_file": str(file)}, Net(Scope()), seconds=20)
        assert [item.method for item in found.observations] == ["TRF-SHARE", "TRF-USERS", "TRF-TREND"]
        assert {item.outcome for item in found.observations} == {Outcome.UNKNOWN}
        assert found.observations[0].values["code"] == "no_counters"
