"""Which community or user opens which agent: a file of the operator's, for its owner's eyes only.

    [[agent]]
    hosts = ["10.1.0.0/16", "2001:db8::/32"]
    community = "..."                        # SNMP v2c

    [[agent]]
    hosts = ["10.2.0.1"]
    user = "monitor"                         # SNMP v3
    auth = "sha256"                          # md5, sha, sha224, sha256, sha384, sha512
    auth_password = "..."
    priv = "aes128"                          # des, aes128, aes192, aes256
    priv_password = "..."

The first entry whose `hosts` hold an address is the only one that this address is ever told; nothing is tried. The
secrets stand in no text that this module makes, and in no `repr`.
"""

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from probes.kit.errors import CannotRun
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address, Network

MAX_FILE = 64 << 10
MAX_AGENTS = 256
MAX_SECRET = 255
MIN_PASSWORD = 8
"""Characters that a password of the user-based security model must have (RFC 3414 section 11.2)."""
AUTH = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
PRIV = ("des", "aes128", "aes192", "aes256")
_TEXTS = ("community", "user", "auth", "auth_password", "priv", "priv_password", "context")
_KEYS = frozenset({"hosts", *_TEXTS})


@dataclass(frozen=True, slots=True)
class Credential:
    """What opens an agent: a community (v2c), or a user with passwords (v3)."""

    hosts: tuple[Network, ...]
    community: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    auth: str = ""
    auth_password: str = field(default="", repr=False)
    priv: str = ""
    priv_password: str = field(default="", repr=False)
    context: str = ""

    def fits(self, address: Address) -> bool:
        """Tell whether it is meant for an address."""
        return any(network.version == address.version and address in network for network in self.hosts)


def read_credentials(path: str) -> tuple[Credential, ...]:
    """Read a file that only its owner may read; raises CannotRun saying what is wrong, never what stands in it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CannotRun(because("no_credentials", f"{path}: {error.strerror}")) from None
    try:
        shown = os.fstat(handle)
        if not stat.S_ISREG(shown.st_mode) or shown.st_uid not in (0, os.geteuid()):
            raise CannotRun(because("no_credentials", f"{path}: must be a file of the agent's own user"))
        if shown.st_mode & 0o077:
            raise CannotRun(because("no_credentials", f"{path}: others may read it; chmod 600 {path}"))
        raw = os.read(handle, MAX_FILE + 1)  # a regular file gives all that is asked for at once
    finally:
        os.close(handle)
    try:
        if len(raw) > MAX_FILE:
            raise ValueError(f"larger than {MAX_FILE} bytes")
        return parse_credentials(raw.decode("utf-8"))
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except tomllib.TOMLDecodeError:
        reason = "is not TOML"
    except ValueError as error:
        reason = str(error)
    raise CannotRun(because("no_credentials", f"{path}: {reason}"))


def parse_credentials(text: str) -> tuple[Credential, ...]:
    """Read the text of a file; raises ValueError naming place and fault."""
    table = tomllib.loads(text)
    entries = table.get("agent")
    if set(table) != {"agent"} or not isinstance(entries, list) or not 0 < len(entries) <= MAX_AGENTS:
        raise ValueError(f"must hold 1 to {MAX_AGENTS} [[agent]] tables and nothing else")
    return tuple(_credential(entry, f"agent {number}") for number, entry in enumerate(entries, 1))


def for_address(credentials: Sequence[Credential], address: Address) -> Credential | None:
    """Give the first credential that is meant for an address."""
    return next((credential for credential in credentials if credential.fits(address)), None)


def _credential(entry: Any, where: str) -> Credential:
    if not isinstance(entry, dict) or not set(entry) <= _KEYS:
        raise ValueError(f"{where}: allowed are {', '.join(sorted(_KEYS))}")
    texts = {key: entry[key] for key in _TEXTS if key in entry}
    for key, value in texts.items():
        if not isinstance(value, str) or not 0 < len(value.encode()) <= MAX_SECRET:
            raise ValueError(f"{where}: {key}: must be text of 1 to {MAX_SECRET} bytes")
    _check(texts, where)
    return Credential(_hosts(entry.get("hosts"), where), **texts)


def _hosts(given: Any, where: str) -> tuple[Network, ...]:
    if not isinstance(given, list) or not given or not all(isinstance(item, str) for item in given):
        raise ValueError(f"{where}: hosts: must list addresses or prefixes")
    try:
        return tuple(ip_network(item, strict=False) for item in given)
    except ValueError:
        raise ValueError(f"{where}: hosts: must list addresses or prefixes") from None


def _check(texts: Mapping[str, str], where: str) -> None:
    if ("community" in texts) == ("user" in texts):
        raise ValueError(f"{where}: needs either community (v2c) or user (v3)")
    if "community" in texts and len(texts) > 1:
        raise ValueError(f"{where}: community: stands alone; the other keys belong to v3")
    for kind, known in (("auth", AUTH), ("priv", PRIV)):
        secret = f"{kind}_password"
        if (kind in texts) != (secret in texts):
            raise ValueError(f"{where}: {kind} and {secret} go together")
        if kind in texts and texts[kind] not in known:
            raise ValueError(f"{where}: {kind}: choose one of {', '.join(known)}")
        if kind in texts and len(texts[secret]) < MIN_PASSWORD:
            raise ValueError(f"{where}: {secret}: must have {MIN_PASSWORD} characters or more")
    if "priv" in texts and "auth" not in texts:
        raise ValueError(f"{where}: priv: needs auth too")
