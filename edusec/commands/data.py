"""`edusec data`: fingerprints and MAC prefixes of an operator's own, used by every scan after they were imported."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption
from edusec.exits import ExitCode
from edusec.lang import current, t
from edusec.local.makers import maker_sources
from edusec.local.places import fingerprint_files, fingerprint_folder, maker_folder
from edusec.terminal.listing import Column, show
from edusec.terminal.render import safe
from probes.kit.fingerprint.bounded import Clock, TooLong
from probes.kit.fingerprint.model import Fault, Fingerprint, FingerprintFileError
from probes.kit.fingerprint.nmap import read_nmap
from probes.kit.fingerprint.own import built_in, read_own
from probes.kit.fingerprint.recog import read_recog
from probes.kit.fingerprint.store import Imported, load, save
from probes.kit.makers import table as makers
from probes.kit.makers.read import holds_prefixes, read_makers
from wire.faults import not_utf8, reason
from wire.text import Text, as_text, within

app = group(
    t(
        "指纹与 MAC 前缀：导入 Recog（XML）、nmap-service-probes、自己的 TOML 文件或 MAC 前缀名录，供之后的扫描使用。",
        "Fingerprints and MAC prefixes: import Recog (XML), nmap-service-probes, TOML files of your own or lists of "
        "MAC prefixes; later scans use them.",
    )
)
NMAP = "nmap-service-probes"
SHOWN_FAULTS = 20


@app.command("import", cls=Command, help=t("导入一个文件或目录", "Import a file or a folder"))
def import_data(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help=t(
                "Recog 的 XML 文件或目录、nmap-service-probes 文件、自己的 TOML 文件；"
                "MAC 前缀：IEEE 的 oui、mam、oui36（.txt 或 .csv），arp-scan、nmap 的名录，或每行“前缀 名称”",
                "A Recog XML file or folder, an nmap-service-probes file, a TOML file of your own; MAC prefixes: "
                "IEEE's oui, mam, oui36 (.txt or .csv), the list of arp-scan or nmap, or lines of prefix and name",
            ),
        ),
    ],
) -> int:
    """Read, try every example, and keep; what cannot be used is named, and the rest is kept."""
    if source.suffix not in {".xml", ".toml"} and not source.is_dir() and holds_prefixes(source):
        return _import_makers(source)
    name, imported, faults = _read(source)
    for fault in faults[:SHOWN_FAULTS]:
        print(safe(fault.text(current())), file=sys.stderr)
    if len(faults) > SHOWN_FAULTS:
        more = len(faults) - SHOWN_FAULTS
        print(t(f"……另有 {more} 处", f"... and {more} more"), file=sys.stderr)
    if not imported.fingerprints:
        raise FingerprintFileError(t(f"{source}：没有可用的指纹", f"{source}: no usable fingerprint"))
    target = fingerprint_folder() / f"{name}.jsonl"
    save(target, imported)
    count, left_out = len(imported.fingerprints), len(faults)
    print(
        t(
            f"已导入 {count} 条指纹，{left_out} 条未采用；保存在 {target}",
            f"imported {count} fingerprints, left out {left_out}; kept in {target}",
        )
    )
    return ExitCode.PARTIAL if faults else ExitCode.CLEAN


def _import_makers(source: Path) -> int:
    """Keep a file of MAC prefixes, whole or not at all."""
    assigned = read_makers(source)
    target = makers.save(maker_folder(), source.stem, assigned)
    count, left_out = len(assigned.names), assigned.left_out
    print(
        t(
            f"已导入 {count} 个 MAC 前缀；{left_out} 条未指明厂商（未公开、已再分配、本地或组地址），未采用；"
            f"保存在 {target}",
            f"imported {count} MAC prefixes, left out {left_out} that name no maker (private, parted among others, "
            f"local or of groups); kept in {target}",
        )
    )
    return ExitCode.CLEAN


@app.command(
    "list",
    cls=Command,
    help=t(
        "列出内置和已导入的指纹，以及所用的 MAC 前缀名录（已导入的和本机软件包自带的）",
        "List the shipped and the imported fingerprints, and the lists of MAC prefixes in use (imported, or those of a "
        "package)",
    ),
)
def list_data(as_json: JsonOption = False) -> None:
    """Count fingerprints and MAC prefixes by source."""
    rows = [_row("edusec", "", built_in(), 0)]
    for file in fingerprint_files():
        imported = load([file])
        rows.append(_row(file.stem, str(file), imported.fingerprints, len(imported.probes)))
    for source in maker_sources():
        count = len(makers.look_up([source]).of_prefix)
        rows.append(_row(source.name, " ".join(map(str, source.files)), (), 0, count))
    show(
        rows,
        "edusec.fingerprint-data/1",
        (
            Column(t("来源", "SOURCE"), lambda row: row["source"]),
            Column(t("指纹", "FINGERPRINTS"), lambda row: str(row["fingerprints"])),
            Column(t("探测载荷", "PAYLOADS"), lambda row: str(row["payloads"])),
            Column(t("种类", "KINDS"), lambda row: str(row["kinds"])),
            Column(t("MAC 前缀", "MAC PREFIXES"), lambda row: str(row["prefixes"])),
            Column(t("文件", "FILE"), lambda row: row["file"] or t("内置", "shipped")),
        ),
        as_json=as_json,
    )


@app.command("remove", cls=Command, help=t("删除已导入的数据", "Remove imported data"))
def remove(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=t("data list 中的来源", "A source of `data list`"))],
) -> None:
    """Remove what was imported from one source."""
    lists = [file for found in makers.imported(maker_folder()) for file in found.files]
    for file in (*fingerprint_files(), *lists):
        if file.stem == source:
            file.unlink()
            print(t(f"已删除 {file}", f"removed {file}"))
            return
    raise FingerprintFileError(t(f"没有导入过 {source}", f"{source} was not imported; see edusec data list"))


def _read(source: Path) -> tuple[str, Imported, tuple[Fault, ...]]:
    if source.is_dir() or source.suffix == ".xml":
        read = read_recog(source)
        faults = [*read.faults]
        good = [fingerprint for fingerprint in read.fingerprints if _holds(fingerprint, faults)]
        return "recog", Imported(tuple(good)), tuple(faults)
    if source.suffix == ".toml":
        try:
            own = read_own(source.read_text("utf-8"), source.name)
        except OSError as error:
            raise FingerprintFileError(within(str(source), reason(error))) from None
        except UnicodeDecodeError as error:
            raise FingerprintFileError(within(str(source), not_utf8(error))) from None
        return source.stem, Imported(own.fingerprints), own.faults
    probes = read_nmap(source)
    fingerprints = tuple(fingerprint for probe in probes.probes for fingerprint in probe.fingerprints)
    return NMAP, Imported(fingerprints, probes.probes), probes.faults


def _holds(fingerprint: Fingerprint, faults: list[Fault]) -> bool:
    """Tell whether every example matches; one that does not is a fault of its file."""
    pattern, says = fingerprint.compiled(), None
    try:
        with Clock() as clock:
            wrong = [example for example in fingerprint.examples if clock.search(pattern, example.text) is None]
        if wrong:
            shown = repr(wrong[0].text[:60])
            says = Text(f"与自己的示例 {shown} 不匹配", f"does not match its example {shown}")
    except TooLong as error:
        says = error.text
    if says:
        faults.append(Fault(fingerprint.source, as_text(fingerprint.title), says))
    return not says


def _row(
    source: str, file: str, fingerprints: tuple[Fingerprint, ...], payloads: int, prefixes: int = 0
) -> Mapping[str, Any]:
    kinds = len({fingerprint.key for fingerprint in fingerprints})
    return {
        "source": source,
        "fingerprints": len(fingerprints),
        "payloads": payloads,
        "kinds": kinds,
        "prefixes": prefixes,
        "file": file,
    }
