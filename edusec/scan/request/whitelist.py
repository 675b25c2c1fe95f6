"""Reading a whitelist file for a scan: the same reader as the collector's import, so that a file means the same."""

from pathlib import Path

from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import MAX_INPUT_BYTES, read_input
from wire.installed import command_for
from wire.types import WhitelistEntry

MAX_ROWS = 20_000


def read_whitelist(file: Path) -> tuple[WhitelistEntry, ...]:
    """Read CSV, TSV or XLSX; raises Stop with every fault as file:line:field: what."""
    from collector.errors import BadFile
    from collector.registry.whitelist_files import COLUMNS, read_entry
    from collector.sheets.reading import Problems, read_sheet

    problems = Problems(file.name)
    try:
        records = read_sheet(
            read_input(file), COLUMNS, problems, filename=file.name, max_bytes=MAX_INPUT_BYTES, max_rows=MAX_ROWS
        )
        entries = [entry for record in records if (entry := read_entry(record, problems))]
        problems.check()
    except BadFile as error:
        head = t("白名单有误，没有扫描：", "the whitelist has faults, nothing was scanned:")
        raise Stop("\n".join([head, *(problem(current()) for problem in error.problems)])) from None
    except ModuleNotFoundError as error:
        raise Stop(
            t(
                f"读取 XLSX 需要 {error.name}：{command_for('collector')}，或另存为 CSV",
                f"reading XLSX needs {error.name}; save the file as CSV, or {command_for('collector')}",
            )
        ) from None
    return tuple(entries)
