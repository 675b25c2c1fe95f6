"""Real servers in a namespace: what the tests of service identification share."""

import re
import socket
import subprocess
import time
from collections.abc import Callable

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.services import identity
from probes.kit.services.drive import Drive
from probes.kit.services.talk import Heard
from tests.support.netns import Namespace
from tests.support.processes import Running

Begin = Callable[..., Running]


def installed(package: str) -> str:
    """Upstream version of an installed Debian package, without epoch and revision."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True
    )
    return re.split(r"[-+~]", shown.stdout.split(":", 1)[-1], maxsplit=1)[0]


def listens(lab: Namespace, port: int) -> bool:
    """Tell whether a port of the lab listens."""
    return f":{port} " in lab.run(["ss", "-Hltn", f"sport = :{port}"]).stdout


def greets(lab: Namespace, *ports: int) -> bool:
    """Tell whether each of these ports speaks first: a server may listen long before it can answer."""

    def first_word(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 20) as line:
            return line.recv(1)

    try:
        return all(lab.call(first_word, port) for port in ports)
    except OSError:
        return False


def heard(lab: Namespace, *ports: int) -> dict[int, Heard]:
    """Have the conversations with ports of the lab's loopback."""

    def run() -> dict[int, Heard]:
        results = Drive(Net(Scope())).run([("127.0.0.1", port) for port in ports], time.monotonic() + 30)
        return {result.port: result.heard for result in results if result.heard}

    return lab.call(run)


def identify(lab: Namespace, *ports: int) -> dict[int, identity.ServiceIdentity]:
    """Identify ports of the lab's loopback."""
    known = by_key(built_in())
    return {port: identity.of(found, known) for port, found in heard(lab, *ports).items()}
