"""Options that several probes have in common, so that one name means, accepts and says the same everywhere."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from probes.kit.options import option
from probes.kit.scope.addresses import Address
from probes.kit.scope.targets import parse_targets


def hosts_option(*, zh: str, en: str) -> Any:
    """Give `targets` of a probe that asks ports: this machine, unless said otherwise."""
    return option(("127.0.0.1", "::1"), zh=zh, en=en, check=parse_targets)


def resolvers_option() -> Any:
    """Give `resolvers`: whom to ask instead of the system's own ones."""
    return option(
        (),
        zh="DNS 解析器地址；默认取自系统",
        en="addresses of DNS resolvers; those of the system by default",
        check=parse_addresses,
    )


def patience_option() -> Any:
    """Give `timeout` of a probe that goes step by step."""
    return option(5.0, zh="每一步的等待时间", en="how long to wait at each step", unit="s", minimum=0.1, maximum=60)


def parse_addresses(texts: Sequence[str]) -> tuple[Address, ...]:
    """Read plain addresses; raises ValueError for the first that is none."""
    return tuple(ip_address(text) for text in texts)
