"""The agent's configuration: one TOML file into frozen dataclasses, all faults at once as `file: key: what is allowed`.

Durations are seconds, sizes are bytes, rates are connections and datagrams per second. Which options a task's probe
takes is known to that probe only; `agent.check` looks at those in a process of its own, so that the daemon stays small.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.errors import ConfigError
from agent.files import PLACES, is_place
from agent.probing.job import Limits
from agent.spool.sections import MIN_BYTES
from probes.kit.sending.pacing import QuietHours
from wire.endpoint import Endpoint, parse_endpoint
from wire.faults import not_toml, too_large, unreadable
from wire.text import Text, TextError, within
from wire.types import Value

MAX_CONFIG_BYTES = 1 << 20
MAX_TASKS = 64
MAX_OPTIONS = 64
MAX_TEXT = 1024
MAX_ITEMS = 1000
MAX_NAME = 64
SYSTEM_CONFIG = Path("/etc/edusec/agent.toml")
SYSTEM_SCOPE = Path("/etc/edusec/scope.toml")
SYSTEM_STATE = Path("/var/lib/edusec/agent")
SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 31_622_400.0


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """A probe to run every `interval` seconds, for `timeout` seconds at most (None: derived from the interval).

    One that the collector handed down may name only files that the configuration allows.
    """

    name: str
    probe: str
    interval: float
    options: Mapping[str, Value] = field(default_factory=dict)
    timeout: float | None = None
    handed_down: bool = False


@dataclass(frozen=True, slots=True)
class OrdersConfig:
    """Whether this gateway runs what people ask for at the collector, and which probes; its scope bounds all."""

    accept: bool = True
    probes: tuple[str, ...] = ("open_ports", "udp_ports", "discovery")


DEFAULT_METRICS = Endpoint("127.0.0.1", 9917)
DEFAULT_TASKS = (
    TaskConfig("host_vitals", "host_vitals", 300),
    TaskConfig("asset_whitelist", "asset_whitelist", 900),
    TaskConfig("ipv6_reachability", "ipv6_reachability", 1800),
    TaskConfig("open_ports", "open_ports", 3600),
    TaskConfig("bandwidth", "bandwidth", 21_600),
)
"""What runs when neither the configuration nor the collector names tasks; the scope bounds all of them."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. `processes` probes run at a time; `report_interval` None means: as the collector says.

    `files` are what tasks of the collector may name, see `agent.files`.
    """

    file: str = ""
    state: Path = SYSTEM_STATE
    scope: Path = SYSTEM_SCOPE
    metrics: Endpoint | None = DEFAULT_METRICS
    metrics_url: str = ""
    report_interval: float | None = None
    processes: int = 1
    files: tuple[str, ...] = PLACES
    spool_bytes: int = 64 << 20
    limits: Limits = field(default_factory=Limits)
    tasks: tuple[TaskConfig, ...] = ()
    orders: OrdersConfig = field(default_factory=OrdersConfig)


def load(path: Path | None) -> Config:
    """Read a configuration; None means the system's, which may be missing. Raises ConfigError with every fault."""
    place = path or SYSTEM_CONFIG
    try:
        with place.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        if path is None:
            return Config(scope=_scope_place())
        raise ConfigError(Text(f"{place}：没有这个文件", f"{place}: there is no such file")) from None
    except OSError as error:
        raise ConfigError(within(str(place), unreadable(error))) from None
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(within(str(place), too_large(MAX_CONFIG_BYTES)))
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, or a number that cannot be held
        raise ConfigError(within(str(place), not_toml(error))) from None
    return _Reader(str(place)).config(document)


def _scope_place() -> Path:
    """Give the scope file of the environment, which the command line's `edusec scope` uses too, or the system's."""
    chosen = os.environ.get("EDUSEC_SCOPE", "")
    return Path(chosen) if chosen.startswith("/") else SYSTEM_SCOPE


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file, and how faults begin that are about one of its keys."""

    place: str
    held: Mapping[str, Any]


class _Reader:
    """Takes the document apart and collects every fault on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Text] = []

    def config(self, document: Mapping[str, Any]) -> Config:
        self.known(_Table("", document), ("agent", "spool", "limits", "orders", "task"))
        agent = self.table(document, "agent")
        spool = self.table(document, "spool")
        limits = self.table(document, "limits")
        self.known(agent, ("state", "scope", "metrics", "metrics_url", "report_interval", "processes", "files"))
        self.known(spool, ("max_bytes",))
        self.known(limits, ("rate", "connections", "per_host", "memory", "quiet_hours"))
        plain, bounds = Config(), Limits()
        config = Config(
            file=self.file,
            state=self.path(agent, "state", plain.state),
            scope=self.path(agent, "scope", _scope_place()),
            metrics=self.metrics(agent),
            metrics_url=self.text(agent, "metrics_url", "", 256),
            report_interval=self.number(agent, "report_interval", None, 1, 86_400),
            processes=self.integer(agent, "processes", plain.processes, 1, 16),
            files=self.files(agent, plain.files),
            spool_bytes=self.integer(spool, "max_bytes", plain.spool_bytes, MIN_BYTES, 1 << 40),
            limits=Limits(
                rate=self.number(limits, "rate", bounds.rate, 0.1, 1e6) or bounds.rate,
                connections=self.integer(limits, "connections", bounds.connections, 1, 60_000),
                per_host=self.integer(limits, "per_host", bounds.per_host, 1, 60_000),
                memory=self.integer(limits, "memory", bounds.memory, 64 << 20, 1 << 40),
                quiet_hours=self.quiet_hours(limits),
            ),
            tasks=self.tasks(document),
            orders=self.orders(document),
        )
        if self.problems:
            raise ConfigError(*self.problems)
        return config

    def fault(self, key: str, zh: str, en: str) -> None:
        self.problems.append(within(f"{self.file}: {key}", Text(zh, en)))

    def known(self, table: _Table, allowed: tuple[str, ...]) -> None:
        for key in table.held:
            if key not in allowed:
                names = ", ".join(allowed)
                self.fault(
                    f"{table.place}{key[:MAX_NAME]!s}",
                    f"没有这个键；可用：{names}",
                    f"is not known; allowed are {names}",
                )

    def table(self, document: Mapping[str, Any], key: str) -> _Table:
        found = document.get(key, {})
        if isinstance(found, dict):
            return _Table(f"{key}.", found)
        self.fault(key, f"须为表，写成 [{key}]", f"must be a table, written as [{key}]")
        return _Table(f"{key}.", {})

    def integer(self, table: _Table, key: str, default: int, low: int, high: int) -> int:
        value = table.held.get(key, default)
        if type(value) is int and low <= value <= high:
            return value
        self._out_of_range(table.place + key, "整数", "a whole number", f"{low}", f"{high}", value)
        return default

    def number(self, table: _Table, key: str, default: float | None, low: float, high: float) -> float | None:
        value = table.held.get(key, default)
        if value is None or (type(value) in (int, float) and low <= value <= high):
            return None if value is None else float(value)
        self._out_of_range(table.place + key, "数值", "a number", f"{low:.15g}", f"{high:.15g}", value)
        return default

    def _out_of_range(self, key: str, zh: str, en: str, low: str, high: str, value: object) -> None:
        found = _shown(value)
        self.fault(
            key, f"须为 {low} 至 {high} 的{zh}，不是 {found}", f"{en} from {low} to {high} is allowed, not {found}"
        )

    def text(self, table: _Table, key: str, default: str, most: int) -> str:
        value = table.held.get(key, default)
        if isinstance(value, str) and len(value) <= most and (value.isprintable() or not value):
            return value
        found = _shown(value)
        zh = f"须为最多 {most} 个可打印字符的文本，不是 {found}"
        self.fault(table.place + key, zh, f"a text of at most {most} printable characters is allowed, not {found}")
        return default

    def path(self, table: _Table, key: str, default: Path) -> Path:
        value = table.held.get(key)
        if value is None:
            return default
        if isinstance(value, str) and value.startswith("/") and "\0" not in value:
            return Path(value)
        found = _shown(value)
        zh = f"须为绝对路径，如 {default}，不是 {found}"
        self.fault(table.place + key, zh, f"an absolute path such as {default} is allowed, not {found}")
        return default

    def files(self, table: _Table, default: tuple[str, ...]) -> tuple[str, ...]:
        value = table.held.get("files", list(default))
        if isinstance(value, list) and len(value) <= MAX_TASKS and all(is_place(item) for item in value):
            return tuple(value)
        found = _shown(value)
        zh = f'须为最多 {MAX_TASKS} 个绝对路径的列表，文件夹以 "/" 结尾，如 ["/etc/edusec/"]，不是 {found}'
        en = f'a list of at most {MAX_TASKS} absolute paths is allowed, folders with "/" at the end, such as '
        self.fault("agent.files", zh, f'{en}["/etc/edusec/"], not {found}')
        return ()

    def metrics(self, table: _Table) -> Endpoint | None:
        value = table.held.get("metrics", str(DEFAULT_METRICS))
        if value == "off":
            return None
        try:
            return parse_endpoint(str(value), (DEFAULT_METRICS, Endpoint("::1", DEFAULT_METRICS.port)))
        except TextError as error:
            said = error.text
            self.fault("agent.metrics", f'{said.zh}；也可写 "off"', f'{said.en}; "off" is allowed too')
            return None

    def quiet_hours(self, table: _Table) -> tuple[str, ...]:
        value = table.held.get("quiet_hours", [])
        if not isinstance(value, list) or len(value) > 16:
            zh, en = "须为最多 16 个时段的列表，如", "a list of at most 16 spans is allowed, such as"
            self.fault("limits.quiet_hours", f'{zh} ["07:30-12:00"]', f'{en} ["07:30-12:00"]')
            return ()
        spans = []
        for number, item in enumerate(value, start=1):
            try:
                if not isinstance(item, str):
                    raise ValueError(f'{_shown(item)} is not a text such as "07:30-12:00"')
                spans.append(str(QuietHours.parse(item)))
            except ValueError as error:
                zh = f"须为 07:30-12:00 或 22:00-06:00 这样的时段，不是 {_shown(item)}"
                self.fault(f"limits.quiet_hours: item {number}", zh, str(error))
        return tuple(spans)

    def orders(self, document: Mapping[str, Any]) -> OrdersConfig:
        table, plain = self.table(document, "orders"), OrdersConfig()
        self.known(table, ("accept", "probes"))
        accept, probes = table.held.get("accept", plain.accept), table.held.get("probes", list(plain.probes))
        if not isinstance(accept, bool):
            self.fault("orders.accept", f"须为 true 或 false，不是 {_shown(accept)}", "true or false is allowed")
            accept = False
        words = isinstance(probes, list) and all(isinstance(name, str) and is_word(name) for name in probes)
        if not words or len(probes) > MAX_TASKS:
            zh = f'须为最多 {MAX_TASKS} 个探测名称的列表，如 ["open_ports"]，不是 {_shown(probes)}'
            en = f'a list of at most {MAX_TASKS} names of probes is allowed, such as ["open_ports"]'
            self.fault("orders.probes", zh, f"{en}, not {_shown(probes)}")
            probes = []
        return OrdersConfig(accept, tuple(probes))

    def tasks(self, document: Mapping[str, Any]) -> tuple[TaskConfig, ...]:
        listed = document.get("task", [])
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            self.fault("task", "须写成 [[task]] 表", "must be written as [[task]] tables")
            return ()
        if len(listed) > MAX_TASKS:
            zh = f"最多 {MAX_TASKS} 个任务，现有 {len(listed)} 个"
            self.fault("task", zh, f"at most {MAX_TASKS} tasks are allowed, not {len(listed)}")
            return ()
        tasks = [self.task(_Table(f"task {number}: ", item)) for number, item in enumerate(listed, start=1)]
        names = [task.name for task in tasks]
        for number, name in enumerate(names, start=1):
            if name and name in names[: number - 1]:
                taken = names.index(name) + 1
                zh = f"{name!r} 已被第 {taken} 个任务使用，名称不能重复"
                self.fault(f"task {number}: name", zh, f"{name!r} is taken by task {taken}; names are unique")
        return tuple(tasks)

    def task(self, table: _Table) -> TaskConfig:
        self.known(table, ("name", "probe", "interval", "timeout", "options"))
        for key in ("probe", "interval"):
            if key not in table.held:
                self.fault(table.place + key, "缺少", "is missing")
        probe = self.word(table, "probe", "")
        options = table.held.get("options", {})
        if not isinstance(options, dict) or len(options) > MAX_OPTIONS:
            most = MAX_OPTIONS
            self.fault(
                f"{table.place}options", f"须为最多 {most} 项的表", f"a table of at most {most} options is allowed"
            )
            options = {}
        return TaskConfig(
            name=self.word(table, "name", probe),
            probe=probe,
            interval=self.number(table, "interval", 3600, SHORTEST_INTERVAL, LONGEST_INTERVAL) or 3600,
            timeout=self.number(table, "timeout", None, 1, 86_400),
            options={
                str(key): self.option(f"{table.place}options.{key[:MAX_NAME]}", value) for key, value in options.items()
            },
        )

    def word(self, table: _Table, key: str, default: str) -> str:
        value = table.held.get(key, default)
        if isinstance(value, str) and ((not value and key not in table.held) or is_word(value)):
            return value
        found = _shown(value)
        zh = f"须为 1 至 {MAX_NAME} 个字母、数字、'_'、'-'、'.'，不是 {found}"
        self.fault(table.place + key, zh, f"1 to {MAX_NAME} letters, digits, '_', '-' and '.' are allowed, not {found}")
        return default

    def option(self, key: str, value: object) -> Value:
        if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= 2**53):
            return value
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            return value
        if isinstance(value, list) and len(value) <= MAX_ITEMS:
            texts = tuple(item for item in value if isinstance(item, str) and len(item) <= MAX_TEXT)
            if len(texts) == len(value):
                return texts
        zh = f"须为文本（最多 {MAX_TEXT} 个字符）、数值、true、false 或文本列表"
        en = f"a text (at most {MAX_TEXT} characters), a number, true, false or a list of texts is allowed"
        self.fault(key, zh, en)
        return None


def is_word(text: str) -> bool:
    """Tell whether a text can name a task."""
    allowed = all(char.isascii() and (char.isalnum() or char in "_-.") for char in text)
    return allowed and 1 <= len(text) <= MAX_NAME and text[0] not in "-."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
