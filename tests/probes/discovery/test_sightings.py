"""What is told of many addresses: a host that answers for others hides none of them, and makes none absent."""

from ipaddress import IPv4Address, ip_network

import pytest

from probes import discovery
from probes.kit.discovery.area import Area
from probes.kit.discovery.look import Look, Settled
from probes.kit.discovery.sightings import Sightings
from tests.probes.rig import net_of
from wire.types import Coverage, Observation, Skipped


def test_who_claims_all_addresses_hides_no_other_and_makes_none_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_MOST_OBSERVATIONS", 12)
    seen, asked = Sightings(), [IPv4Address(f"198.18.0.{number}") for number in range(1, 31)]
    for number, address in enumerate(asked, 1):
        if number % 10:
            seen.see(address, "arp", mac="02:00:00:00:00:66", interface="eth0")
    honest = asked[9::10]
    for number, address in enumerate(honest):
        seen.see(address, "arp", mac=f"02:00:00:00:00:0{number}", interface="eth0")
    options = discovery.Options(methods=("arp",))
    look = Look(net_of(), (), Area(), 0.0, seen, Settled(addresses=asked))
    found = list(discovery.report(options, look))
    told = {IPv4Address(item.target.name) for item in found if isinstance(item, Observation)}
    covered = {
        address
        for item in found
        if isinstance(item, Coverage)
        for prefix in item.prefixes
        for address in ip_network(prefix)
    }
    assert len(told) == 12
    assert {*honest} <= told == covered
    assert any(isinstance(item, Skipped) and item.reason.startswith("too_large") for item in found)
