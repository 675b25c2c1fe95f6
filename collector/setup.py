"""Makes a collector's data folder: configuration, CA, server certificate, secrets, database, first administrator."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.core import Core
from collector.errors import Conflict
from collector.memory.people import Role
from collector.process import tls
from collector.process.config import (
    CONFIG_NAME,
    DEFAULT_LISTEN,
    DEFAULT_PORT,
    DEFAULT_RESPONDER_PORT,
    ONE_PORT,
    Config,
    ConfigFault,
    load,
)
from collector.process.keys import SCRAPE_TOKEN_NAME, DataFault, ensure_keys
from collector.process.lock import DataLock
from collector.registry import people
from collector.running import open_core
from wire.endpoint import Endpoint, parse_endpoint
from wire.faults import reason
from wire.text import Text, text_of, within

OPERATOR_NAME = "operator.toml"

_TEMPLATE = """\
# The edusec collector. Unknown keys are errors; docs/operations.md explains every key.
# Check a change with: edusec collector run --data {data} --check

# Where agents, people and Prometheus connect (TLS). One port for all addresses.
listen = [{listen}]

# Host names and addresses by which others reach this collector; the server certificate is made for them.
names = [{names}]

# report_interval = 300          # seconds between reports of an agent
# log_level = "info"             # debug, info, warning, error
lang = "{lang}"                      # zh, en: what the collector itself prints
# rule_packs = []                # folders with rules of your own
# targets = []                   # domains whose reachability every agent checks

[responder]
# The far end of bandwidth tests.
enabled = {responder}
listen = [{responder_listen}]
"""


@dataclass(frozen=True, slots=True)
class Made:
    """What `init` found or made; `created` names the files of this run."""

    config: Config
    operator: Path
    scrape_token: Path
    created: tuple[Path, ...]
    digest: str


def init(
    data: Path, listen: Sequence[str] = (), names: Sequence[str] = (), *, responder: bool = True, lang: str = "zh"
) -> Made:
    """Make a data folder, or complete one; keys, certificates and secrets that exist are kept.

    `listen` and `names` are for a new folder; later they are changed in collector.toml. Raises DataFault, ConfigFault.
    """
    data = data.absolute()
    _folder(data)
    with DataLock(data):
        created: list[Path] = []
        if not (data / CONFIG_NAME).exists():
            content = _configuration(data, listen, names, responder=responder, lang=lang)
            tls.write_public(data / CONFIG_NAME, content.encode())
            created.append(data / CONFIG_NAME)
            config = load(data)
        else:
            config = load(data)
            _same(config, listen, names)
        created += ensure_keys(config)
        operator = data / OPERATOR_NAME
        if _first_person(config, operator):
            created.append(operator)
    return Made(config, operator, data / SCRAPE_TOKEN_NAME, tuple(created), tls.digest_of(config.ca))


def base_url(config: Config, port: int | None = None) -> str:
    """Give the URL by which others reach the collector."""
    host = config.advertised
    return f"https://{f'[{host}]' if ':' in host else host}:{config.listen[0].port if port is None else port}"


def add_person(data: Path, name: str, role: str, unit: str | None, profile: Path) -> None:
    """Add a person and write their operator profile; the collector must not run meanwhile.

    Without a unit the person sees the whole tree. Raises DataFault, DataInUse, BadInput, Conflict, NotFound.
    """
    if profile.exists():
        raise DataFault(Text(f"{profile}：已存在，请换一个文件名", f"{profile}: exists already; name a new file"))
    config = load(data.absolute())
    with DataLock(config.data):
        core = open_core(config.store, config.settings, config.rule_packs)
        try:
            token = people.add_person(core, name, Role(role), unit)
        finally:
            core.close()
    _write_profile(config, profile, token)


def remove_person(data: Path, name: str) -> None:
    """Take a person's token back, as when it was lost; the collector must not run meanwhile.

    Raises DataFault, DataInUse, NotFound.
    """
    config = load(data.absolute())
    with DataLock(config.data):
        core = open_core(config.store, config.settings, config.rule_packs, scheduled=False)
        try:
            people.remove_person(core, name)
        finally:
            core.close()


def point_operator(config: Config, url: str) -> None:
    """Write the URL into the operator profile: with port 0 it is another one at each start."""
    path = config.data / OPERATOR_NAME
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        lines = [f"url = {_toml(url)}" if line.startswith("url = ") else line for line in lines]
        tls.write_private(path, ("\n".join(lines) + "\n").encode())


def summary(made: Made) -> Text:
    """Say what there is now and what to do next."""
    data, url = made.config.data, base_url(made.config)
    zh = [
        f"采集中心数据目录：{data}",
        f"地址：{url}",
        f"CA 证书指纹 (SHA-256)：{made.digest}",
        f"管理员配置：{made.operator}（含令牌，仅本人可读）",
        f"Prometheus 抓取令牌：{made.scrape_token}",
        "下一步：",
    ]
    en = [
        f"Data folder of the collector: {data}",
        f"Address: {url}",
        f"Digest of the CA certificate (SHA-256): {made.digest}",
        f"Administrator's profile: {made.operator} (holds a token, readable by you only)",
        f"Token for Prometheus: {made.scrape_token}",
        "Next:",
    ]
    steps = [
        f"edusec collector run --data {data}",
        f"export EDUSEC_OPERATOR={made.operator}",
        "edusec unit import units.csv",
        "edusec agent token --unit <code>",
    ]
    steps = [f"  {step}" for step in steps]
    return Text("\n".join(zh + steps), "\n".join(en + steps))


def _folder(data: Path) -> None:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = sorted(path.name for path in data.iterdir())
    except OSError as error:
        raise DataFault(
            Text(f"{data}：无法创建或读取：{reason(error).zh}", f"{data}: cannot be made or read: {reason(error).en}")
        ) from None
    if there and CONFIG_NAME not in there and there != [DataLock.NAME]:
        some = f"{', '.join(there[:3])}{', ...' if len(there) > 3 else ''}"
        raise DataFault(
            Text(
                f"{data}：其中有其他文件（{some}）；请给一个新的或空的目录",
                f"{data}: holds other files ({some}); give a new or an empty folder",
            )
        )


def _configuration(data: Path, listen: Sequence[str], names: Sequence[str], *, responder: bool, lang: str) -> str:
    problems = [within("--name", why) for name in names if (why := tls.check_name(name))]
    endpoints = []
    for text in listen or map(str, DEFAULT_LISTEN):
        try:
            endpoints.append(parse_endpoint(text, DEFAULT_LISTEN))
        except ValueError as error:
            problems.append(within("--listen", text_of(error)))
    if len({endpoint.port for endpoint in endpoints}) > 1:
        problems.append(within("--listen", ONE_PORT))
    if problems:
        raise ConfigFault(problems)
    port = endpoints[0].port
    # Beside the main port, so that two collectors on one machine do not meet; 0 stays "any".
    beside = 0 if port == 0 else DEFAULT_RESPONDER_PORT if port == DEFAULT_PORT else (port % 65535) + 1
    return _TEMPLATE.format(
        data=data,
        lang=lang,
        listen=_toml_list(str(endpoint) for endpoint in endpoints),
        names=_toml_list(names),
        responder=str(responder).lower(),
        responder_listen=_toml_list(str(Endpoint(endpoint.host, beside)) for endpoint in endpoints),
    )


def _toml_list(texts: Iterable[str]) -> str:
    return ", ".join(map(_toml, texts))


def _toml(text: str) -> str:
    """Write a text as TOML; its basic strings know every escape that JSON uses."""
    return json.dumps(text, ensure_ascii=False)


def _same(config: Config, listen: Sequence[str], names: Sequence[str]) -> None:
    """Refuse to pass over what was asked for: the configuration of an existing folder is the operator's own."""
    file = config.data / CONFIG_NAME
    problems = []
    if listen and {str(parse_endpoint(text, DEFAULT_LISTEN)) for text in listen} != {
        str(endpoint) for endpoint in config.listen
    }:
        problems.append(_differs(f"{file}: listen", ", ".join(map(str, config.listen)), "--listen"))
    if names and set(names) != set(config.names):
        problems.append(_differs(f"{file}: names", ", ".join(config.names) or "[]", "--name"))
    if problems:
        raise ConfigFault(problems)


def _differs(place: str, told: str, flag: str) -> Text:
    return Text(
        f"{place}：配置为 {told}；请在文件中修改，不能用 {flag}",
        f"{place}: says {told}; change it there, not with {flag}",
    )


def _first_person(config: Config, operator: Path) -> bool:
    """Make the database, and an administrator whose token only the operator profile holds, unless there is one."""
    core = open_core(config.store, config.settings, config.rule_packs)
    try:
        if operator.exists():
            return False
        token = _add_admin(core)
    finally:
        core.close()
    _write_profile(config, operator, token)
    return True


def _write_profile(config: Config, path: Path, token: str) -> None:
    content = f"""# Operator profile of edusec; keep it secret.
url = {_toml(base_url(config))}
ca = {_toml(str(config.ca))}
token = {_toml(token)}
"""
    tls.write_private(path, content.encode())


def _add_admin(core: Core) -> str:
    try:
        return people.add_person(core, "admin", Role.ADMIN, None)
    except Conflict:
        # The profile was lost, or a run was cut off before it was written; who owns the folder may have another.
        name = f"admin-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        return people.add_person(core, name, Role.ADMIN, None)
