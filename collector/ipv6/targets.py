"""The dated targets of a province's plan for IPv6."""

from datetime import date

from collector.registry.directory import Node
from rules.data import Target, audience_of, profile_for, targets

METRIC = "ipv6_ratio"


def target_of(node: Node, today: date) -> Target | None:
    """Give the target that is in force for a unit."""
    return profile_for(node.division_code, node.kind, today, node.code).get(METRIC)


def next_target_of(node: Node, today: date) -> Target | None:
    """Give the next target that comes into force for a unit."""
    audience = audience_of(node.kind, node.code)
    coming = (
        target
        for target in targets()
        if target.metric == METRIC
        and target.province == node.division_code[:2]
        and audience in target.audience
        and target.due > today
    )
    return min(coming, key=lambda target: target.due, default=None)
