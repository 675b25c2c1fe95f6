"""Builds the subjects that rules judge, from what the store holds now; what is not known is left out.

On the way it brings the whitelist verdict that is kept with each asset, service and site up to date.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import urlsplit

from collector.clock import day
from collector.inventory.exposure.reach import NOBODY_LOOKED, Exposures, Port
from collector.inventory.identity.devices import SHOWN_CARDS, card_of
from collector.inventory.keeping.identified import expired_then, identified, note_certificate
from collector.inventory.keeping.subjects import PORT_STATES
from collector.inventory.room import fullness
from collector.ipv6.days import traffic_facts
from collector.ipv6.facts import site_facts, system_facts, unit_facts
from collector.ipv6.levels import systems
from collector.judging.cards import card_facts
from collector.memory.directory import Directory
from collector.memory.registered import Register
from collector.memory.sections import Sections
from collector.memory.standing import Whitelists
from collector.settings import Settings
from collector.sightings.addresses import address, current_addresses, network
from collector.sightings.checks import Said, check_of, of_checks
from collector.sightings.picture import HOST, holds, place, values_of
from collector.sightings.samples import read_samples
from collector.store.contract import Statements
from rules.data import profile_for
from rules.facts import FactValue, Subject, SubjectKind
from rules.heard import heard
from wire.types import Transport, Value
from wire.whitelist import Match, Standing

GLOBAL_V6 = network("2000::/3")
"""Global unicast (RFC 4291 section 2.4)."""
VITALS = "host_vitals"
RATIOS = ("cpu_ratio", "memory_ratio", "disk_ratio")
RATES = ("download_bps", "upload_bps")
EGRESS = "egress_bps"


@dataclass(slots=True)
class Facts:
    """Reads subjects inside one transaction; `now` is the collector's own time, `since` that of its start."""

    statements: Statements
    sections: Sections
    directory: Directory
    whitelists: Whitelists
    settings: Settings
    register: Register
    since: float
    now: float

    @property
    def exposures(self) -> Exposures:
        """Give from where services can be reached."""
        return Exposures(self.statements, self.sections, self.directory, self._heard, self.now)

    def service(self, county: str, ident: str) -> Subject | None:
        """Give a service with what the same port of the same asset does on the other address family."""
        found = self.statements.rows(
            "SELECT unit, asset, address, family, transport, port, state, standing, product, baseline, section, "
            "first_seen, cert_until, exposure, exposed_by FROM service WHERE county = ? AND id = ?",
            (county, ident),
        )
        if not found:
            return None
        ((unit, asset, where, family, transport, port, state, standing, product, baseline, section, *rest),) = found
        first, until, *known = rest
        today = day(self.now)
        match = self.whitelists.service(self.directory.chain(unit), where, Transport(transport), port, today)
        if match.standing != standing:
            self._stand("service", county, ident, match)
        states = self._families(county, asset, transport, port)
        # What was ever understood of it has left a product, or at least the name of its protocol.
        said = identified(self.statements, self.sections, self._heard, county, ident) if product else {}
        note_certificate(self.statements, county, ident, said, until)
        # Most collectors have nobody outside: this runs for every service of every report that changed anything.
        exposures = self.exposures if self.directory.vantages else None
        exposure = exposures.of(Port(unit, where, transport, port)) if exposures else NOBODY_LOOKED
        if [*exposure[:2]] != known:
            self.statements.run(
                "UPDATE service SET exposure = ?, exposed_by = ? WHERE county = ? AND id = ?",
                (*exposure[:2], county, ident),
            )
        facts: dict[str, FactValue] = {
            "address": where,
            "family": family,
            "transport": transport,
            "port": port,
            "state": state if self._heard(section) else "unknown",
            "state_v4": states.get(4),
            "state_v6": states.get(6),
            "product": product or None,
            "baseline": bool(baseline),
            **heard(said, today),
            **(exposures.facts(exposure, today) if exposures else {}),
            "baseline_expired": expired_then(said, day(first)) if baseline else False,
            **_standing(match, today, expired_days=True),
            **self._common(unit),
        }
        label = f"[{where}]:{port}/{transport}" if family == 6 else f"{where}:{port}/{transport}"
        return Subject(SubjectKind.SERVICE, ident, unit, label, facts)

    def asset(self, county: str, ident: str) -> Subject | None:
        """Give an asset with all addresses that are seen now, or that were seen last."""
        found = self.statements.rows(
            "SELECT unit, name, presence, standing, baseline, section, merged_into FROM asset "
            "WHERE county = ? AND id = ?",
            (county, ident),
        )
        if not found or found[0][-1] is not None:
            return None
        ((unit, name, presence, standing, baseline, section, _),) = found
        addresses, missed, said = self._hosts(county, ident)
        cards = self.statements.rows(
            "SELECT kind, value FROM evidence WHERE county = ? AND asset = ? AND kind IN (?, ?, ?) "
            "ORDER BY kind DESC, value",
            (county, ident, *SHOWN_CARDS),
        )
        macs = [card_of(value) for _, value in cards]
        today = day(self.now)
        match = self.whitelists.host(self.directory.chain(unit), addresses, macs, today)
        if match.standing != standing:
            self._stand("asset", county, ident, match)
        facts: dict[str, FactValue] = {
            "presence": presence if self._heard(section) else "unknown",
            "missed_scans": missed,
            "addresses": addresses,
            # Whether it has an IPv6 address is known only when one was seen: nobody can list what was not.
            "has_ipv6": any(_is_global_v6(item) for item in addresses) or None,
            "local_mac": None if not cards else all(kind == "local_mac" for kind, _ in cards),
            # Most devices have one address, and nothing to be held against it.
            **card_facts([*said, *self._keys(county, ident)] if len(addresses) > 1 else said, macs),
            "baseline": bool(baseline),
            **_standing(match, today),
            **self._common(unit),
        }
        label = name or next(iter(addresses), "") or next(iter(macs), ident)
        return Subject(SubjectKind.ASSET, ident, unit, label, facts)

    def site(self, county: str, ident: str) -> Subject | None:
        """Give a site; its whitelist verdict is that of its host name."""
        found = self.statements.rows(
            "SELECT unit, name, aaaa, ipv4, ipv6, standing, baseline, section FROM site WHERE county = ? AND id = ?",
            (county, ident),
        )
        if not found:
            return None
        ((unit, name, aaaa, ipv4, ipv6, standing, baseline, section),) = found
        today, heard = day(self.now), self._heard(section)
        match = self.whitelists.domain(self.directory.chain(unit), domain_of(name), today)
        if match.standing != standing:
            self._stand("site", county, ident, match)
        facts: dict[str, FactValue] = {
            "name": name,
            "aaaa": bool(aaaa) if aaaa is not None and heard else None,
            "ipv4": ipv4 if heard else "unknown",
            "ipv6": ipv6 if heard else "unknown",
            "pmtu": self._told(county, ident, "pmtu"),
            **site_facts(self.statements, self.settings, self.directory, self.register, unit, name, today),
            "baseline": bool(baseline),
            **_standing(match, today),
            **self._common(unit),
        }
        return Subject(SubjectKind.SITE, ident, unit, name, facts)

    def system(self, ident: str) -> Subject | None:
        """Give a registered information system, by `unit:name`; None when nothing of it is registered any more."""
        unit, _, name = ident.partition(":")
        entries, node = self.register.own(unit), self.directory.units.get(unit)
        if node is None or name not in systems(entries):
            return None
        facts = {
            **system_facts(self.statements, self.settings, node, name, entries, day(self.now)),
            **self._common(unit),
        }
        return Subject(SubjectKind.SYSTEM, ident, unit, name, facts)

    def agent(self, ident: str) -> Subject | None:
        """Give an agent; None for a revoked one.

        How long it is silent is known once it has reported; after a start of the collector once it did so again, or had
        the time to.
        """
        record = self.directory.agents.get(ident)
        if record is None or record.revoked is not None:
            return None
        state, unit = self.sections.agent(ident), record.identity.unit
        facts: dict[str, FactValue] = {"report_interval": self.settings.report_interval, **self._common(unit)}
        if state is not None:
            # A clock that was set back since the start says nothing of when that was.
            just_begun = 0 <= self.now - self.since < self._patience and state.received < self.since
            if not just_begun:
                silent = max(self.now - state.received, 0.0)
                facts |= {"silent_seconds": silent, "silent_intervals": silent / self.settings.report_interval}
            facts |= {
                "clock_skew_seconds": abs(state.skew),
                "dropped": state.dropped,
                "held_ratio": fullness(self.sections, self.settings, ident, self.now),
                **self._said(record.identity.county, unit, ident),
            }
        return Subject(SubjectKind.AGENT, ident, unit, record.identity.name, facts)

    def unit(self, code: str) -> Subject | None:
        """Give a unit with the numbers that rules ask for."""
        node = self.directory.units.get(code)
        if node is None:
            return None
        ((unlisted,),) = self.statements.rows(
            "SELECT count(*) FROM asset WHERE county = ? AND unit = ? AND standing = 'unlisted' "
            "AND presence = 'present' AND merged_into IS NULL",
            (node.county, code),
        )
        agents = sum(
            record.revoked is None and record.identity.unit == code for record in list(self.directory.agents.values())
        )
        facts: dict[str, FactValue] = {
            "agents": agents,
            "assets_unlisted": unlisted,
            **unit_facts(self.statements, self.settings, self.directory, node, self.now, day(self.now)),
            **traffic_facts(self.statements, node, day(self.now), self.settings.ipv6_traffic_fall),
            **self._common(code),
        }
        return Subject(SubjectKind.UNIT, code, code, node.name, facts)

    def stored_measurement(self, county: str, ident: str) -> Subject | None:
        """Give the latest run of a measuring task, by `agent:section`; None when there is none (any more)."""
        agent, _, section = ident.partition(":")
        record, state = self.directory.agents.get(agent), self.sections.section(agent, section)
        if record is None or record.revoked is not None or state is None:
            return None
        for (samples,) in self.statements.rows(
            "SELECT samples FROM measurement WHERE county = ? AND unit = ? AND probe = ? AND agent = ? "
            "AND section = ? ORDER BY time DESC LIMIT 1",
            (county, record.identity.unit, state.probe, agent, section),
        ):
            return self.measurement(
                agent, record.identity.unit, section, state.probe, (sample.values for sample in read_samples(samples))
            )
        return None

    def measurement(
        self, agent: str, unit: str, section: str, probe: str, samples: Iterable[Mapping[str, Value]]
    ) -> Subject:
        """Give what one run of a measuring task found, next to the target that a policy sets for the unit."""
        values: dict[str, Value] = {}
        flows: Mapping[str, Value] = {}
        for sample in samples:
            values.update(sample)
            if "v6_received_bytes" in sample:
                flows = sample
        node = self.directory.units[unit]
        target = _egress_target(node.division_code, node.kind, day(self.now), node.code)
        rates = [rate for name in RATES if (rate := _number(values, name)) is not None]
        facts: dict[str, FactValue] = {
            "probe": probe,
            "download_bps": _number(values, "download_bps"),
            "upload_bps": _number(values, "upload_bps"),
            "target_bps": target,
            "target_ratio": min(rates) / target if target and len(rates) == len(RATES) else None,
            "limited_by": _word(values, "limited_by"),
            "v6_share": _number(flows, "share"),
            "v6_share_target": _number(flows, "target"),
            "v6_share_ratio": _ratio(flows),
            "v6_confidence": _word(flows, "confidence"),
            **self._common(unit),
        }
        return Subject(SubjectKind.MEASUREMENT, f"{agent}:{section}", unit, f"{node.name} {section}", facts)

    def _families(self, county: str, asset: str, transport: str, port: int) -> dict[int, str]:
        """Give the state of a port by address family, from what was seen open and from what hosts refused."""
        states: dict[int, str] = {}
        for family, state, section in self.statements.rows(
            "SELECT family, state, section FROM service WHERE county = ? AND asset = ? AND transport = ? AND port = ?",
            (county, asset, transport, port),
        ):
            if self._heard(section) and PORT_STATES.get(state, 0) > PORT_STATES.get(states.get(family, ""), 0):
                states[family] = state
        if len(states) < 2 and transport == Transport.TCP:
            for key, detail, section in self.statements.rows(
                "SELECT key, detail, section FROM sighting WHERE county = ? AND subject = ? AND state = 'present' "
                "AND missed_from = 0",
                (county, asset),
            ):
                found = address(place(key).name)
                if found is None or found.version in states or not self._heard(section):
                    continue
                said = values_of(detail)
                for state in ("filtered", "closed"):  # the more certain one last
                    if holds(str(said.get(state, "")), port):
                        states[found.version] = state
        return states

    def _hosts(self, county: str, asset: str) -> tuple[tuple[str, ...], int | None, list[tuple[str, str]]]:
        """Give the addresses of an asset, how often it was missed, and what is said of it just now by key."""
        found: list[tuple[str, str, int]] = []
        said: list[tuple[str, str]] = []
        missed = 0
        for key, state, missed_from, section, detail in self.statements.rows(
            "SELECT key, state, missed_from, section, detail FROM sighting WHERE county = ? AND subject = ?",
            (county, asset),
        ):
            what = place(key)
            if what.kind != HOST:
                continue
            found.append((what.name, state, missed_from))
            if detail and state == "present" and not missed_from and self._heard(section):
                said.append((key, detail))
            known = self.sections.by_id(section)
            if missed_from and known is not None:
                missed = max(missed, known.runs - missed_from + 1)
        return current_addresses(found), missed, said

    def _keys(self, county: str, asset: str) -> list[tuple[str, str]]:
        """Give what the ports of an asset say of host keys just now, by key."""
        return [
            (key, detail)
            for key, detail, section in self.statements.rows(
                "SELECT s.key, s.detail, s.section FROM service v JOIN sighting s ON s.county = v.county "
                "AND s.subject = v.id WHERE v.county = ? AND v.asset = ? AND v.state = 'open' AND s.missed_from = 0 "
                "AND s.state = 'open' AND s.detail LIKE '%\"hostkey\"%'",
                (county, asset),
            )
            if self._heard(section)
        ]

    def _said(self, county: str, unit: str, agent: str) -> dict[str, FactValue]:
        """Give what the agent says of its own machine: IPv6 from its picture, load from its latest sample."""
        facts: dict[str, FactValue] = {}
        checks: list[Said] = []
        for key, state, detail, missed_from, section in self.statements.rows(
            "SELECT key, state, detail, missed_from, section FROM sighting "
            "WHERE county = ? AND subject = ? AND detail <> ''",
            (county, agent),
        ):
            if missed_from or not self._heard(section):
                continue
            values = values_of(detail)
            if "ipv6" in values:
                facts["ipv6"], facts["ipv6_reason"] = _word(values, "ipv6"), _word(values, "reason")
            check = check_of(key)
            if check:
                checks.append(Said(check, state, values))
        facts |= of_checks(checks)
        for (samples,) in self.statements.rows(
            "SELECT samples FROM measurement WHERE county = ? AND unit = ? AND probe = ? AND agent = ? "
            "ORDER BY time DESC LIMIT 1",
            (county, unit, VITALS, agent),
        ):
            for sample in read_samples(samples):
                facts |= {name: found for name in RATIOS if (found := _number(sample.values, name)) is not None}
        return facts

    def _told(self, county: str, ident: str, name: str) -> str | None:
        """Give a word that a fresh section says of a subject, the worst one where several do."""
        found: set[str] = set()
        for detail, section in self.statements.rows(
            "SELECT detail, section FROM sighting WHERE county = ? AND subject = ? AND missed_from = 0 "
            "AND detail <> ''",
            (county, ident),
        ):
            word = _word(values_of(detail), name)
            if word and self._heard(section):
                found.add(word)
        return next((word for word in ("fail", "pass", "unknown") if word in found), None)

    def _heard(self, section: int) -> bool:
        """Tell whether a section's word counts: it is fresh, and its agent, where one sent it, is not silent."""
        known = self.sections.by_id(section)
        if known is None or not known.fresh(self.now):
            return False
        state = self.sections.agent(known.agent)
        return state is None or self.now - state.received <= self._patience

    @property
    def _patience(self) -> float:
        """Seconds without a report after which an agent counts as silent."""
        return self.settings.silent_after * self.settings.report_interval

    def _common(self, unit: str) -> dict[str, FactValue]:
        return {"unit_kind": self.directory.units[unit].kind}

    def _stand(self, table: str, county: str, ident: str, match: Match) -> None:
        self.statements.run(
            f"UPDATE {table} SET standing = ? WHERE county = ? AND id = ?",  # noqa: S608 (one of our own names)
            (match.standing.value, county, ident),
        )


def domain_of(name: str) -> str:
    """Give the host name of a site, which may be written as a URL."""
    if "//" not in name:
        return name.partition("/")[0].partition(":")[0]
    try:
        return urlsplit(name).hostname or name
    except ValueError:
        return name


def _standing(match: Match, today: date, *, expired_days: bool = False) -> dict[str, FactValue]:
    facts: dict[str, FactValue] = {"standing": match.standing.value}
    if expired_days and match.standing is Standing.EXPIRED and match.entry and match.entry.expires:
        facts["whitelist_expired_days"] = (today - match.entry.expires).days
    return facts


@lru_cache(maxsize=4096)
def _egress_target(division_code: str, kind: str, today: date, code: str) -> float | None:
    profile = profile_for(division_code, kind, today, code)
    return profile[EGRESS].value if EGRESS in profile else None


def _number(values: Mapping[str, Value], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ratio(flows: Mapping[str, Value]) -> float | None:
    share, target = _number(flows, "share"), _number(flows, "target")
    return share / target if share is not None and target else None


def _word(values: Mapping[str, Value], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value else None


def _is_global_v6(text: str) -> bool:
    found = address(text)
    return found is not None and GLOBAL_V6 is not None and found in GLOBAL_V6
