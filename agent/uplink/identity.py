"""Who this agent is: where its collector is, what vouches for that collector, and the credential it was given."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from agent.errors import EnrolmentError, StateError
from agent.state import IDENTITY, replace_file
from probes.kit.scope.entries import normal_domain
from wire.codec import decode, encode
from wire.errors import WireError
from wire.faults import reason
from wire.text import within
from wire.types import Code, Line, Max, Name, Port, Time

IDENTITY_SCHEMA = "edusec.identity/1"
DEFAULT_PORT = 443
MAX_CA_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Identity:
    """What enrolment left; `ca` is the certificate, PEM, that alone vouches for the collector at `host`:`port`."""

    host: Name
    port: Port
    ca: Annotated[str, Max(MAX_CA_BYTES)]
    agent: Code
    unit: Code
    unit_name: Name
    credential: Line
    enrolled: Time
    schema: Code = IDENTITY_SCHEMA

    @property
    def url(self) -> str:
        """Give the collector's address as people write it."""
        return f"https://[{self.host}]:{self.port}" if ":" in self.host else f"https://{self.host}:{self.port}"


def parse_url(text: str) -> tuple[str, int]:
    """Take the collector's host and port out of `https://host[:port]`; raises EnrolmentError."""
    scheme, _, rest = text.strip().partition("://")
    rest = rest.removesuffix("/")
    if scheme.lower() != "https" or not rest or any(char in rest for char in "/?#@ "):
        raise _no_url(text)
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise _no_url(text)
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535):
        raise _no_url(text)
    try:
        return _plain_host(host), int(port) if port else DEFAULT_PORT
    except ValueError:
        raise _no_url(text) from None


def _plain_host(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return normal_domain(host)


def _no_url(text: str) -> EnrolmentError:
    example = "https://collector.example.edu.cn:8443"
    return EnrolmentError(
        f"--collector：{text!r} 不是 {example} 这样的地址", f"--collector: {text!r} is not an address such as {example}"
    )


def load(folder: Path) -> Identity:
    """Read the identity; raises StateError that says how to get one."""
    path = folder / IDENTITY
    try:
        return decode(Identity, path.read_bytes())
    except FileNotFoundError:
        command = "edusec agent enroll --collector URL --token TOKEN"
        raise StateError(
            f"{path}：尚未注册；取得采集中心的令牌后执行：{command}",
            f"{path}: not enrolled yet; with a collector's token: {command}",
        ) from None
    except OSError as error:
        raise StateError(*within(str(path), reason(error))) from None
    except WireError as error:
        command = "edusec agent enroll --collector URL --token TOKEN --force"
        raise StateError(
            f"{path}：{error.text.zh}；请重新注册：{command}", f"{path}: {error}; enrol again with: {command}"
        ) from None


def save(folder: Path, identity: Identity) -> None:
    """Write the identity, durable on return; raises OSError."""
    replace_file(folder / IDENTITY, encode(identity) + b"\n")
