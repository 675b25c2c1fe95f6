"""Options that several probes have in common, so that one name means, accepts and says the same everywhere."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from probes.kit.options import option
from probes.kit.scope import Address
from probes.kit.targets import parse_targets
from probes.kit.vantage import parse_endpoints
from probes.kit.web import urls_of


def hosts_option(*, zh: str, en: str) -> Any:
    """Give `targets` of a probe that asks ports: this machine, unless said otherwise."""
    return option(("127.0.0.1", "::1"), zh=zh, en=en, check=parse_targets)


def sites_option() -> Any:
    """Give `targets` of a probe that looks at sites."""
    return option(
        (),
        zh="检查的域名或网址（另加采集端下发的目标）",
        en="domains or URLs, beside those that the collector hands down",
        check=_check_sites,
    )


def proof_option() -> Any:
    """Give `self_targets`: what proves that this machine itself has IPv6."""
    return option(
        (),
        zh="证明本机 IPv6 可用的外部目标，至少三个互不相关的地址，如 [2001:db8::1]:443",
        en="at least three unrelated outside addresses that prove this machine's IPv6, such as [2001:db8::1]:443",
        check=parse_endpoints,
    )


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


def _check_sites(texts: Sequence[str]) -> None:
    for text in texts:
        urls_of(text)
