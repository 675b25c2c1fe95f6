"""Where the operator's files are; docs/interfaces.md has the table."""

import os
from pathlib import Path


def config_folder() -> Path:
    """Give the folder of the operator's settings (`~/.config/edusec`, XDG base directories respected)."""
    return _base("XDG_CONFIG_HOME", ".config") / "edusec"


def data_folder() -> Path:
    """Give the folder of what edusec keeps for the operator (`~/.local/share/edusec`)."""
    return _base("XDG_DATA_HOME", ".local/share") / "edusec"


def scope_file() -> Path:
    """Give the scope's place (EDUSEC_SCOPE wins)."""
    return _chosen("EDUSEC_SCOPE") or config_folder() / "scope.toml"


def operator_file() -> Path:
    """Give the operator profile's place (EDUSEC_OPERATOR wins)."""
    return _chosen("EDUSEC_OPERATOR") or config_folder() / "operator.toml"


def scans_file() -> Path:
    """Give the place of local scan results (EDUSEC_SCANS wins)."""
    return _chosen("EDUSEC_SCANS") or data_folder() / "scans.db"


def fingerprint_folder() -> Path:
    """Give the folder of imported fingerprints (EDUSEC_FINGERPRINTS wins)."""
    return _chosen("EDUSEC_FINGERPRINTS") or data_folder() / "fingerprints"


def fingerprint_files() -> tuple[Path, ...]:
    """Give the imported fingerprint files, in the order of their names."""
    return tuple(sorted(fingerprint_folder().glob("*.jsonl")))


def maker_folder() -> Path:
    """Give the folder of imported MAC prefixes (EDUSEC_MAKERS wins; a collector has one in its data folder)."""
    return _chosen("EDUSEC_MAKERS") or data_folder() / "makers"


def up_folder() -> Path:
    """Give the folder of `edusec up` (EDUSEC_HOME wins)."""
    return _chosen("EDUSEC_HOME") or data_folder() / "up"


def _chosen(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None


def _base(variable: str, below_home: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG specification says to ignore a relative path.
    return Path(value) if value.startswith("/") else Path.home() / below_home
