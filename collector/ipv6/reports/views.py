"""What the collector answers about IPv6; the field names are those of the HTTP interface."""

from datetime import date, datetime

from collector.answers.views import View, Words


class Ipv6Share(View, frozen=True, kw_only=True):
    """`passed` of `total`, of which `unknown` are not known; `range` is from confirmed to possible, such as 82-88%.

    `met` says whether the target in force is met: yes, no or unknown. It is met only when the worst case meets it.
    """

    passed: int
    total: int
    unknown: int
    range: str
    met: str


class Ipv6Target(View, frozen=True, kw_only=True):
    """A dated target (0 to 1) and the item that sets it: of the province's plan, or `local`, of the configuration."""

    value: float
    due: date
    item: str
    local: bool
    document: str
    section: str
    meaning: Words


class Ipv6Standing(View, frozen=True, kw_only=True):
    """One unit with all below it. Levels go from 0 none to 4 single-stack ready: `confirmed`, and `possible`.

    `compliant` is yes, no or unknown; `schools` are those that comply each by itself; `light` is the worst colour of
    an alert that stands (none, or unknown where no agent reported lately), and has nothing to do with IPv6.
    """

    unit: str
    unit_name: str
    kind: str
    confirmed: int
    possible: int
    networks: Ipv6Share
    websites: Ipv6Share
    systems: Ipv6Share
    target: float | None
    compliant: str
    schools: Ipv6Share
    light: str


class Ipv6Coverage(View, frozen=True, kw_only=True):
    """Whether all was looked at: schools whose agent reported within a day, registered networks whose clients do IPv6.

    `full` is yes, no or unknown.
    """

    reporting: Ipv6Share
    networks: Ipv6Share
    full: str


class Ipv6Forecast(View, frozen=True, kw_only=True):
    """Our estimate of one indicator of the national platform; never that platform's own result."""

    checks: tuple[str, ...]
    title: Words
    websites: Ipv6Share


class Ipv6Week(View, frozen=True, kw_only=True):
    """The ratios of the week that began on this Monday, as they stood last."""

    week: date
    networks: Ipv6Share
    websites: Ipv6Share
    systems: Ipv6Share


class Ipv6Traffic(View, frozen=True, kw_only=True):
    """IPv6 in what the agents of a unit and those below it count: `share` (0 to 1) of the last whole day and of `days`.

    Bytes are summed, over `units` on the last whole day. `slope` is the change of the share in a week; `dropped` says
    whether it fell by more than is allowed (30 % unless configured) against the same weekday (yes, no, unknown), in the
    sum of the units that counted on both days. `v4_only` names sites without IPv6 and the bytes that IPv4 carried for
    them, as the unit's own agents saw last.
    """

    share: float | None
    days: dict[date, float]
    slope: float | None
    dropped: str
    confidence: str
    units: int
    v4_only: tuple[str, ...]


class Ipv6Report(View, frozen=True, kw_only=True):
    """How far a unit and those below it have come, against the targets of their province."""

    time: datetime
    total: Ipv6Standing
    children: tuple[Ipv6Standing, ...]
    target: Ipv6Target | None
    next_target: Ipv6Target | None
    coverage: Ipv6Coverage
    forecast_estimate: tuple[Ipv6Forecast, ...]
    unregistered: int
    """Websites that were found and that nobody registered: they count nowhere."""
    weeks: tuple[Ipv6Week, ...]
    traffic: Ipv6Traffic | None
    """That of the unit with all below it; null where nobody counts."""


class Ipv6Site(View, frozen=True, kw_only=True):
    """A website, system or network with its level; `failed` and `unclear` are checks that a higher level asks for."""

    unit: str
    unit_name: str
    kind: str
    address: str
    name: str
    system: str
    mlps_level: int | None
    registered: bool
    confirmed: int
    possible: int
    since: datetime | None
    failed: tuple[str, ...]
    unclear: tuple[str, ...]
    light: str


class Ipv6SitePage(View, frozen=True, kw_only=True):
    """Some of them and the cursor of the next page, None at the end."""

    items: tuple[Ipv6Site, ...]
    cursor: str | None


class Ipv6Step(View, frozen=True, kw_only=True):
    """A change of level."""

    time: datetime
    confirmed: int
    possible: int


class Ipv6History(View, frozen=True, kw_only=True):
    """The changes of one level, the newest first."""

    items: tuple[Ipv6Step, ...]


class Ipv6Failure(View, frozen=True, kw_only=True):
    """One failed check, or one dead link of it, shaped like the link lists of the national platform.

    `page` is the website that was looked at, `url` what failed on it, `level` how far from the home page that is: 1 the
    page itself, 2 and 3 its inner links, 0 what belongs to its domain.
    """

    unit: str
    unit_name: str
    page: str
    url: str
    level: int
    check: str
    aaaa: str
    ipv6: str
    evidence: str
    mend: Words
    registered: bool
    last_confirmed: datetime | None


class Ipv6FailurePage(View, frozen=True, kw_only=True):
    """Some failures and the cursor of the next page, None at the end."""

    items: tuple[Ipv6Failure, ...]
    cursor: str | None
