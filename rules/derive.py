"""Facts that follow from other facts, so that whoever builds a subject need not know the tables of the rules."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from rules.data import high_risk
from rules.facts import FactValue, Subject, SubjectKind

# RFC 1918, RFC 6598, RFC 4193: such an address is another machine elsewhere.
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address means another machine elsewhere: what is seen there is not seen from the internet."""
    return address.is_loopback or address.is_link_local or any(address in network for network in _PRIVATE)


def complete(subject: Subject) -> Mapping[str, FactValue]:
    """Give a subject's facts and what follows from them; a fact that is there already is never replaced."""
    if subject.kind is not SubjectKind.SERVICE:
        return subject.facts
    return {**_of_port(subject.facts), **_of_address(subject.facts), **subject.facts}


def _of_port(facts: Mapping[str, FactValue]) -> dict[str, FactValue]:
    port, transport = facts.get("port"), facts.get("transport")
    if type(port) is not int or not isinstance(transport, str):
        return {}
    risk = high_risk(port, transport)
    if risk is None:
        return {"port_risk": "none", "port_clear_text": False, "port_never_internet": False}
    return {
        "port_risk": risk.severity.name.lower(),
        "port_confidence": risk.confidence.value,
        "port_clear_text": risk.clear_text,
        "port_never_internet": risk.never_on_internet,
    }


def _of_address(facts: Mapping[str, FactValue]) -> dict[str, FactValue]:
    try:
        address = ip_address(str(facts.get("address")))
    except ValueError:
        return {}
    # What answers on loopback may answer elsewhere too: that is then a service of its own, with its own exposure.
    loopback = (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return {"exposure": "isolated_or_source_limited"} if loopback else {}
