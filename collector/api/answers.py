"""The shapes that only the HTTP interface has; all others are collector.views and the wire types."""

from datetime import datetime
from typing import Annotated

import msgspec

from collector import views


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
    """For which unit an enrolment token is wanted, and for how many seconds it holds."""

    unit: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    ttl_seconds: Annotated[float, msgspec.Meta(ge=1, le=2_592_000)] = 86_400.0


class EnrolmentToken(views.View, frozen=True, kw_only=True):
    """A one-time enrolment token: `edt1.<secret>.<SHA-256 of the CA certificate>`. It is shown only this once."""

    token: str
    unit: str
    unit_name: str
    expires: datetime


class Note(views.View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an alert is acknowledged or resolved."""

    note: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class Scans(views.View, frozen=True, kw_only=True):
    """Scans that people asked for, newest first."""

    items: list[views.Scan]


class Health(views.View, frozen=True, kw_only=True):
    """`ok` once the store takes writes."""

    status: str
