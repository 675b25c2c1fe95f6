"""A discovery as CSV that spreadsheets open as it is: one row for each address, with what is known of its device."""

from collections.abc import Sequence

from collector.sheets.writing import write_sheet
from edusec.discovery.lines import DEVICE, FACTS, HOST, Line
from edusec.terminal.render import safe

COLUMNS = ("device_id", "address", "outcome", "mac", "local_mac", "maker", *FACTS, "via", "interface", "joined_by")


def as_csv(lines: Sequence[Line]) -> bytes:
    """Write the rows; a cell is empty where nothing is known."""
    devices = {line["device_id"]: line for line in lines if line["type"] == DEVICE}
    hosts = [line for line in lines if line["type"] == HOST]
    return write_sheet([COLUMNS, *(_row(line, devices.get(line["device_id"], {})) for line in hosts)], "csv", "")


def _row(host: Line, device: Line) -> list[str]:
    told = {
        **host,
        **{name: device.get(name) or host.get(name) for name in FACTS},
        "maker": (host["maker"] or {}).get("name"),
        "joined_by": device.get("joined_by"),
    }
    return [_cell(told.get(name)) for name in COLUMNS]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return safe(" ".join(map(str, value)) if isinstance(value, list | tuple) else value)
