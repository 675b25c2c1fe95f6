"""What the checks of routers and servers on a link say, as pure functions of what was heard; no network, no clock.

Silence proves little: what was not asked for may come any minute (RFC 4861 lets a router wait for half an hour), so
silence gives "unknown". A router has to answer a solicitation within seconds, so what came then is all there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from probes.kit.ipv6.lan.messages import Advertisement, HeardOnLink, Prefix, Server
from probes.kit.ipv6.lan.write import CONTROL
from probes.kit.ipv6.model import Check, Verdict, unknown
from wire.text import TextError
from wire.types import Value
from wire.whitelist import normal_mac

GLOBAL, LOCAL = IPv6Network("2000::/3"), IPv6Network("fc00::/7")
NO_SERVERS = "none"
"""The word of the allow list of DHCPv6 servers for "there must be none"."""
_RIGHT_LENGTH = 64


@dataclass(frozen=True, slots=True)
class KnownRouter:
    """A router of the allow list; without `mac` any hardware address may have this one."""

    address: str
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a link is held against: known routers, DUIDs of known DHCPv6 servers (None: no list), wanted flags."""

    routers: tuple[KnownRouter, ...] = ()
    servers: frozenset[str] | None = None
    flags: str = ""

    def router(self, heard: Advertisement) -> bool:
        """Tell whether an advertisement is from a known router; this machine's own always is."""
        return heard.own or any(
            known.address == heard.source and known.mac in ("", normal_mac(heard.mac)) for known in self.routers
        )

    def server(self, heard: Server) -> bool:
        """Tell whether a DHCPv6 server is known, by its DUID alone: a MAC can be anybody's."""
        return heard.own or (self.servers is not None and heard.duid in self.servers)


def parse_routers(texts: Sequence[str]) -> tuple[KnownRouter, ...]:
    """Read `fe80::1` or `fe80::1 02:00:00:00:00:01`; raises TextError naming the faulty one."""
    found = []
    for text in texts:
        address, _, mac = text.strip().partition(" ")
        plain = normal_mac(mac) if mac else ""
        try:
            parsed = IPv6Address(address)
        except ValueError:
            parsed = None
        if parsed is None or not parsed.is_link_local or parsed.scope_id or (mac and not plain):
            raise TextError(
                f"{text[:64]!r} 不是链路本地地址，其后可加 MAC：fe80::1 02:00:00:00:00:01",
                f"{text[:64]!r} is no link-local address, alone or with a MAC: fe80::1 02:00:00:00:00:01",
            )
        found.append(KnownRouter(str(parsed), plain))
    return tuple(found)


def parse_servers(texts: Sequence[str]) -> frozenset[str] | None:
    """Read DUIDs in hexadecimal, with or without colons, or `none`; None for an empty list. Raises TextError."""
    found = set()
    for text in texts:
        word = text.strip().lower()
        if word == NO_SERVERS:
            continue
        try:
            duid = bytes.fromhex(word.replace(":", "").replace("-", ""))
        except ValueError:
            duid = b""
        if not 3 <= len(duid) <= 130:
            raise TextError(
                f"{text[:64]!r} 不是十六进制的 DUID（如 00:03:00:01:02:00:00:00:00:01），也不是 none",
                f"{text[:64]!r} is no DUID in hexadecimal, such as 00:03:00:01:02:00:00:00:00:01, nor none",
            )
        found.add(duid.hex())
    return frozenset(found) if texts else None


def believed(heard: HeardOnLink, allowed: Allowed) -> tuple[Advertisement, ...]:
    """Give the advertisements that the link is judged by: of known routers where there is a list, and none hidden."""
    return tuple(
        item
        for item in heard.advertisements
        if not item.through and (not allowed.routers or allowed.router(item))
    )  # fmt: skip


def advertised(heard: HeardOnLink, allowed: Allowed) -> Check:
    """LAN-RA: valid advertisements with a lifetime and a /64 pass; silence is unknown, never a failure."""
    found = believed(heard, allowed)
    if not found:
        return unknown("LAN-RA", _silence(heard))
    good = [item for item in found if not item.flaw]
    prefixes = _prefixes(good)
    values: dict[str, Value] = {
        "routers": tuple(sorted({item.source for item in good})),
        "prefixes": tuple(sorted({item.prefix for item in prefixes})),
        "lifetime": max((item.lifetime for item in good), default=0),
        "pref64": tuple(sorted({prefix for item in good for prefix in item.pref64})),
    }
    bad = [item for item in found if item.flaw]
    if bad:
        code = "ra_hops" if all(item.flaw == "hop limit" for item in bad) else "ra_malformed"
        told = tuple(f"{_who(item)}: {item.flaw}, hop limit {item.hops}" for item in bad)
        return Check("LAN-RA", Verdict.FAIL, code, told, values)
    told = tuple(dict.fromkeys(_describe(item) for item in good))
    if not any(item.lifetime for item in good):
        return Check("LAN-RA", Verdict.FAIL, "ra_lifetime", told, values)
    if any(item.autonomous and _length(item) != _RIGHT_LENGTH for item in prefixes):
        return Check("LAN-RA", Verdict.FAIL, "ra_prefix", told, values)
    if not prefixes:
        managed = any(item.managed for item in good)
        return Check("LAN-RA", Verdict.WARN if managed else Verdict.FAIL, "ra_no_prefix", told, values)
    return Check("LAN-RA", Verdict.PASS, "", told, values)


def mode(heard: HeardOnLink, allowed: Allowed) -> Check:
    """LAN-MODE: the flags M, O (of the advertisement) and A (of a prefix) are those wanted; with M, O says nothing."""
    found = [item for item in believed(heard, allowed) if not item.flaw]
    if not found:
        return unknown("LAN-MODE", _silence(heard))
    seen = {
        "M": any(item.managed for item in found),
        "O": any(item.other for item in found),
        "A": any(prefix.autonomous for prefix in _prefixes(found)),
    }
    flags = "".join(flag for flag, is_set in seen.items() if is_set)
    told, values = (f"flags {flags or 'none'}",), {"flags": flags}
    if not seen["M"] and not seen["A"]:
        return Check("LAN-MODE", Verdict.WARN, "mode_none", told, values)
    if not allowed.flags:
        return Check("LAN-MODE", Verdict.INFO, "mode_no_policy", told, values)
    ignored = "O" if "M" in allowed.flags and seen["M"] else ""
    if set(flags) - set(ignored) != set(allowed.flags) - set(ignored):
        return Check("LAN-MODE", Verdict.FAIL, "mode_differs", (*told, f"wanted {allowed.flags}"), values)
    return Check("LAN-MODE", Verdict.PASS, "", told, values)


def unique_local(heard: HeardOnLink, allowed: Allowed) -> Check:
    """LAN-ULA: a global prefix passes, unique local ones only (RFC 4193) warn."""
    found = [item for item in believed(heard, allowed) if not item.flaw]
    prefixes = [IPv6Network(item.prefix) for item in _prefixes(found)]
    told = tuple(sorted({str(prefix) for prefix in prefixes}))
    if any(prefix.subnet_of(GLOBAL) for prefix in prefixes):
        return Check("LAN-ULA", Verdict.PASS, "", told)
    if any(prefix.subnet_of(LOCAL) for prefix in prefixes):
        return Check("LAN-ULA", Verdict.WARN, "ula_only", told)
    return unknown("LAN-ULA", "ra_no_prefix" if found else _silence(heard))


def rogue_router(heard: HeardOnLink, allowed: Allowed) -> Check:
    """LAN-ROGUERA: any advertisement from outside the allow list fails; only a link that was asked can pass."""
    told = tuple(dict.fromkeys(_describe(item) for item in heard.advertisements))
    if not allowed.routers:
        return unknown("LAN-ROGUERA", "no_router_list", *told)
    rogue = [item for item in heard.advertisements if not allowed.router(item)]
    if rogue:
        shown = tuple(dict.fromkeys(f"{_describe(item)}{_spoofed(item, allowed)}" for item in rogue))
        return Check("LAN-ROGUERA", Verdict.FAIL, "rogue_ra", shown)
    return _clean("LAN-ROGUERA", heard)


def hidden_router(heard: HeardOnLink) -> Check:
    """LAN-RAEXT: an advertisement behind extension headers or fragments fails, a hidden header chain warns."""
    behind = [item for item in heard.advertisements if item.through and not item.own]
    if behind:
        told = tuple(dict.fromkeys(f"{_who(item)}: behind {', '.join(item.through)}" for item in behind))
        return Check("LAN-RAEXT", Verdict.FAIL, "ra_ext", told)
    if heard.hidden:
        return Check("LAN-RAEXT", Verdict.WARN, "ra_hidden", heard.hidden)
    return _clean("LAN-RAEXT", heard)


def rogue_server(heard: HeardOnLink, allowed: Allowed) -> Check:
    """LAN-ROGUEDHCP6: a server whose DUID is not on the list fails; no answer proves nothing."""
    told = tuple(dict.fromkeys(_serves(item) for item in heard.servers))
    if allowed.servers is None:
        return unknown("LAN-ROGUEDHCP6", "no_dhcp_list", *told)
    rogue = [item for item in heard.servers if not allowed.server(item)]
    if rogue:
        return Check("LAN-ROGUEDHCP6", Verdict.FAIL, "rogue_dhcp6", tuple(dict.fromkeys(map(_serves, rogue))))
    if not heard.servers or not heard.asked:
        return unknown("LAN-ROGUEDHCP6", "dhcp_silent" if heard.asked else "dhcp_unasked", *told)
    if not heard.complete:
        return unknown("LAN-ROGUEDHCP6", "flooded", *told)
    return Check("LAN-ROGUEDHCP6", Verdict.PASS, "", told)


def name_servers(heard: HeardOnLink, allowed: Allowed) -> dict[str, str]:
    """Give the DNS servers that hosts of the link learn, each with where it came from."""
    found: dict[str, str] = {}
    for item in believed(heard, allowed):
        if not item.flaw:
            found |= dict.fromkeys(item.dns, "RDNSS")
    for server in heard.servers:
        if allowed.servers is None or allowed.server(server):
            found = {**dict.fromkeys(server.dns, "DHCPv6"), **found}
    return found


def dns_servers(heard: HeardOnLink, allowed: Allowed, answers: Mapping[str, tuple[bool | None, str]]) -> Check:
    """LAN-RDNSS: of the DNS servers announced all answer / some / none; None for one that could not be asked."""
    told = tuple(
        f"{server} ({origin}): {answers[server][1]}" for server, origin in name_servers(heard, allowed).items()
    )
    if not told:
        found = [item for item in believed(heard, allowed) if not item.flaw]
        if not found:
            return unknown("LAN-RDNSS", _silence(heard))
        if any(item.managed or item.other for item in found) and not heard.servers:
            return unknown("LAN-RDNSS", "dhcp_silent" if heard.asked else "dhcp_unasked")
        return Check("LAN-RDNSS", Verdict.FAIL, "rdnss_none", tuple(dict.fromkeys(_who(item) for item in found)))
    said = [answered for answered, _ in answers.values()]
    if all(answered is True for answered in said):
        return Check("LAN-RDNSS", Verdict.PASS, "", told)
    if False not in said:
        return unknown("LAN-RDNSS", "out_of_scope", *told)
    if True in said:
        return Check("LAN-RDNSS", Verdict.WARN, "rdnss_partly", told)
    if None in said:
        return unknown("LAN-RDNSS", "out_of_scope", *told)
    return Check("LAN-RDNSS", Verdict.FAIL, "rdnss_silent", told)


def guard(sent_on: HeardOnLink | None, arrived_on: HeardOnLink | None) -> Check:
    """LAN-RAGUARD: of the test's packets only the control may arrive; without it the test says nothing."""
    if sent_on is None or arrived_on is None:
        return unknown("LAN-RAGUARD", "guard_off")
    told = tuple(f"{sent_on.interface} to {arrived_on.interface}: {name}" for name in arrived_on.guard)
    if not sent_on.guard_sent or CONTROL not in arrived_on.guard:
        return unknown("LAN-RAGUARD", "guard_no_path", *told)
    through = [name for name in arrived_on.guard if name != CONTROL]
    if not through:
        return Check("LAN-RAGUARD", Verdict.PASS, "", told)
    return Check("LAN-RAGUARD", Verdict.FAIL, "guard_missing" if "plain" in through else "guard_evaded", told)


def _clean(name: str, heard: HeardOnLink) -> Check:
    told = tuple(dict.fromkeys(_describe(item) for item in heard.advertisements))
    if not heard.complete:
        return unknown(name, "flooded", *told)
    if not heard.advertisements:
        return unknown(name, _silence(heard))
    if not heard.asked:
        return unknown(name, "ra_listened", *told)
    return Check(name, Verdict.PASS, "", told)


def _silence(heard: HeardOnLink) -> str:
    return "ra_silent" if heard.asked else "ra_unasked"


def _prefixes(found: Sequence[Advertisement]) -> list[Prefix]:
    return [prefix for item in found for prefix in item.prefixes if prefix.valid]


def _length(prefix: Prefix) -> int:
    return IPv6Network(prefix.prefix).prefixlen


def _who(item: Advertisement) -> str:
    return f"{item.source} {item.mac}" + (" (this machine)" if item.own else "")


def _describe(item: Advertisement) -> str:
    """Say who announces what; no lifetimes, which count down on some routers and would change with every run."""
    flags = "".join(flag for flag, is_set in (("M", item.managed), ("O", item.other)) if is_set)
    prefixes = [f"{prefix.prefix}{' A' if prefix.autonomous else ''}" for prefix in item.prefixes]
    parts = [*prefixes, *(f"DNS {server}" for server in item.dns), *(f"PREF64 {prefix}" for prefix in item.pref64)]
    if flags:
        parts.insert(0, f"flags {flags}")
    return f"{_who(item)}: {', '.join(parts) or 'no prefix'}"


def _spoofed(item: Advertisement, allowed: Allowed) -> str:
    """Point out that somebody uses the address of a known router."""
    return " (address of a known router)" if any(known.address == item.source for known in allowed.routers) else ""


def _serves(item: Server) -> str:
    dns = f", DNS {', '.join(item.dns)}" if item.dns else ""
    return f"DUID {item.duid} {item.source} {item.mac}{dns}"
