"""What Prometheus asks for: the agents that can be scraped and the collector itself, as HTTP service discovery."""

import re
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

from collector.config import Endpoint
from collector.views import ScrapeTarget

Role = Literal["agent", "collector"]

_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)


def targets(agents: Iterable[ScrapeTarget], own: Endpoint, role: Role | None = None) -> list[dict[str, Any]]:
    """Give the full list, in one stable order; agents whose URL cannot be a scrape address are left out."""
    groups: list[dict[str, Any]] = []
    if role in (None, "agent"):
        for agent in sorted(agents, key=lambda agent: agent.agent):
            place = _place(agent.metrics_url)
            if place is not None:
                scheme, address, path = place
                groups.append(
                    {
                        "targets": [address],
                        "labels": {
                            "__scheme__": scheme,
                            "__metrics_path__": path,
                            "role": "agent",
                            "agent": agent.agent,
                            "unit": agent.unit,
                            "unit_name": agent.unit_name,
                            "county": agent.county,
                            "county_name": agent.county_name,
                        },
                    }
                )
    if role in (None, "collector"):
        groups.append(
            {
                "targets": [str(own)],
                "labels": {"__scheme__": "https", "__metrics_path__": "/metrics", "role": "collector"},
            }
        )
    return groups


def _place(url: str) -> tuple[str, str, str] | None:
    """Take a URL apart that an agent sent: a stranger's words must not become other labels, users or queries."""
    if not url.isascii() or not url.isprintable():  # urlsplit would drop line ends without a word
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    path = parts.path or "/metrics"
    plain = parts.scheme in ("http", "https") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if not plain or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        return None
    return parts.scheme, f"{host}:{port or (443 if parts.scheme == 'https' else 80)}", path
