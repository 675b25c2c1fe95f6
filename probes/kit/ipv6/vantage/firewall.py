"""Which TCP ports a stranger can open a connection to, by family: read off nftables, or seen in a paired scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.kit.ipv6.model import Check, Verdict, unknown
from probes.kit.machine.nft import MAX_DEPTH, Chain, Rule, Ruleset
from wire.types import Outcome

ALL = (1 << 65_536) - 2
"""A port set is one bit for each port; port 0 is none."""
_SHOWN = 20
_SETTLED = frozenset({Outcome.OPEN, Outcome.CLOSED, Outcome.FILTERED})
_FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}
_SETTLES = frozenset({"accept", "drop", "reject", "return", "jump", "goto", "vmap", "queue", "xt", "dnat"})
_DROPS = frozenset({"drop", "reject", "tarpit"})


@dataclass(slots=True)
class Reading:
    """What was made of chains: the ports that are open, and whether a part of them could not be judged."""

    open: int = ALL
    unclear: bool = False


def inbound(rules: Ruleset, hook: str, family: int, outside: frozenset[str] = frozenset()) -> Reading:
    """Say which ports a new TCP connection of a stranger comes through at a hook, where all chains must let it.

    `outside` are the interfaces that strangers come by; empty: any.
    """
    chains = {(chain.family, chain.table, chain.name): chain for chain in rules.chains}
    result = Reading()
    for chain in rules.chains:
        if chain.hook == hook and chain.family in _FAMILIES[family]:
            walk = _Walk(chains, family, outside)
            left = walk.through(chain, ALL, 0)
            if chain.policy != "drop":
                walk.open |= left
            result.open &= walk.open
            result.unclear = result.unclear or walk.unclear
    return result


def behind_nat(rules: Ruleset) -> int | None:
    """Give the ports that IPv4 forwards to the inside when addresses are translated; None where they are not."""
    translated, ports = False, 0
    for chain in rules.chains:
        if chain.family not in _FAMILIES[4]:
            continue
        for rule in chain.rules:
            words = {word for part in rule.expressions for word in part}
            if chain.hook == "postrouting" and words & {"masquerade", "snat"}:
                translated = True
            if "dnat" in words:
                ports |= _Walk({}, 4, frozenset()).match(rule)[0]
    return ports if translated else None


def by_rules(rules: Ruleset, *, router: bool, outside: frozenset[str] = frozenset()) -> Check:
    """NET-FW6 by the ruleset: ports that IPv6 lets in and IPv4 does not, to this machine and through a router."""
    told: list[str] = []
    unclear = False
    for hook in ("input", "forward") if router else ("input",):
        four, six = inbound(rules, hook, 4, outside), inbound(rules, hook, 6, outside)
        nat = behind_nat(rules) if hook == "forward" else None
        weaker = six.open & ~(four.open if nat is None else four.open & nat)
        unclear = unclear or four.unclear or six.unclear
        if weaker:
            why = " (IPv4 is behind NAT)" if nat is not None else ""
            told.append(f"rules, {hook}: open on IPv6 only: tcp {spell(weaker)}{why}")
    values = {"method": "rules"}
    if told:
        return Check("NET-FW6", Verdict.WARN if unclear else Verdict.FAIL, "fw_weaker", tuple(told), values)
    if unclear:
        return Check("NET-FW6", Verdict.UNKNOWN, "fw_unclear", (), values)
    return Check("NET-FW6", Verdict.PASS, "", (), values)


def by_scan(seen: Mapping[str, Mapping[int, tuple[Outcome, Outcome]]]) -> Check:
    """NET-FW6 by a paired scan: (IPv4, IPv6) of each port of each host; only what is settled on both sides counts."""
    told, settled = [], 0
    for host, ports in seen.items():
        for port, (four, six) in ports.items():
            if four in _SETTLED and six in _SETTLED:
                settled += 1
                if six is Outcome.OPEN and four is not Outcome.OPEN:
                    told.append(f"scan, {host} port {port}: IPv4 {four}, IPv6 open")
    values = {"method": "scan"}
    if told:
        return Check("NET-FW6", Verdict.FAIL, "fw_weaker", tuple(told), values)
    return Check("NET-FW6", Verdict.PASS, "", (), values) if settled else unknown("NET-FW6", "no_fw_source")


def spell(ports: int) -> str:
    """Write a port set as people do; a long one is cut."""
    found: list[str] = []
    port = 1
    while port < 65_536 and ports >> port and len(found) <= _SHOWN:
        rest = ports >> port
        port += (rest & -rest).bit_length() - 1
        end = port
        while ports >> (end + 1) & 1:
            end += 1
        found.append(str(port) if end == port else f"{port}-{end}")
        port = end + 1
    return ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")


class _Walk:
    """One way through chains for one family: `open` are the ports that were accepted."""

    def __init__(self, chains: Mapping[tuple[str, str, str], Chain], family: int, outside: frozenset[str]) -> None:
        self._chains, self._family, self._outside = chains, family, outside
        self.open, self.unclear = 0, False

    def through(self, chain: Chain, left: int, depth: int) -> int:
        """Apply the rules of a chain to the ports that are undecided so far; gives those that still are."""
        returned = 0
        for rule in chain.rules:
            ports, applies = self.match(rule)
            if not applies:
                continue
            for part in rule.expressions:
                ports &= left
                word = next(iter(part), "")
                if word == "vmap":
                    word, part = self._mapped(part["vmap"])
                if word == "accept":
                    self.open |= ports
                    left &= ~ports
                elif word in _DROPS:
                    left &= ~ports
                elif word == "return":
                    returned |= ports
                    left &= ~ports
                elif word in ("jump", "goto"):
                    name = str((part[word] or {}).get("target", ""))
                    target = self._chains.get((chain.family, chain.table, name))
                    if target is None or depth >= MAX_DEPTH:
                        self.unclear = True
                        continue
                    left = (left & ~ports) | self.through(target, ports, depth + 1)
                elif word in ("queue", "xt"):
                    self.unclear = True
        return left | returned

    def _mapped(self, vmap: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Give the verdict that a map holds for a stranger's new connection, or an empty word."""
        key, data = vmap.get("key") or {}, vmap.get("data")
        entries = data.get("set", ()) if isinstance(data, dict) else ()
        for value, verdict in entries:
            found = self._condition({"op": "==", "left": key, "right": value})
            if found == ALL and isinstance(verdict, dict):
                return next(iter(verdict), ""), verdict
            if found is not None:
                self.unclear = True
        return "", {}

    def match(self, rule: Rule) -> tuple[int, bool]:
        """Give the ports that a rule is about, and whether it concerns a stranger's new connection of this family."""
        ports = ALL
        if not any(word in _SETTLES for part in rule.expressions for word in part):
            return 0, False  # it only counts
        for part in rule.expressions:
            condition = part.get("match")
            if condition is None:
                continue
            found = self._condition(condition)
            if found is None:
                return 0, False
            ports &= found
        return ports, True

    def _condition(self, condition: Any) -> int | None:
        """Give the ports that one condition leaves, or None when it leaves nobody that matters here."""
        left, right, negated = condition.get("left") or {}, condition.get("right"), condition.get("op") == "!="
        meta = (left.get("meta") or {}).get("key")
        payload = left.get("payload") or {}
        if meta in ("nfproto", "protocol"):
            names = ("ipv4", "ip") if self._family == 4 else ("ipv6", "ip6")
            return ALL if _holds(right, names) is not negated else None
        if meta == "l4proto":
            return ALL if _holds(right, ("tcp", 6)) is not negated else None
        if meta in ("iif", "iifname"):
            ways = tuple(self._outside)
            inside = _holds(right, ("lo",)) or (bool(ways) and not _holds(right, ways))
            return ALL if inside is negated else None
        if meta in ("oif", "oifname"):  # what comes from outside leaves by another interface
            return ALL if _holds(right, tuple(self._outside)) is negated else None
        if (left.get("ct") or {}).get("key") == "state":
            return ALL if _holds(right, ("new",)) is not negated else None
        if payload.get("protocol") in ("ip", "ip6"):
            if payload["protocol"] != ("ip" if self._family == 4 else "ip6"):
                return None
            if payload.get("field") in ("protocol", "nexthdr"):
                return ALL if _holds(right, ("tcp", 6)) is not negated else None
            # A rule for some addresses only is not about a stranger; one for some destinations may be about anyone.
            return ALL if payload.get("field") == "daddr" or negated else None
        if payload.get("field") == "dport":
            if payload.get("protocol") not in ("tcp", "th"):
                return None
            ports = _ports(right)
            if ports is None:
                self.unclear = True
                return None
            return ALL & ~ports if negated else ports
        if payload.get("protocol") in ("icmp", "icmpv6", "udp", "sctp", "dccp", "igmp", "esp", "ah"):
            return None
        self.unclear = True
        return None


def _holds(right: Any, names: Sequence[object]) -> bool:
    items = right.get("set", ()) if isinstance(right, dict) else right if isinstance(right, list) else (right,)
    return any(item in names for item in items if isinstance(item, str | int))


def _ports(right: Any) -> int | None:
    if isinstance(right, dict) and "set" in right:
        found = 0
        for item in right["set"]:
            part = _ports(item)
            if part is None:
                return None
            found |= part
        return found
    if isinstance(right, dict) and "range" in right:
        low, high = right["range"]
        if isinstance(low, int) and isinstance(high, int) and 0 <= low <= high < 65_536:
            return ((1 << (high + 1)) - (1 << low)) & ALL
        return None
    if isinstance(right, int) and 0 < right < 65_536:
        return 1 << right
    return None
