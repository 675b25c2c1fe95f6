"""The house keeps its plan: rooms, floors and the size of a module."""

import ast
import sys

import pytest

from tests.support.repository import ROOMS, ROOT, files, imported, modules

_LONGEST = 450  # lines; from 400 on a module asks to be split

# Modules that open connections by themselves; import-linter cannot name parts of the standard library's packages.
_NETWORK = {
    "asyncio", "ftplib", "http.client", "http.server", "imaplib", "poplib", "select", "selectors", "smtplib", "socket",
    "socketserver", "ssl", "telnetlib", "urllib.request", "xmlrpc.client",
}  # fmt: skip


def test_room_init_files_hold_a_docstring_only() -> None:
    faults = [
        str(path.relative_to(ROOT))
        for path, tree in modules(*ROOMS)
        if path.parent.parent == ROOT
        and path.name == "__init__.py"
        and (len(tree.body) != 1 or ast.get_docstring(tree) is None)
    ]
    assert faults == []


def test_every_room_is_there() -> None:
    assert [room for room in ROOMS if not (ROOT / room / "__init__.py").is_file()] == []


def test_tests_are_no_package() -> None:
    assert [str(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    names = {part.removesuffix(".py") for path, _ in modules(*ROOMS) for part in path.relative_to(ROOT).parts}
    assert names & drawers == set()


def test_every_module_says_what_it_is() -> None:
    assert [str(path.relative_to(ROOT)) for path, tree in modules(*ROOMS) if not ast.get_docstring(tree)] == []


def test_modules_stay_readable() -> None:
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path, _ in modules(*ROOMS, "tests", "bench")
    }
    nearly = {name: lines for name, lines in lengths.items() if lines > 400}
    assert max(lengths.values()) <= _LONGEST, f"split them, by subject: {nearly}"


def test_no_module_imports_private_names() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in modules(*ROOMS, "tests", "bench")
        for line, name in imported(tree)
        if name.split(".")[-1].startswith("_") and not name.endswith("__")
    ]
    assert faults == []


@pytest.mark.parametrize("room", ["rules", "wire"])
def test_the_ground_floor_needs_the_standard_library_only(room: str) -> None:
    allowed = sys.stdlib_module_names | {"rules", "wire"}
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in modules(room)
        for line, name in imported(tree)
        if name.split(".")[0] not in allowed
    ]
    assert faults == []


def test_only_the_kit_of_the_probes_opens_sockets() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in modules("probes")
        if "kit" not in path.relative_to(ROOT).parts
        for line, name in imported(tree)
        if name in _NETWORK
    ]
    assert faults == []


def test_no_module_is_named_like_a_module_of_the_standard_library() -> None:
    # A script run from inside a room would import the wrong one.
    top = {path.relative_to(ROOT).parts[0] for path in files() if len(path.relative_to(ROOT).parts) > 1}
    assert top & sys.stdlib_module_names == set()
