"""Fingerprints that an operator imported, kept as JSON Lines: one header, then one line per fingerprint or probe."""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probes.kit.fingerprint.model import MAX_PATTERN, Fingerprint, FingerprintFileError
from probes.kit.fingerprint.nmap import ServiceProbe
from wire.faults import not_utf8, reason, too_large
from wire.text import Text, within
from wire.types import Transport

SCHEMA = "edusec.fingerprints/1"
MAX_LINES = 100_000
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported: fingerprints, and the payloads that some of them speak of (without their fingerprints)."""

    fingerprints: tuple[Fingerprint, ...] = ()
    probes: tuple[ServiceProbe, ...] = ()


def save(path: Path, imported: Imported) -> None:
    """Write a file whole or not at all; examples are left out, since they have been tried by then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with partial.open("x", encoding="utf-8") as out:
            for line in _lines(imported):
                out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _lines(imported: Imported) -> Iterator[dict[str, Any]]:
    yield {"schema": SCHEMA, "fingerprints": len(imported.fingerprints), "probes": len(imported.probes)}
    for probe in imported.probes:
        plain = asdict(probe) | {"payload": base64.b64encode(probe.payload).decode()}
        del plain["fingerprints"]
        yield {"probe": plain}
    for fingerprint in imported.fingerprints:
        plain = asdict(fingerprint)
        del plain["examples"]
        yield {"fingerprint": plain}


def load(paths: Iterable[Path]) -> Imported:
    """Read files that `save` wrote; raises FingerprintFileError naming file and line for anything else."""
    fingerprints: list[Fingerprint] = []
    probes: list[ServiceProbe] = []
    for path in paths:
        for number, line in enumerate(_lines_of(path), 1):
            try:
                plain = json.loads(line)
                if number == 1:
                    if plain["schema"] != SCHEMA:
                        raise ValueError(f"schema must be {SCHEMA}")
                elif "probe" in plain:
                    probes.append(_probe(plain["probe"]))
                else:
                    fingerprints.append(_fingerprint(plain["fingerprint"]))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
                raise FingerprintFileError(
                    Text(
                        f"{path}:{number}：已损坏或被改动，请重新导入",
                        f"{path}:{number}: {error!s:.200}; import the data again",
                    )
                ) from None
    return Imported(tuple(fingerprints), tuple(probes))


def _lines_of(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FingerprintFileError(within(str(path), too_large(MAX_BYTES)))
        return path.read_text("utf-8").splitlines()[:MAX_LINES]
    except OSError as error:
        raise FingerprintFileError(within(str(path), reason(error))) from None
    except UnicodeDecodeError as error:
        raise FingerprintFileError(within(str(path), not_utf8(error))) from None


def _fingerprint(plain: dict[str, Any]) -> Fingerprint:
    says = plain["says"]
    if type(plain["pattern"]) is not str or len(plain["pattern"]) > MAX_PATTERN:
        raise ValueError(f"pattern: must be text of at most {MAX_PATTERN} characters")
    if not all(type(text) is str for text in (plain["key"], plain["title"], plain["source"], *says, *says.values())):
        raise ValueError("every name and value must be text")
    if type(plain["certainty"]) is not float or type(plain["flags"]) is not int:
        raise ValueError("certainty and flags must be numbers")
    return Fingerprint(**plain)


def _probe(plain: dict[str, Any]) -> ServiceProbe:
    return ServiceProbe(
        name=str(plain["name"])[:64],
        transport=Transport(plain["transport"]),
        payload=base64.b64decode(plain["payload"]),
        ports=_ranges(plain["ports"]),
        rarity=int(plain["rarity"]),
        fallback=tuple(str(name) for name in plain["fallback"]),
    )


def _ranges(plain: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(low), int(high)) for low, high in plain)
