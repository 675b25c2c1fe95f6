"""The dated targets for IPv6: those of a province's plan and, where it has none in force, those set locally."""

from datetime import date

from collector.memory.directory import Node
from collector.settings import LocalTarget, Settings
from rules.data import Target, audience_of, profile_for, targets
from rules.model import Confidence, PolicyItem
from wire.text import Text

METRIC = "ipv6_ratio"
LOCAL = "local"
"""The item of a target that no plan sets."""


def target_of(settings: Settings, node: Node, today: date) -> Target | None:
    """Give the target that is in force for a unit: that of its province, else the local one of the nearest unit."""
    planned = profile_for(node.division_code, node.kind, today, node.code).get(METRIC)
    if planned is not None:
        return planned
    due = [item for item in settings.ipv6_targets if item.due <= today and _below(item, node)]
    nearest = max(due, key=lambda item: (_depth(item, node), item.due), default=None)
    return None if nearest is None else _as_target(nearest, node)


def next_target_of(settings: Settings, node: Node, today: date) -> Target | None:
    """Give the next target that comes into force for a unit; a local one only where the province's plan names none."""
    audience = audience_of(node.kind, node.code)
    coming = [
        target
        for target in targets()
        if target.metric == METRIC
        and target.province == node.division_code[:2]
        and audience in target.audience
        and target.due > today
    ]
    if not coming and METRIC not in profile_for(node.division_code, node.kind, today, node.code):
        coming = [_as_target(item, node) for item in settings.ipv6_targets if item.due > today and _below(item, node)]
    return min(coming, key=lambda target: target.due, default=None)


def _below(item: LocalTarget, node: Node) -> bool:
    return not item.unit or item.unit in node.path.split("/")


def _depth(item: LocalTarget, node: Node) -> int:
    return node.path.split("/").index(item.unit) + 1 if item.unit else 0


def _as_target(item: LocalTarget, node: Node) -> Target:
    meaning = Text("本地目标（省级方案未规定）", "local target (the province's plan sets none)")
    province = node.division_code[:2]
    source = PolicyItem(LOCAL, province, item.source, "", METRIC, meaning, Confidence.COMMON, value=None)
    return Target(province, (), METRIC, item.value, item.due, source)
