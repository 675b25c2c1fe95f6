"""The result of a discovery as lines: what `--json` prints and `-o` writes; docs/discovery.md says what they hold."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from edusec.discovery.devices import Device, Devices
from probes.kit import evidence
from probes.kit.discovery.sightings import LEASE
from probes.kit.makers.table import Makers
from wire.codec import to_plain
from wire.types import Body, Observation, Section

SCHEMA = "edusec.discovery/1"
RUN, DEVICE, HOST, LEASED, SKIPPED = "run", "device", "host", "lease", "skipped"
FACTS = ("name", "vendor", "model", "device", "system")
"""What a device says of itself; null where it says nothing."""
_LAST_SECOND = 253402300799
"""The end of the year 9999: leases may have no end."""

Line = Mapping[str, Any]


def lines(section: Section, found: Devices, makers: Makers) -> Iterator[Line]:
    """Give one line for the run, then one for each device, each address and lease, and each part that was left out."""
    body = section.body or Body()
    times = {"started": _time(section.started), "finished": _time(section.finished)}
    coverage = [to_plain(item) for item in body.coverage]
    yield {"schema": SCHEMA, "type": RUN, "status": section.status.value, **times, "coverage": coverage}
    yield from (_device(device, makers) for device in found.all)
    of_address, of_mac = found.of_address(), found.of_mac()
    for item in body.observations:
        mac = str(item.values.get(evidence.MAC, ""))
        maker = makers.of(mac)
        more = {"maker": maker.plain() if maker else None}
        if item.method == LEASE:
            yield _line(LEASED, item, of_mac.get(mac), {**more, "expires": _time(item.time + item.duration)})
        else:
            yield _line(HOST, item, of_address.get(item.target.name), more)
    for part in body.skipped:
        yield {"schema": SCHEMA, "type": SKIPPED, "what": part.what, "reason": part.reason}


def _device(device: Device, makers: Makers) -> Line:
    return {
        "schema": SCHEMA,
        "type": DEVICE,
        "device_id": device.id,
        "addresses": list(device.addresses),
        "macs": list(device.macs),
        "local_mac": device.local_mac,
        "makers": [maker.plain() for maker in makers.of_all(device.macs)],
        "this_machine": device.mine,
        **{name: device.said(name) or None for name in FACTS},
        "via": list(device.via),
        "joined_by": list(device.why),
    }


def _line(kind: str, item: Observation, device: str | None, more: Mapping[str, Any]) -> Line:
    values = {name: to_plain(value) for name, value in item.values.items()}
    what = {"address": item.target.name, "outcome": item.outcome.value, "method": item.method, "device_id": device}
    return {"schema": SCHEMA, "type": kind, **what, **more, **values}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(min(seconds, _LAST_SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
