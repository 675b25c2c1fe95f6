"""Real programs that tests run, and the Debian package each one comes from."""

import os
import shutil

import pytest

# A user's PATH on Debian lacks the folders where servers live.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")

missing_packages: set[str] = set()


def find(program: str) -> str | None:
    """Path of a program, also looked for where servers are installed; None when absent."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])
    return shutil.which(program, path=path)


def needs(program: str, *, package: str | None = None) -> str:
    """Path of a program, or skip the test naming the Debian package (default: the program's name) that brings it."""
    found = find(program)
    if found is None:
        package = package or program
        missing_packages.add(package)
        pytest.skip(f"needs {program}: apt-get install {package}")
    return found
