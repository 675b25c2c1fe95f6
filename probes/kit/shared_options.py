"""Options that several probes have in common, so that one name means, accepts and says the same everywhere."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from probes.kit.options import option
from probes.kit.scope.addresses import Address
from probes.kit.scope.targets import parse_targets
from wire.text import TextError


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
    """Read plain addresses; raises TextError for the first that is none."""
    return tuple(map(_address, texts))


def parse_six(texts: Sequence[str]) -> tuple[IPv6Address, ...]:
    """Read plain IPv6 addresses; raises TextError for the first that is none."""
    found = []
    for text, address in zip(texts, parse_addresses(texts), strict=True):
        if not isinstance(address, IPv6Address):
            raise TextError(f"{text[:64]!r} 不是 IPv6 地址", f"{text[:64]!r} is not an IPv6 address")
        found.append(address)
    return tuple(found)


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise TextError(f"{text[:64]!r} 不是 IP 地址", f"{text[:64]!r} is not an IP address") from None
