"""Profiles of a scan: named bundles of options, from the harmless one that is the default to the thorough one.

A flag that is given wins over its profile. docs/scanning.md has the table, written from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wire.text import Text
from wire.types import Value


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile is for, its TCP and UDP ports as an operator would type them, and options of the TCP probe.

    An empty `ports` is the probe's own default set; an empty `udp` asks no UDP ports.
    """

    summary: Text
    ports: str
    udp: str
    options: Mapping[str, Value]


DEFAULT = "safe"

PROFILES: Mapping[str, Profile] = {
    "safe": Profile(
        Text(
            "默认：对老旧摄像头、打印机和窄带线路也无妨",
            "the default: harmless to old cameras, printers and thin lines",
        ),
        ports="",
        udp="",
        options={"rate": 1000.0, "per_host": 16, "retries": 1, "timeout": 1.0, "identify": True, "connections": 1024},
    ),
    "fast": Profile(
        Text("只看哪些端口开放，尽快", "which ports are open, as fast as the line takes it; services are not asked"),
        ports="",
        udp="",
        options={
            "rate": 50_000.0,
            "per_host": 512,
            "retries": 1,
            "timeout": 1.0,
            "identify": False,
            "connections": 4096,
        },
    ),
    "deep": Profile(
        Text("全部 TCP 端口，加常见 UDP 端口，多试几次", "every TCP port and the usual UDP ones, with more patience"),
        ports="all",
        udp="top:20",
        options={"rate": 5000.0, "per_host": 128, "retries": 2, "timeout": 2.0, "identify": True, "connections": 2048},
    ),
}
