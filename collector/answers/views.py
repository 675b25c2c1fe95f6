"""What the collector answers to people and to Prometheus; the field names are those of the HTTP interface."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec

from wire.text import Text


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Root of all answers; unknown values are None or the word `unknown`."""


class Words(View, frozen=True, kw_only=True):
    """One sentence in both languages."""

    zh: str
    en: str


def words_of(texts: Iterable[Text]) -> tuple[Words, ...]:
    """Give sentences as the interface has them."""
    return tuple(Words(zh=text.zh, en=text.en) for text in texts)


class ImportResult(View, frozen=True, kw_only=True):
    """What an import did; nothing is ever done by halves."""

    added: int
    changed: int
    unchanged: int
    warnings: tuple[Words, ...] = ()


class Unit(View, frozen=True, kw_only=True):
    """A node of the tree; `path` lists the codes from the root to it, each followed by a slash."""

    code: str
    name: str
    kind: str
    parent: str | None
    path: str
    division_code: str
    agents: int
    assets: int
    alerts: int


class WhitelistItem(View, frozen=True, kw_only=True):
    """A whitelist entry; `standing` is listed or expired as of today (UTC)."""

    id: str
    unit: str
    kind: str
    value: str
    transport: str
    ports: str
    owner: str
    reason: str
    approver: str
    expires: date | None
    standing: str


class Registered(View, frozen=True, kw_only=True):
    """A registered website, system or network; `source` is import, or whitelist for an approved domain taken over."""

    id: str
    unit: str
    unit_name: str
    kind: str
    address: str
    name: str
    system: str
    mlps_level: int | None
    owner: str
    source: str


class RegisteredPage(View, frozen=True, kw_only=True):
    """Some entries of the register and the cursor of the next page, None at the end."""

    items: tuple[Registered, ...]
    cursor: str | None


class Finding(View, frozen=True, kw_only=True):
    """Something found that a whitelist entry is about, or that no entry is about (`entry` None)."""

    unit: str
    kind: str
    label: str
    id: str
    first_seen: datetime
    last_confirmed: datetime | None
    entry: WhitelistItem | None = None


class WhitelistReview(View, frozen=True, kw_only=True):
    """What an operator must look at: expired yet open, expiring soon, never seen by covering scans, found unlisted."""

    expired_open: tuple[Finding, ...]
    expiring: tuple[WhitelistItem, ...]
    unused: tuple[WhitelistItem, ...]
    unlisted: tuple[Finding, ...]


class TokenSecret(View, frozen=True, kw_only=True):
    """A fresh enrolment token; only its hash is stored, so this is the only time the secret is seen."""

    secret: str
    unit: str
    unit_name: str
    expires: datetime
    vantage: str


class Skip(View, frozen=True, kw_only=True):
    """What a run was asked for and did not cover, and why."""

    what: str
    reason: str


class SectionState(View, frozen=True, kw_only=True):
    """The last run of one task of an agent; `confirmed` is when its picture last held."""

    name: str
    probe: str
    kind: str
    status: str
    reason: str
    started: datetime
    finished: datetime
    confirmed: datetime | None
    skipped: tuple[Skip, ...]


class Agent(View, frozen=True, kw_only=True):
    """An enrolled agent; `state` is new (never reported), active, silent or revoked.

    `next_report` is when the next one is due by the collector's interval; in the past when it is late.
    `scrape` is whether Prometheus is told of `metrics_url`: none, local, listed, approved or refused (see
    collector.registry.scrapes), and `scrape_reason` why it is refused.
    `held` of at most `room` hosts, services and sites are kept for it (see collector.inventory.room).
    `ipv6` is what the gateway itself has: pass, fail or unknown, and `ipv6_reason` why. `vantage` is from where it
    looks, as an operator declared: internet, edu_private_net, campus_lan or unknown.
    """

    id: str
    unit: str
    unit_name: str
    name: str
    software: str
    enrolled: datetime
    last_report: datetime | None
    next_report: datetime | None
    state: str
    sequence: int
    dropped: int
    clock_skew_seconds: float | None
    metrics_url: str
    scrape: str
    scrape_reason: Words | None
    vantage: str
    held: int
    room: int
    ipv6: str
    ipv6_reason: str
    sections: tuple[SectionState, ...]


class Service(View, frozen=True, kw_only=True):
    """One port of one address of an asset.

    `exposure` is from where it can be reached: internet, not_internet (how far else is open), edu_private_net,
    campus_lan or unknown; `exposure_by` is the agent whose word that is, `exposure_confirmed` when it last was.
    """

    address: str
    transport: str
    port: int
    family: int
    state: str
    standing: str
    product: str | None
    exposure: str
    exposure_by: str
    exposure_confirmed: datetime | None
    first_seen: datetime
    last_confirmed: datetime | None
    changed: datetime


class Maker(View, frozen=True, kw_only=True):
    """Who made a network card, by the prefix of its MAC alone (`evidence`): the device may be another maker's.

    `confidence` is from 0 to 1; `source` is the list that says so, an import's name or an installed package's.
    """

    name: str
    prefix: str
    confidence: float
    evidence: str
    source: str


class Asset(View, frozen=True, kw_only=True):
    """A device of a unit; `presence` is present, absent or unknown."""

    id: str
    unit: str
    unit_name: str
    addresses: tuple[str, ...]
    macs: tuple[str, ...]
    makers: tuple[Maker, ...]
    name: str
    presence: str
    standing: str
    first_seen: datetime
    last_confirmed: datetime | None
    services: tuple[Service, ...]


class AssetPage(View, frozen=True, kw_only=True):
    """Some assets and the cursor of the next page, None at the end."""

    items: tuple[Asset, ...]
    cursor: str | None


class Change(View, frozen=True, kw_only=True):
    """A state change: what changed, from what, to what."""

    time: datetime
    what: str
    before: str
    after: str


class Evidence(View, frozen=True, kw_only=True):
    """Why an asset is taken to be one device: a MAC, an address, a key, a name, the agent itself; and who saw it.

    `weight` is from 0 to 1: what reaches 1 decides alone.
    """

    kind: str
    value: str
    weight: float
    first_seen: datetime
    last_confirmed: datetime | None
    source: str


class AssetDetail(Asset, frozen=True, kw_only=True):
    """An asset with its history and the evidence of its identity."""

    changes: tuple[Change, ...]
    evidence: tuple[Evidence, ...]


class Site(View, frozen=True, kw_only=True):
    """A domain or URL and how it answers over each family: pass, fail or unknown."""

    unit: str
    name: str
    ipv4: str
    ipv6: str
    outcome: str
    last_confirmed: datetime | None


class Measurement(View, frozen=True, kw_only=True):
    """One sample as the agent sent it; `values` are the probe's own."""

    time: datetime
    unit: str
    agent: str
    probe: str
    method: str
    target: str
    outcome: str
    values: dict[str, Any]


class SubjectRef(View, frozen=True, kw_only=True):
    """What an alert is about."""

    kind: str
    id: str
    label: str


class Drift(View, frozen=True, kw_only=True):
    """One change of an asset or a service: new, changed, vanished or returned; `field` is empty for what is new."""

    time: datetime
    unit: str
    unit_name: str
    asset: str
    subject: SubjectRef
    what: str
    field: str
    before: str
    after: str


class Alert(View, frozen=True, kw_only=True):
    """A tracked finding. `state` is pending, firing, acknowledged or resolved; the colour is a suggestion."""

    id: str
    rule: str
    title: Words
    unit: str
    unit_name: str
    subject: SubjectRef
    state: str
    colour: str
    severity: str
    clause: str
    first_seen: datetime
    last_seen: datetime
    resolved: datetime | None
    baseline: bool
    evidence: dict[str, Any]
    remedy: Words
    acknowledged_by: str | None
    note: str
    previous: str | None


class Rule(View, frozen=True, kw_only=True):
    """A loaded rule; `clauses` maps a protection level to its clause of GB/T 22239-2019."""

    id: str
    title: Words
    select: str
    severity: str
    hold_seconds: float
    drift: bool
    clauses: dict[int, str]
    policy: str
    remedy: Words
    file: str


class ScrapeTarget(View, frozen=True, kw_only=True):
    """An agent that Prometheus may scrape, with the labels that only the collector knows."""

    scheme: str
    address: str
    path: str
    agent: str
    unit: str
    unit_name: str
    county: str
    county_name: str


class Counts(View, frozen=True, kw_only=True):
    """The stock of the store at one moment, for metrics; every known state is there, also with zero."""

    agents: dict[str, int]
    assets: dict[str, int]
    services: dict[str, int]
    exposed: dict[str, int]
    """Services open as seen from the internet, by unit; without units of which nobody there settled anything."""
    alerts: dict[tuple[str, str], int]
    """By (state, colour)."""
    ipv6: dict[tuple[str, str], int]
    """By (what is counted, state): registered networks, websites and systems, and schools."""
    scraped: dict[str, int]
    """Agents by what becomes of their metrics address (collector.registry.scrapes)."""
    fullest: float
    """Part of its room that the fullest agent holds (collector.inventory.room)."""
    free_bytes: int
    reserve_bytes: int
    store_bytes: int
    rules: int
    oldest_report: float | None
    """Seconds since 1970: the last report of the active or silent agent that was heard least recently."""


class ScanOrder(View, frozen=True, kw_only=True):
    """The part of a scan that one agent does. `done` of `total` items are the agent's word as of `heard`.

    So are `rate`, what it sends a second, and `lost`, the share (0-1) of its questions that get lost on the way.
    `status`, `reason` and `observations` are what came of it, once `state` is ended.
    """

    id: str
    agent: str
    agent_name: str
    agent_state: str
    state: str
    changed: datetime
    heard: datetime | None
    done: int
    total: int
    note: str
    rate: float
    lost: float
    status: str
    reason: str
    observations: int
    finished: datetime | None


class Scan(View, frozen=True, kw_only=True):
    """A scan that a person asked for; `revision` changes whenever anything else here does."""

    id: str
    unit: str
    unit_name: str
    probe: str
    asked_by: str
    reason: str
    created: datetime
    expires: datetime
    revision: str = ""
    orders: tuple[ScanOrder, ...] = ()
