"""Which files of this machine others may name in the options of a probe: no order any, a task of the collector a few.

Whoever has taken over a collector, or is careless there, must not have every gateway read what it likes.
"""

import posixpath
from collections.abc import Iterable, Mapping

from probes.kit.reasons import because
from wire.types import Value

PLACES = (
    "/etc/edusec/",
    "/run/edusec/nft.json",
    "/var/lib/misc/dnsmasq.leases",
    "/tmp/dhcp.leases",  # noqa: S108 (where OpenWrt's dnsmasq keeps them)
    "/var/lib/dhcp/dhcpd.leases",
    "/var/lib/dhcp/dhcpd6.leases",
    "/var/lib/kea/kea-leases4.csv",
    "/var/lib/kea/kea-leases6.csv",
)
"""What a task of the collector may name where the configuration says nothing: what probes read by themselves, and the
files directly in the folder that is the operator's own."""
_OPTIONS = frozenset({"fingerprints", "leases", "credentials"})
_FOLDERS = frozenset({"disk"})
"""Folders of which only the fill level of the file system is told: tasks may name any."""


def names_files(option: str) -> bool:
    """Tell whether an option of a probe names files or folders of this machine, which an order must not choose."""
    return option in _FOLDERS or _is_read(option)


def is_place(item: object) -> bool:
    """Tell whether something is an absolute path of a file, or of a folder with a slash at its end."""
    return isinstance(item, str) and item.startswith("/") and posixpath.normpath(item) == (item.rstrip("/") or "/")


def forbidden(options: Mapping[str, Value], allowed: Iterable[str]) -> str:
    """Give the reason why a task from elsewhere may not run with these options; empty when it may.

    `allowed` are absolute paths of files, or of folders (with a slash at the end) for what lies directly in them.
    """
    places = frozenset(allowed)
    for name, value in options.items():
        if not _is_read(name):
            continue
        for path in value if isinstance(value, tuple) else (value,):
            if path and not (isinstance(path, str) and _within(path, places)):
                where = f"{str(path)[:256]!r}"
                return because("not_accepted", f"[agent] files = [..., {where}] ({name})")
    return ""


def _within(path: str, places: frozenset[str]) -> bool:
    return is_place(path) and (path in places or f"{posixpath.dirname(path).rstrip('/')}/" in places)


def _is_read(option: str) -> bool:
    return option in _OPTIONS or option.endswith(("file", "files", "credentials"))
