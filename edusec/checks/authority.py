"""What may be probed, and until when."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from edusec.checks.line import Line, State
from edusec.lang import current, t
from edusec.local import places
from probes.kit.errors import ScopeError
from probes.kit.scope.file import read_entries
from wire.types import ScopeEntry

_SCOPE_WARN_DAYS = 14
_RENEWED_DAYS = 180


def scope() -> Iterator[Line]:
    """Check the scope file and its dates."""
    file, today = places.scope_file(), datetime.now(UTC).date()
    try:
        entries = read_entries(file, today)
    except ScopeError as error:
        yield Line(
            "scope",
            State.FAIL,
            "; ".join(problem(current()) for problem in error.problems),
            f"chmod 600 {file} && ${{EDITOR:-vi}} {file}",
        )
        return
    if not entries:
        yield Line("scope", State.OK, t("仅本机", "this machine only"))
    for entry in entries:
        if entry.until is None or entry.until < today:
            yield Line(
                "scope",
                State.WARN,
                t(f"{entry.value} 已于 {entry.until} 过期", f"{entry.value} expired on {entry.until}"),
                f"edusec scope remove {entry.value}",
            )
        elif entry.until <= today + timedelta(_SCOPE_WARN_DAYS):
            said = t(f"{entry.value} 将于 {entry.until} 到期", f"{entry.value} ends on {entry.until}")
            yield Line("scope", State.WARN, said, _renew(entry, today + timedelta(_RENEWED_DAYS)))
        else:
            yield Line("scope", State.OK, t(f"{entry.value} 至 {entry.until}", f"{entry.value} until {entry.until}"))


def _renew(entry: ScopeEntry, until: date) -> str:
    ports = f" --ports {entry.ports}" if entry.ports else ""
    return f"edusec scope add {entry.value} --authoriser NAME --reason TEXT --until {until}{ports}"
