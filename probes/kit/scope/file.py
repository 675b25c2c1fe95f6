"""The scope file: TOML that the command line keeps and a person may read, changed by one process at a time.

[[entry]]
value = "10.20.0.0/16"
authoriser = "..."
reason = "..."
until = 2027-06-30
ports = "22,80,443"      # optional; all ports without it
"""

import contextlib
import fcntl
import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from probes.kit.errors import ScopeError
from probes.kit.scope.entries import check_entry, plain_value
from probes.kit.scope.model import THIS_MACHINE, Scope
from wire.faults import not_toml, reason
from wire.text import Text, within
from wire.types import ScopeEntry

MAX_FILE = 1 << 20
MAX_ENTRIES = 998
"""With the two of this machine itself, a report carries at most 1,000."""
_KEYS = ("value", "authoriser", "reason", "until", "ports")


def load_scope(path: Path, today: date | None = None) -> Scope:
    """Read the scope; a file that is not there means this machine only. Raises ScopeError naming file, entry, field."""
    return Scope(read_entries(path, today or datetime.now(UTC).date()))


def read_entries(path: Path, today: date) -> tuple[ScopeEntry, ...]:
    """Read the entries of a scope file, without those of this machine itself; see `load_scope`."""
    raw = _read(path)
    if raw is None:
        return ()
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, or a number that cannot be held
        raise ScopeError(within(str(path), not_toml(error))) from None
    unknown = sorted(set(document) - {"entry"})
    listed = document.get("entry", [])
    if unknown:
        raise ScopeError(
            Text(
                f"{path}: {unknown[0]!r} 未知；只能有 [[entry]] 表",
                f"{path}: {unknown[0]!r} is not known; only [[entry]] tables are allowed",
            )
        )
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ScopeError(
            Text(f"{path}: entry：须写成 [[entry]] 表", f"{path}: entry: must be written as [[entry]] tables")
        )
    if len(listed) > MAX_ENTRIES:
        raise ScopeError(
            Text(
                f"{path}：有 {len(listed)} 条，最多 {MAX_ENTRIES} 条",
                f"{path}: {len(listed)} entries, at most {MAX_ENTRIES} are allowed",
            )
        )
    problems: list[Text] = []
    entries: list[ScopeEntry] = []
    for number, item in enumerate(listed, start=1):
        try:
            entries.append(check_entry(_entry(item), today, new=False))
        except ScopeError as error:
            problems.extend(within(f"{path}: entry {number}", problem) for problem in error.problems)
    if problems:
        raise ScopeError(*problems)
    return tuple(entries)


def save_scope(path: Path, entries: Iterable[ScopeEntry]) -> None:
    """Replace the scope file in one step (mode 0600, fsynced); entries of this machine itself are left out."""
    kept = [entry for entry in entries if entry not in THIS_MACHINE]
    if len(kept) > MAX_ENTRIES:
        raise ScopeError(
            Text(
                f"{path}：最多 {MAX_ENTRIES} 条；请删除已过期的",
                f"{path}: at most {MAX_ENTRIES} entries are allowed; remove what has expired",
            )
        )
    text = "# Written by `edusec scope`; what is listed here may be probed until its date.\n"
    text += "".join(_table(entry) for entry in kept)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unusable(path, error) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unusable(path, error) from None


def add_entry(path: Path, entry: ScopeEntry, today: date | None = None) -> ScopeEntry:
    """Authorise one more target, or renew the entry of the same value and ports; give it as it was saved."""
    day = today or datetime.now(UTC).date()
    checked = check_entry(entry, day)

    def change(entries: tuple[ScopeEntry, ...]) -> tuple[ScopeEntry, ...]:
        return (*(e for e in entries if (e.value, e.ports) != (checked.value, checked.ports)), checked)

    _edit(path, day, change)
    return checked


def remove_entry(path: Path, value: str, today: date | None = None) -> tuple[ScopeEntry, ...]:
    """Withdraw every entry of a value and give them; raises ScopeError when there is none."""
    removed: list[ScopeEntry] = []
    with contextlib.suppress(ValueError):
        value = plain_value(value)

    def change(entries: tuple[ScopeEntry, ...]) -> tuple[ScopeEntry, ...]:
        removed.extend(entry for entry in entries if entry.value == value)
        if not removed:
            known = ", ".join(dict.fromkeys(entry.value for entry in entries[:20]))
            raise ScopeError(
                Text(
                    f"{path}：没有 {value!r} 这一条；现有 {known or '仅本机'}",
                    f"{path}: no entry has the value {value!r}; it holds {known or 'nothing but this machine itself'}",
                )
            )
        return tuple(entry for entry in entries if entry.value != value)

    _edit(path, today or datetime.now(UTC).date(), change)
    return tuple(removed)


def _edit(path: Path, today: date, change: Callable[[tuple[ScopeEntry, ...]], tuple[ScopeEntry, ...]]) -> None:
    with _locked(path):
        save_scope(path, change(read_entries(path, today)))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # A file of its own, because the scope file itself is replaced by each change.
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ScopeError(
            Text(
                f"{path}：其他用户可写，因此不作为授权；请执行 chmod 600 {path}",
                f"{path}: others may write to it, so it authorises nothing; run: chmod 600 {path}",
            )
        )
    if len(raw) > MAX_FILE:
        raise ScopeError(Text(f"{path}：大于 {MAX_FILE} 字节", f"{path}: larger than {MAX_FILE} bytes"))
    return raw


def _entry(item: dict[str, Any]) -> ScopeEntry:
    allowed = ", ".join(_KEYS)
    problems = [
        Text(f"{key}：未知；可用 {allowed}", f"{key}: is not known; allowed are {allowed}")
        for key in sorted(set(item) - set(_KEYS))
    ]
    texts = {}
    for key in ("value", "authoriser", "reason", "ports"):
        text = item.get(key, "")
        if not isinstance(text, str):
            problems.append(Text(f"{key}：须为带引号的文本", f"{key}: must be a text in quotes"))
        elif not text and key == "value":
            problems.append(
                Text("value：缺少；须为地址、网段或域名", "value: is missing; give an address, a prefix or a domain")
            )
        texts[key] = text
    until = item.get("until")
    if until is not None and type(until) is not date:  # a TOML date and time is a subclass
        problems.append(
            Text("until：须为不带引号的日期，如 2027-06-30", "until: must be a date without quotes, such as 2027-06-30")
        )
    if problems:
        raise ScopeError(*problems)
    return ScopeEntry(until=until, **texts)


def _table(entry: ScopeEntry) -> str:
    texts = {"value": entry.value, "authoriser": entry.authoriser, "reason": entry.reason}
    # A JSON string is a TOML basic string as long as it holds printable characters only (check_entry).
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
    if entry.until is not None:
        lines.append(f"until = {entry.until.isoformat()}")
    if entry.ports:
        lines.append(f'ports = "{entry.ports}"')
    return "\n[[entry]]\n" + "".join(f"{line}\n" for line in lines)


def _unusable(path: Path, error: OSError) -> ScopeError:
    return ScopeError(
        Text(
            f"{path}：{reason(error).zh}；请用 EDUSEC_SCOPE 另选位置，或修正其权限",
            f"{path}: {error.strerror}; choose another place with EDUSEC_SCOPE or mend its permissions",
        )
    )
