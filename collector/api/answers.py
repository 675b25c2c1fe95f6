"""The shapes that only the HTTP interface has; all others are collector.answers.views and the wire types."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from collector.answers import views

Vantage = Literal["internet", "edu_private_net", "campus_lan", "unknown"]
"""Those of rules.facts, as OpenAPI needs them: in words of its own."""


class Units(views.View, frozen=True, kw_only=True):
    """Units, parents before their children."""

    items: list[views.Unit]


class Whitelist(views.View, frozen=True, kw_only=True):
    """Whitelist entries of a subtree."""

    items: list[views.WhitelistItem]


class Agents(views.View, frozen=True, kw_only=True):
    """Enrolled agents of a subtree."""

    items: list[views.Agent]


class Sites(views.View, frozen=True, kw_only=True):
    """Sites of a subtree."""

    items: list[views.Site]


class Measurements(views.View, frozen=True, kw_only=True):
    """Samples, newest first."""

    items: list[views.Measurement]


class Drifts(views.View, frozen=True, kw_only=True):
    """Changes of assets and services, newest first."""

    items: list[views.Drift]


class MetricsApproval(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus may scrape an agent, such as http://192.0.2.7:9917/metrics; empty: only by the rule."""

    url: Annotated[str, msgspec.Meta(max_length=256)]


class Reason(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a person corrects something."""

    note: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class MergeRequest(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The asset that lives on, and why the two are one device."""

    into: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    note: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Alerts(views.View, frozen=True, kw_only=True):
    """Alerts of a subtree."""

    items: list[views.Alert]


class Rules(views.View, frozen=True, kw_only=True):
    """The loaded rules."""

    items: list[views.Rule]


class TokenRequest(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which unit an enrolment token is wanted, for how many seconds it holds, and from where its agent looks."""

    unit: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    ttl_seconds: Annotated[float, msgspec.Meta(ge=1, le=2_592_000)] = 86_400.0
    vantage: Vantage = "unknown"


class VantageRequest(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where an agent looks: where its packets come from."""

    vantage: Vantage


class EnrolmentToken(views.View, frozen=True, kw_only=True):
    """A one-time enrolment token: `edt1.<secret>.<SHA-256 of the CA certificate>`. It is shown only this once."""

    token: str
    unit: str
    unit_name: str
    expires: datetime
    vantage: str


class Note(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an alert is acknowledged or resolved."""

    note: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class Scans(views.View, frozen=True, kw_only=True):
    """Scans that people asked for, newest first."""

    items: list[views.Scan]


class Health(views.View, frozen=True, kw_only=True):
    """`ok` once the store takes writes; `disk_low` while only people's writes are taken, and reports wait."""

    status: Literal["ok", "disk_low"]
