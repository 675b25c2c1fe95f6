"""Options that the probes of sites and of this machine's own IPv6 have in common; see `shared_options`."""

from collections.abc import Sequence
from typing import Any

from probes.kit.exchange.web import urls_of
from probes.kit.ipv6.vantage.gate import parse_endpoints
from probes.kit.options import option


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


def _check_sites(texts: Sequence[str]) -> None:
    for text in texts:
        urls_of(text)
