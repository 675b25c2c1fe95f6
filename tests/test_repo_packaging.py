"""What is published and pinned agrees with itself."""

import ast
import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOMS, ROOT, modules, pins, pyproject
from tests.support.servers.lab import KNOWN


def _requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines]


def test_no_other_distribution_brings_a_package_of_our_name() -> None:
    owners = metadata.packages_distributions()
    # The price of short names: `rules` and `agent` exist elsewhere too; `tests` would hide tests/support.
    assert {room: owners[room] for room in (*ROOMS, "tests") if set(owners.get(room, [])) - {"edusec"}} == {}


def test_the_wheel_holds_every_room() -> None:
    assert tuple(pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == ROOMS
    assert tuple(pyproject()["tool"]["mypy"]["files"]) == (*ROOMS, "tests", "bench")
    assert tuple(pyproject()["tool"]["importlinter"]["root_packages"]) == ROOMS


def test_a_gateway_installs_two_distributions() -> None:
    base = _requirements(pyproject()["project"]["dependencies"])
    assert sorted(requirement.name for requirement in base) == ["dnspython", "psutil"]
    assert all(not requirement.specifier.contains("0") for requirement in base)


def test_heavy_and_copyleft_libraries_are_only_in_their_extras() -> None:
    extras = pyproject()["project"]["optional-dependencies"]
    where = {
        name: {extra for extra, lines in extras.items() if name in {item.name for item in _requirements(lines)}}
        for name in ("scapy", "pysnmp", "litestar", "typer")
    }
    assert where == {"scapy": {"raw"}, "pysnmp": {"snmp"}, "litestar": {"collector"}, "typer": {"cli"}}


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_pins_fit_what_is_asked_for(kind: str) -> None:
    settings = pyproject()
    asked = [*settings["project"]["dependencies"], *settings["build-system"]["requires"]]
    for lines in settings["project"]["optional-dependencies"].values():
        asked += lines
    if kind == "dev":
        asked += settings["dependency-groups"]["dev"]
    pinned = pins(kind)
    faults = [
        str(requirement)
        for requirement in _requirements(asked)
        if requirement.name != "edusec"
        and not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), ""), prereleases=True)
    ]
    assert faults == [], "run `make lock`"


def test_the_pins_of_dev_hold_those_of_run() -> None:
    assert pins("run").items() <= pins("dev").items(), "run `make lock`"


def test_the_changelog_knows_this_version() -> None:
    version = pyproject()["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(version)}\]", text, flags=re.MULTILINE)
    assert re.search(r"^## \[Unreleased\]", text, flags=re.MULTILINE)


def test_every_distribution_we_run_has_its_licence_noted() -> None:
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    noted = set(re.findall(r"^\| ([\w.-]+) \|", text, flags=re.MULTILINE))
    assert set(pins("run")) - noted == set()
    assert noted - set(pins("run")) - {"distribution"} == set()


def debian_packages(name: str) -> set[str]:
    """Packages that a list under requirements/ names."""
    return set((ROOT / "requirements" / name).read_text(encoding="utf-8").split("\n"))


def test_debian_packages_of_the_servers_that_tests_run_are_listed_once() -> None:
    installed, unpacked = debian_packages("debian.txt"), debian_packages("debian-unpacked.txt")
    asked = {server.package for server in KNOWN.values()}
    assert asked - installed - unpacked == set()
    assert {package for package in installed & unpacked if package[:1].isalnum()} == set()


def test_debian_packages_that_tests_ask_for_are_listed() -> None:
    listed = debian_packages("debian.txt")
    asked: dict[str, str] = {}
    for path, tree in modules("tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "needs":
                values = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "package")]
                if isinstance(values[-1], ast.Constant):
                    asked[str(values[-1].value)] = str(path.relative_to(ROOT))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                asked |= dict.fromkeys(
                    re.findall(r"apt-get install ([a-z0-9.+-]+)$", node.value), str(path.relative_to(ROOT))
                )
    assert {package: path for package, path in asked.items() if package not in listed} == {}
