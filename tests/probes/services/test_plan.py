"""Which conversations are worth having at a port."""

from collections import Counter

from probes.kit.services.plan import OWN, protocols


def test_a_port_is_the_usual_one_of_one_protocol_at_most() -> None:
    claimed = Counter(port for module in protocols() for port in getattr(module, "PORTS", ()))
    assert claimed == Counter(OWN.keys())
    assert len(claimed) > 30
