"""The scope that a command works under."""

from datetime import UTC, date, datetime
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t
from edusec.local.places import scope_file
from probes.kit.scope.file import load_scope
from probes.kit.scope.model import Scope


def scope_of(named: Path | None, today: date | None = None) -> Scope:
    """Read the file that was named, else the operator's own, which may be missing (this machine only).

    Raises Stop for one that was named and is not there, and ScopeError for what cannot be used.
    """
    if named is not None and not named.exists():
        raise Stop(t(f"--scope {named}：没有这个文件", f"--scope {named}: there is no such file"))
    found = load_scope(named or scope_file(), today or datetime.now(UTC).date())
    return Scope(found.entries, str(named or ""))
