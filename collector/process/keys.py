"""The keys, certificates and secrets of a data folder: made when missing, renewed near their end, else kept."""

import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

from collector.process import tls
from collector.process.config import Config
from wire.errors import EdusecError
from wire.faults import unreadable
from wire.text import Text, within

SCRAPE_TOKEN_NAME = "scrape.token"  # noqa: S105 (a file name)
TICKET_SECRET_NAME = "tickets.key"  # noqa: S105 (a file name)
CA_KEY_NAME = "ca.key"
SCRAPE_PREFIX = "eds1."


class DataFault(EdusecError):
    """The data folder cannot be made or used as it is; the text names the file and what to do."""


def ensure_keys(config: Config) -> list[Path]:
    """Make the keys, certificates and secrets that are missing, renew what runs out, and give what was written."""
    now = datetime.now(UTC)
    made: list[Path] = []
    if config.own_ca:
        ca_key = config.data / CA_KEY_NAME
        if not config.ca.exists() or not ca_key.exists():
            if config.ca.exists():
                raise DataFault(
                    Text(
                        f"{ca_key}：缺少，而 {config.ca} 存在；请从备份恢复。没有它就不能续签证书，而代理只信任这个 CA",
                        f"{ca_key}: is missing while {config.ca} exists; restore it from a backup. "
                        "Without it no certificate can be renewed, and agents trust only this CA",
                    )
                )
            tls.make_ca(config.ca, ca_key, now)
            made += [config.ca, ca_key]
        if tls.why_renew(config.certificate, config.key, config.ca, config.names, now):
            tls.make_server_certificate(config.certificate, config.key, config.ca, ca_key, config.names, now)
            made += [config.certificate, config.key]
    fresh = {SCRAPE_TOKEN_NAME: SCRAPE_PREFIX + secrets.token_urlsafe(32), TICKET_SECRET_NAME: secrets.token_hex(32)}
    for name, content in fresh.items():
        path = config.data / name
        if not path.exists():
            tls.write_private(path, f"{content}\n".encode())
            made.append(path)
    return made


def read_secret(path: Path) -> str:
    """Read a secret of one line that only its owner may read; raises DataFault."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise DataFault(
                    Text(
                        f"{path}：其他用户可以读取；请执行：chmod 600 {path}",
                        f"{path}: others may read it; do: chmod 600 {path}",
                    )
                )
            text = file.read(4096).decode("ascii").strip()
    except OSError as error:
        raise DataFault(within(str(path), unreadable(error))) from None
    except UnicodeDecodeError:
        raise _not_ours(path) from None
    if len(text) < 32:
        raise _not_ours(path)
    return text


def _not_ours(path: Path) -> DataFault:
    return DataFault(
        Text(
            f"{path}：不是 `edusec collector init` 写出的密钥",
            f"{path}: is not the secret that `edusec collector init` wrote",
        )
    )
