"""Servers of Debian packages that are not installed: scripts/debian-unpacked fetched them into one folder.

Their files are laid over /usr and /etc in a mount namespace of the process alone, with a /run and parts of /var of its
own. Nothing outside sees them, no maintainer script runs, and what the process writes there is gone when it ends.
"""

import functools
import subprocess
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path("/var/cache/edusec-tests")
USERS = (
    "Debian-exim", "_chrony", "_rpc", "coturn", "freerad", "knot", "ntpsec", "opensmtpd", "opensmtpq", "xrdp",
)  # fmt: skip
"""Users that the packages' maintainer scripts would have made; their numbers begin at FIRST_USER."""
FIRST_USER = 64_800
_OVERLAY = """
set -e
tree=$1; shift
mount -t tmpfs none /run
mkdir -p /run/over/usr /run/work/usr /run/over/etc /run/work/etc
cp /etc/passwd /etc/group /run/over/etc/
number=$FIRST
for user in $USERS; do
    number=$((number + 1))
    grep -q "^$user:" /etc/passwd || echo "$user:x:$number:$number::/:/bin/false" >>/run/over/etc/passwd
    grep -q "^$user:" /etc/group || echo "$user:x:$number:" >>/run/over/etc/group
done
for part in usr etc; do
    mount -t overlay -o "lowerdir=$tree/$part:/$part,upperdir=/run/over/$part,workdir=/run/work/$part" none /$part
done
for part in lib log spool; do
    mount -t tmpfs none /var/$part
    if [ -d "$tree/var/$part" ]; then cp -a "$tree/var/$part/." /var/$part; fi
done
exec "$@"
"""


def version(package: str) -> str | None:
    """Debian version of an unpacked package; None when it has not been fetched."""
    path = FOLDER / "versions" / package
    return path.read_text(encoding="ascii").strip() if path.exists() else None


def over(argv: Sequence[str | Path]) -> list[str]:
    """Give the command that runs argv with the unpacked files in place; the process keeps its id."""
    script = _OVERLAY.replace("$USERS", " ".join(USERS)).replace("$FIRST", str(FIRST_USER))
    words = ["unshare", "--mount", "sh", "-c", script, "sh", FOLDER / "tree", *argv]
    return [str(word) for word in words]


@functools.cache
def why_not() -> str | None:
    """Reason why files cannot be laid over others here, or None when they can."""
    if not (FOLDER / "tree").exists():
        return "needs the packages of scripts/debian-unpacked"
    done = subprocess.run(over(["true"]), capture_output=True, text=True, timeout=30, check=False)
    return None if done.returncode == 0 else f"overlays do not work here: {done.stderr.strip()}"
