"""Who made the cards behind some MACs: looked up in what was imported, and in what the system has installed.

The longest prefix decides; of two files that hold it the one that was imported last, and imported ones before an
installed one. A locally administered MAC has no maker. A card's maker is no proof of the device's: a module is built
into others' devices, and a MAC can be set to anything; so it is shown, and joins and judges nothing.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.kit.makers.read import CSV_HEAD, MAX_FILE, MAX_NAME, Assigned, names_nobody, plain_prefix, put

SUFFIX = ".tsv"
EVIDENCE, CONFIDENCE = "mac_prefix", 0.5
INSTALLED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ieee-data", tuple(f"/usr/share/ieee-data/{name}.csv" for name in ("oui", "mam", "oui36", "iab"))),
    ("arp-scan", ("/usr/share/arp-scan/ieee-oui.txt",)),
    ("nmap", ("/usr/share/nmap/nmap-mac-prefixes",)),
)
"""Where packages have their lists; the first one that is there is used."""
_LENGTHS = range(12, 1, -1)


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one origin: an import by its name, or an installed package's."""

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Maker:
    """Who was assigned the prefix (hex digits in capitals) of a MAC, and which source says so."""

    name: str
    prefix: str
    source: str

    def plain(self) -> dict[str, Any]:
        """Give it as the lines of scans and the collector's interface say it."""
        return {
            "name": self.name,
            "prefix": with_colons(self.prefix),
            "confidence": CONFIDENCE,
            "evidence": EVIDENCE,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Makers:
    """Makers by prefix."""

    of_prefix: Mapping[str, Maker]

    def of(self, mac: str) -> Maker | None:
        """Give the maker of a card (`aa:bb:cc:dd:ee:ff`); None where no list names one, and for an invented MAC."""
        return next((self.of_prefix[prefix] for prefix in _prefixes(mac) if prefix in self.of_prefix), None)

    def of_all(self, macs: Iterable[str]) -> tuple[Maker, ...]:
        """Give the makers of the cards of one device, each name once."""
        found = {maker.name: maker for mac in macs if (maker := self.of(mac)) is not None}
        return tuple(found.values())

    def named(self, text: str) -> tuple[frozenset[str], frozenset[str]]:
        """Give the prefixes of makers whose name holds a text, and the longer ones within those that are others'."""
        wanted = text.casefold()
        mine = frozenset(prefix for prefix, maker in self.of_prefix.items() if wanted in maker.name.casefold())
        others = (prefix for prefix in self.of_prefix if prefix not in mine)
        return mine, frozenset(prefix for prefix in others if any(prefix[:n] in mine for n in range(2, len(prefix))))


def with_colons(prefix: str) -> str:
    """Write a prefix as MACs begin: `4419B6` as `44:19:b6`, `70B3D5F2F` as `70:b3:d5:f2:f`."""
    return ":".join(prefix[at : at + 2] for at in range(0, len(prefix), 2)).lower()


def imported(folder: Path) -> tuple[Source, ...]:
    """Give what was imported into a folder, the last import first."""

    def age(file: Path) -> tuple[int, str]:
        try:
            return -file.stat().st_mtime_ns, file.name
        except OSError:
            return 0, file.name

    return tuple(Source(file.stem, (file,)) for file in sorted(folder.glob(f"*{SUFFIX}"), key=age))


def installed() -> tuple[Source, ...]:
    """Give the list that some package brought to this machine, if any did."""
    found = (Source(name, tuple(file for file in map(Path, files) if file.is_file())) for name, files in INSTALLED)
    return tuple(source for source in found if source.files)[:1]


def save(folder: Path, name: str, assigned: Assigned) -> Path:
    """Keep what was read, whole or not at all, in the form of arp-scan's list; gives the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{SUFFIX}"
    partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as out:
            out.writelines(f"{prefix}\t{held}\n" for prefix, held in sorted(assigned.names.items()))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def look_up(sources: Sequence[Source], macs: Iterable[str] | None = None) -> Makers:
    """Read makers from sources, of some MACs alone where they are given: then most lines are passed over unread.

    A file that cannot be read, is too large or holds other lines says nothing of anybody.
    """
    wanted = None if macs is None else {prefix.encode() for mac in macs for prefix in _prefixes(mac)}
    found: dict[str, Maker] = {}
    for source in reversed(sources if wanted or wanted is None else ()):
        names: dict[str, str] = {}
        for file in source.files:
            for prefix, name in _lines(file, wanted):
                put(names, prefix, name)
        found.update((prefix, Maker(name, prefix, source.name)) for prefix, name in names.items())
    return Makers(found)


def _lines(file: Path, wanted: set[bytes] | None) -> Iterator[tuple[str, str]]:
    try:
        if file.stat().st_size > MAX_FILE:
            return
        with file.open("rb") as lines:
            head = lines.readline()
            column = int(head.startswith(CSV_HEAD.encode()))
            if not column:
                lines.seek(0)
            for line in lines:
                parts = line.split(b",", 2) if column else line.split(None, 1)
                if len(parts) > column and (wanted is None or parts[column] in wanted):
                    prefix, name = _entry(line.decode("utf-8", "replace"), column)
                    if prefix and name and not names_nobody(prefix, name):
                        yield prefix, name
    except OSError:
        return


def _entry(line: str, column: int) -> tuple[str, str]:
    if column:
        try:
            fields = next(csv.reader([line]), [])
        except csv.Error:
            return "", ""
        prefix, name = (*fields[1:3], "", "")[:2]
    else:
        prefix, name = (*line.split(None, 1), "", "")[:2]
    return "" if prefix.startswith("#") else plain_prefix(prefix), " ".join(name.split())[:MAX_NAME]


def _prefixes(mac: str) -> Iterator[str]:
    """Give the prefixes of a MAC, the longest first; none of one that names no maker."""
    digits = plain_prefix(mac)
    if len(digits) == _LENGTHS[0] and not names_nobody(digits, ""):
        yield from (digits[:length] for length in _LENGTHS)
