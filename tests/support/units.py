"""The systemd units of deploy/, read."""

import configparser

from tests.support.repository import ROOT

FOLDER = ROOT / "deploy" / "systemd"
NAMES = ("edusec-agent.service", "edusec-collector.service")


def service(name: str) -> configparser.SectionProxy:
    """Give the [Service] settings of a unit; of a key that stands twice, the last value."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / name, encoding="utf-8")
    return parser["Service"]
