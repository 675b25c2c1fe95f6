"""Read fingerprint files of our own: TOML, one file per kind of answer, each entry with examples that are its tests.

key = "ssh.banner"

[[fingerprint]]
title = "OpenSSH"
pattern = '^OpenSSH_([\\d.]+)'
certainty = 0.9
says = { "service.product" = "OpenSSH", "service.version" = "{1}" }
examples = [{ text = "OpenSSH_9.2p1", says = { "service.version" = "9.2" } }]
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from probes.kit.fingerprint.bounded import Clock, TooLong, compiled
from probes.kit.fingerprint.match import fill
from probes.kit.fingerprint.model import (
    BAD_LENGTH,
    MAX_FILE,
    MAX_PATTERN,
    MAX_TEXT,
    Example,
    Fault,
    Fingerprint,
    FingerprintFileError,
    Loaded,
    entry_place,
    why_not,
)
from wire.faults import not_toml
from wire.text import Text, within

FIELDS = {"title": str, "pattern": str, "certainty": float, "says": dict, "examples": list, "ignore_case": bool}
REQUIRED = ("title", "pattern", "certainty", "says", "examples")


@cache
def built_in() -> tuple[Fingerprint, ...]:
    """Give the fingerprints that ship with edusec; a fault in one of them is a defect and raises."""
    folder = files("probes.kit.fingerprint") / "data"
    parts = [
        read_own(entry.read_text("utf-8"), entry.name)
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    ]
    faults = [fault for part in parts for fault in part.faults]
    if faults:
        raise FingerprintFileError("; ".join(map(str, faults)))
    return tuple(fingerprint for part in parts for fingerprint in part.fingerprints)


def read_own(text: str, name: str) -> Loaded:
    """Read one file's text; raises FingerprintFileError when it is no such file; faults of entries are listed."""
    if len(text) > MAX_FILE:
        raise FingerprintFileError(
            Text(f"{name}：超过 {MAX_FILE} 个字符", f"{name}: larger than {MAX_FILE} characters")
        )
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number that cannot be held
        raise FingerprintFileError(within(name, not_toml(error))) from None
    key, entries = table.get("key"), table.get("fingerprint")
    if not isinstance(key, str) or not isinstance(entries, list):
        raise FingerprintFileError(
            Text(
                f"{name}：须有 `key` 和 [[fingerprint]] 表", f"{name}: a file needs a `key` and [[fingerprint]] tables"
            )
        )
    unknown = sorted(set(table) - {"key", "fingerprint"})
    if unknown:
        raise FingerprintFileError(
            Text(
                f"{name}: {unknown[0]}：没有这个键；可用：key、fingerprint",
                f"{name}: {unknown[0]}: unknown key; allowed are key and fingerprint",
            )
        )
    fingerprints: list[Fingerprint] = []
    faults: list[Fault] = []
    for index, entry in enumerate(entries, 1):
        where = entry_place(index, str(entry.get("title", "")) if isinstance(entry, dict) else "")
        wrong = list(_faults(entry)) if isinstance(entry, dict) else [Text("须为表", "must be a table")]
        if not wrong:
            fingerprint = _entry(entry, key, name)
            wrong = list(_failing(fingerprint))
            if not wrong:
                fingerprints.append(fingerprint)
        faults.extend(Fault(name, where, reason) for reason in wrong)
    return Loaded(tuple(fingerprints), tuple(faults))


def _faults(entry: Mapping[str, Any]) -> Iterator[Text]:
    for name in sorted(set(entry) - set(FIELDS)):
        listed = ", ".join(FIELDS)
        yield within(name, Text(f"没有这个键；可用：{listed}", f"unknown key; allowed are {listed}"))
    for name in REQUIRED:
        if name not in entry:
            yield within(name, Text("缺少", "is missing"))
    for name, kind in FIELDS.items():
        if name in entry and type(entry[name]) is not kind:
            yield within(name, Text(f"类型须为 {kind.__name__}", f"must be of type {kind.__name__}"))
            return
    if not 0 <= entry.get("certainty", 0.0) <= 1:
        yield Text("certainty：须为 0 至 1", "certainty: must be from 0 to 1")
    if not all(isinstance(value, str) for value in entry.get("says", {}).values()):
        yield Text("says：各值须为文本", "says: every value must be text")
    if not entry.get("examples", [True]):
        yield Text("examples：至少须有一个", "examples: at least one is needed")
    for example in entry.get("examples", []):
        if not isinstance(example, dict) or not isinstance(example.get("text"), str):
            yield Text("examples：每个须有 `text`，可有 `says`", "examples: each needs a `text`, and may have `says`")
    pattern = entry.get("pattern", "")
    try:
        groups = compiled(pattern).groups if 0 < len(pattern) <= MAX_PATTERN else -1
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        yield within("pattern", why_not(error))
        return
    if groups < 0:
        yield within("pattern", BAD_LENGTH)
    highest = max(
        (int(n) for text in entry.get("says", {}).values() for n in re.findall(r"\{(\d{1,2})", str(text))), default=0
    )
    if highest > groups >= 0:
        yield Text(
            f"says：引用了第 {highest} 个分组，正则表达式只有 {groups} 个",
            f"says: names group {highest}, the pattern has {groups}",
        )


def _entry(entry: Mapping[str, Any], key: str, name: str) -> Fingerprint:
    return Fingerprint(
        key=key,
        pattern=entry["pattern"],
        flags=int(re.MULTILINE | (re.IGNORECASE if entry.get("ignore_case") else 0)),
        title=entry["title"],
        says=entry["says"],
        certainty=entry["certainty"],
        source=f"edusec/{name}",
        examples=tuple(Example(item["text"], item.get("says", {})) for item in entry["examples"]),
    )


def _failing(fingerprint: Fingerprint) -> Iterator[Text]:
    for example in fingerprint.examples:
        place = f"examples: {example.text[:60]!r}"
        try:
            with Clock() as clock:
                found = clock.search(fingerprint.compiled(), example.text[:MAX_TEXT])
        except TooLong as error:
            yield within(place, error.text)
            return
        if found is None:
            yield Text(f"{place} 不匹配", f"{place} does not match")
            continue
        said = fill(fingerprint.says, found)
        for name, value in example.says.items():
            if said.get(name, "") != value:
                told = f"{name} = {said.get(name, '')!r}"
                yield Text(f"{place} 得到 {told}，不是 {value!r}", f"{place} says {told}, not {value!r}")
