"""Without a proven vantage point the probes of sites and zones send nothing and call nothing a failure."""

import pytest

from probes.kit.net import Net
from probes.kit.scope import Scope
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
