"""Domains in scope as targets: asked of this machine's resolvers, over the same guarded layer as every probe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from ipaddress import ip_address
from typing import get_args

from edusec.exits import Stop
from edusec.lang import t
from edusec.scan.request.targets import Targets, outside
from probes.kit.errors import Refused
from probes.kit.exchange.resolve import Kind, lookup
from probes.kit.machine.neighbours import resolvers
from probes.kit.scope.addresses import Address, is_special
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from wire.types import ScopeEntry


@dataclass(frozen=True, slots=True)
class Resolved:
    """Targets without domains, and the scope entries that a domain lends to the public addresses behind it."""

    targets: Targets
    lent: tuple[ScopeEntry, ...]


def resolve(targets: Targets, scope: Scope, today: date) -> Resolved:
    """Resolve the domains among targets; raises Stop when one has no address, or one that must be authorised itself."""
    names = dict(targets.names)
    addresses: list[str] = []
    lent: list[ScopeEntry] = []
    net = Net(scope)
    for domain in targets.domains:
        for address in _ask(net, domain):
            if address in targets.excluded:
                continue
            if not scope.ports_of(address, today):
                # As in the kit: whoever controls a zone must not be able to aim at what is not public.
                if is_special(address):
                    raise Stop(outside([str(address)], scope, today))
                lent += _lend(domain, address, scope, today)
            names[str(address)] = domain
            addresses.append(str(address))
    plain = tuple(dict.fromkeys((*targets.prefixes, *addresses)))
    if not plain:
        raise Stop(t("排除之后没有剩下目标", "nothing is left of the targets once the excluded ones are out"))
    return Resolved(replace(targets, prefixes=plain, domains=(), names=names), tuple(lent))


def lend(names: Mapping[str, str], scope: Scope, today: date) -> tuple[ScopeEntry, ...]:
    """Give what the scope's domains lend today to addresses that they resolved to when a scan began."""
    found: list[ScopeEntry] = []
    for text, name in names.items():
        address = ip_address(text)
        if not scope.ports_of(address, today) and not is_special(address):
            found += _lend(name, address, scope, today)
    return tuple(found)


def _ask(net: Net, domain: str) -> Iterable[Address]:
    servers = resolvers()
    try:
        answers = [lookup(net, domain, kind, servers) for kind in get_args(Kind)]
    except Refused as refusal:
        raise Stop(
            t(
                f"{domain}：不在 hosts 文件里，而解析器不在授权范围内：{refusal}",
                f"{domain}: is not in the hosts file, and the resolver is outside the scope: {refusal}",
            )
        ) from None
    found = [address for answer in answers for address in answer.addresses]
    if not found:
        status = ", ".join(answer.status.value for answer in answers)
        raise Stop(t(f"{domain}：没有解析到地址（{status}）", f"{domain}: has no address ({status})"))
    return found


def _lend(domain: str, address: Address, scope: Scope, today: date) -> list[ScopeEntry]:
    return [
        replace(entry, value=str(address), reason=f"{domain}: {entry.reason}"[:256])
        for entry in scope.entries
        if Scope([entry]).domain_ports(domain, today)
    ]
