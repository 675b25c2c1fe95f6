"""The collector's configuration: one TOML file into one frozen dataclass, every fault named as `file: key: what`."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import date
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from collector.process.tls import check_name
from collector.settings import LocalTarget, Room, Scraping, Settings
from wire.bandwidth import MAX_TEST_BYTES, MAX_TEST_SECONDS
from wire.codec import from_plain
from wire.endpoint import Endpoint, parse_endpoint
from wire.errors import DecodeError, EdusecError
from wire.faults import not_toml, too_large, unreadable
from wire.ports import parse_ports
from wire.text import Text, TextError, lines_of, text_of, within
from wire.types import Range, Task

T = TypeVar("T")
_ALLOWED: Mapping[Any, Text] = {
    bool: Text(" true 或 false", "true or false"),
    int: Text("整数", "a whole number"),
    float: Text("数值", "a number"),
    date: Text("日期，如 2026-12-31", "a date such as 2026-12-31"),
}

CONFIG_NAME = "collector.toml"
MAX_CONFIG_BYTES = 1 << 20
DEFAULT_PORT = 8443
DEFAULT_RESPONDER_PORT = 8444
DEFAULT_LISTEN = (Endpoint("0.0.0.0", DEFAULT_PORT), Endpoint("::", DEFAULT_PORT))  # noqa: S104
ONE_PORT = Text("各地址须使用同一端口", "must use the same port on every address")


class ConfigFault(EdusecError):
    """A configuration that cannot be used; `problems` holds every fault, in English, as `file: key: what`."""

    def __init__(self, problems: Iterable[Text]) -> None:
        super().__init__(lines_of(problems))
        self.problems = tuple(self.text.en.split("\n"))


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate given by the operator, all three or none; without them the collector's own CA serves.

    `ca` is the certificate that vouches for `cert`: agents compare its digest at enrolment and trust it alone.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ResponderConfig:
    """The bandwidth responder: where it listens and what one test, one agent and all together may use."""

    enabled: bool = True
    listen: tuple[Endpoint, ...] = ()
    host: str = ""
    max_bytes: Annotated[int, Range(65_536, MAX_TEST_BYTES)] = 1 << 30
    max_seconds: Annotated[float, Range(1, MAX_TEST_SECONDS)] = 15.0
    tests: Annotated[int, Range(1, 64)] = 4
    bytes_per_day: Annotated[int, Range(0, 1 << 50)] = 20 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers and slow lines may take. Times in seconds, sizes in bytes."""

    connections: Annotated[int, Range(8, 60_000)] = 4096
    connections_per_address: Annotated[int, Range(1, 60_000)] = 512
    handshake_seconds: Annotated[float, Range(1, 60)] = 10.0
    header_seconds: Annotated[float, Range(1, 60)] = 10.0
    header_bytes: Annotated[int, Range(4096, 262_144)] = 32_768
    idle_seconds: Annotated[int, Range(1, 600)] = 30
    body_seconds: Annotated[float, Range(1, 3600)] = 120.0
    answer_seconds: Annotated[float, Range(1, 600)] = 60.0
    shutdown_seconds: Annotated[int, Range(1, 300)] = 10
    failures_per_minute: Annotated[int, Range(1, 10_000)] = 30


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days samples, resolved alerts and changes are kept, and addresses that nobody sees any more."""

    measurement_days: Annotated[int, Range(1, 3660)] = 90
    alert_days: Annotated[int, Range(180, 3660)] = 365
    change_days: Annotated[int, Range(1, 3660)] = 365
    forget_days: Annotated[int, Range(7, 3660)] = 90


@dataclass(frozen=True, slots=True)
class Judging:
    """When something counts as absent, unknown or silent (see collector.settings); times in seconds."""

    absent_after: Annotated[int, Range(1, 100)] = 3
    ipv6_equal_results: Annotated[int, Range(1, 100)] = 3
    ipv6_traffic_fall: Annotated[float, Range(0.01, 1)] = 0.3
    unknown_after: Annotated[float, Range(60, 31_622_400)] = 86_400.0
    silent_after: Annotated[float, Range(1, 1000)] = 3.0
    clock_tolerance: Annotated[float, Range(1, 86_400)] = 300.0


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator decided. `data` is the folder of the configuration itself."""

    data: Path
    listen: tuple[Endpoint, ...] = DEFAULT_LISTEN
    names: tuple[str, ...] = ()
    database: Path = Path("collector.db")
    rule_packs: tuple[Path, ...] = ()
    report_interval: Annotated[float, Range(1, 86_400)] = 300.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    lang: Literal["zh", "en"] = "zh"
    targets: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    ipv6_targets: tuple[LocalTarget, ...] = ()
    scrape: Scraping = field(default_factory=Scraping)
    room: Room = field(default_factory=Room)
    retention: Retention = field(default_factory=Retention)
    judging: Judging = field(default_factory=Judging)
    tls: Tls = field(default_factory=Tls)
    responder: ResponderConfig = field(default_factory=ResponderConfig)
    limits: Limits = field(default_factory=Limits)

    @property
    def settings(self) -> Settings:
        """What the data half is told."""
        told = {item.name: getattr(part, item.name) for part in (self.retention, self.judging) for item in fields(part)}
        return Settings(
            report_interval=self.report_interval,
            targets=self.targets,
            tasks=self.tasks,
            ipv6_targets=self.ipv6_targets,
            scraping=self.scrape,
            room=self.room,
            **told,
        )

    @property
    def store(self) -> Path:
        """The database file."""
        return self.data / self.database

    @property
    def makers(self) -> Path:
        """The folder of imported MAC prefixes; need not be there."""
        return self.data / "makers"

    @property
    def certificate(self) -> Path:
        """The server's certificate chain."""
        return self.tls.cert or self.data / "server.crt"

    @property
    def key(self) -> Path:
        """The server's private key."""
        return self.tls.key or self.data / "server.key"

    @property
    def ca(self) -> Path:
        """The certificate that agents and people trust."""
        return self.tls.ca or self.data / "ca.crt"

    @property
    def own_ca(self) -> bool:
        """Whether the collector issues its own server certificate."""
        return self.tls.cert is None

    @property
    def advertised(self) -> str:
        """The name or address to print and to hand down: the first name, else an address listened on, else loopback."""
        if self.names:
            return self.names[0]
        given = [endpoint.host for endpoint in self.listen if not ip_address(endpoint.host).is_unspecified]
        return given[0] if given else "localhost"


def load(data: Path) -> Config:
    """Read the configuration of a data folder; raises ConfigFault."""
    return load_file(data / CONFIG_NAME)


def load_file(path: Path) -> Config:
    """Read a configuration file; relative paths in it start at its folder. Raises ConfigFault with every fault."""
    path = path.absolute()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        made = f"edusec collector init --data {path.parent}"
        raise ConfigFault(
            [Text(f"{path}：不存在；用 `{made}` 创建", f"{path}: does not exist; `{made}` makes it")]
        ) from None
    except OSError as error:
        raise ConfigFault([within(str(path), unreadable(error))]) from None
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigFault([within(str(path), too_large(MAX_CONFIG_BYTES))])
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, or a number that cannot be held
        raise ConfigFault([within(str(path), not_toml(error))]) from None
    return parse(table, path)


def parse(table: Mapping[str, Any], path: Path) -> Config:
    """Build a configuration from parsed TOML; raises ConfigFault with every fault."""
    reader = _Reader(path)
    values = reader.table(Config, table, "", skip=("data",))
    if not reader.problems:
        config = Config(data=path.parent, **values)
        _check(config, reader)
        if not reader.problems:
            return config
    raise ConfigFault(reader.problems)


def _check(config: Config, reader: "_Reader") -> None:
    if not config.listen:
        reader.fault("listen", Text("至少须有一个地址和端口", "must name at least one address and port"))
    for name in config.names:
        if why := check_name(name):
            reader.fault("names", why)
    try:
        parse_ports(config.scrape.ports)
    except ValueError as error:
        reader.fault("scrape.ports", text_of(error))
    for prefix in config.scrape.networks:
        try:
            ip_network(prefix)
        except ValueError as error:
            what = Text(
                f"{prefix!r} 不是 10.200.0.0/16 这样的网段", f"{error}; a prefix such as 10.200.0.0/16 is allowed"
            )
            reader.fault("scrape.networks", what)
    given = [name for name in ("cert", "key", "ca") if getattr(config.tls, name) is not None]
    if given and len(given) < 3:
        reader.fault(
            "tls",
            Text(
                f"只有 {'、'.join(given)}；cert、key、ca 要么都给，要么都不给",
                f"has {' and '.join(given)} only; give cert, key and ca, or none of them",
            ),
        )
    if config.responder.host and (why := check_name(config.responder.host)):
        reader.fault("responder.host", why)
    if len({endpoint.port for endpoint in config.responder.listen}) > 1:
        reader.fault("responder.listen", ONE_PORT)
    if len({endpoint.port for endpoint in config.listen}) > 1:
        reader.fault("listen", ONE_PORT)


class _Reader:
    """Reads tables by the annotations of dataclasses and collects faults instead of stopping at the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Text] = []

    def fault(self, key: str, what: Text) -> None:
        # A quoted key of TOML may hold a line end: one fault stays one line.
        shown = key if key.isprintable() else ascii(key)[1:-1]
        self.problems.append(within(f"{self.path}: {shown}", what))

    def table(
        self, kind: type[Any], table: Mapping[str, Any], where: str, skip: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        hints = get_type_hints(kind, include_extras=True)
        known = {item.name: item for item in fields(kind) if item.name not in skip}
        for key in table:
            if key not in known:
                self.fault(where + key, _unknown(key, known))
        values = {}
        for name, item in known.items():
            if name in table:
                values[name] = self._value(hints[name], table[name], where + name)
            elif item.default is MISSING and item.default_factory is MISSING:
                self.fault(where + name, Text("缺少", "is missing"))
        return values

    def _value(self, kind: Any, found: Any, key: str) -> Any:
        if kind is Task:
            return self._task(found, key)
        if is_dataclass(kind) and kind is not Endpoint:
            if not isinstance(found, dict):
                self.fault(key, Text("须为表", "must be a table"))
                return None
            before = len(self.problems)
            values = self.table(cast("type[Any]", kind), found, f"{key}.")
            return kind(**values) if len(self.problems) == before else None  # type: ignore[operator]
        origin = get_origin(kind)
        if origin is tuple:
            if not isinstance(found, list) or len(found) > 64:
                self.fault(key, Text("须为最多 64 项的列表", "must be a list of at most 64 items"))
                return None
            return tuple(self._value(get_args(kind)[0], item, f"{key}[{index}]") for index, item in enumerate(found))
        try:
            return _scalar(kind, found, self.path.parent)
        except ValueError as error:
            self.fault(key, text_of(error))
            return None

    def _task(self, found: Any, key: str) -> Task | None:
        """Read a task as it will travel; what the wire would pass over is an error here."""
        if isinstance(found, dict):
            known = [item.name for item in fields(Task)]
            for name in found:
                if name not in known:
                    self.fault(f"{key}.{name}", _unknown(name, known))
        try:
            return from_plain(Task, found)
        except DecodeError as error:
            seen = error.within(key)
            self.fault(seen.where, seen.what)
            return None


def _unknown(key: str, known: Iterable[str]) -> Text:
    names = tuple(known)
    if near := get_close_matches(key, names, 1):
        return Text(f"没有这个键；是否指 {near[0]}？", f"is not a key; did you mean {near[0]}?")
    listed = ", ".join(names)
    return Text(f"没有这个键；可用的键：{listed}", f"is not a key; known keys: {listed}")


def _scalar(kind: Any, found: Any, folder: Path) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        base, *notes = get_args(kind)
        number = _scalar(base, found, folder)
        for low, high in (note for note in notes if isinstance(note, Range)):
            if not low <= number <= high:
                span = f"{low:.15g}", f"{high:.15g}"
                raise TextError(
                    f"须为 {span[0]} 至 {span[1]}，不是 {number}", f"must be from {span[0]} to {span[1]}, is {number}"
                )
        return number
    if origin is Literal:
        if found not in get_args(kind):
            words = ", ".join(get_args(kind))
            raise TextError(f"须为 {words} 之一", f"must be one of {words}")
        return found
    if kind is bool and isinstance(found, bool):
        return found
    if kind is int and type(found) is int:
        return found
    if kind is float and type(found) in (int, float):
        return float(found)
    if kind is date and type(found) is date:
        return found
    if isinstance(found, str) and found and "\0" not in found and len(found) <= 4096:
        if kind is str:
            return found
        if kind is Endpoint:
            return parse_endpoint(found, DEFAULT_LISTEN)
        if kind in (Path, Path | None):
            return folder / found
    wanted = _ALLOWED.get(kind, Text("非空文本", "a text that is not empty"))
    raise TextError(f"须为{wanted.zh}", f"must be {wanted.en}")
