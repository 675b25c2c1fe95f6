"""Who asks: an agent with its credential, a person with a token and a role, or Prometheus with the scrape token."""

import hmac
import re
from collections.abc import Callable, Coroutine
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from collector.api.context import context_of
from collector.errors import CollectorError, Forbidden, Unauthorised
from collector.memory.people import Role
from collector.process.connections import source_of
from collector.registry import agents, people
from wire.text import Text

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Coroutine[Any, Any, None]]

BEARER = re.compile(r"bearer +([\x21-\x7e]{1,1024})", re.IGNORECASE | re.ASCII)
_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


class Throttled(CollectorError):
    """Too many failures from one source; carries when to try again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            Text(f"失败次数过多，请 {retry_after} 秒后再试", f"too many failed attempts; try again in {retry_after} s")
        )
        self.retry_after = retry_after


async def agent_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let an enrolled agent in; its identity becomes the request's user."""
    context, token = context_of(connection), _token(connection)
    identity = agents.authenticate(context.core, token)  # from memory
    if identity is None:
        raise failed(connection, "the agent's credential is unknown or revoked; enrol it again", token)
    connection.scope["user"] = identity


def person(role: Role) -> Guard:
    """Let a person of at least this role in; the person becomes the request's user."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        context, token = context_of(connection), _token(connection)
        someone = people.authenticate(context.core, token)  # from memory
        if someone is None:
            raise failed(connection, Text("令牌无效或已撤销", "the token is unknown or revoked"), token)
        connection.scope["user"] = someone
        if _RANK[someone.role] < _RANK[role]:
            raise Forbidden(
                Text(
                    f"此操作需要角色 {role.value}，{someone.name} 的角色是 {someone.role.value}",
                    f"this needs the role {role.value}; {someone.name} has {someone.role.value}",
                )
            )

    return guard


async def scraper_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let Prometheus in."""
    context, token = context_of(connection), _token(connection)
    if not hmac.compare_digest(token.encode(), context.scrape_token.encode()):
        raise failed(connection, "the scrape token is wrong; it is in scrape.token of the data folder", token)


def address_of(connection: Connection) -> str:
    """Give what stands for the machine that asks."""
    return source_of(connection.client.host) if connection.client else "unknown"


def peer_of(connection: Connection) -> str:
    """Give the address that a request came from, empty where there is none."""
    return connection.client.host if connection.client else ""


def failed(connection: Connection, why: Text | str, credential: str = "") -> CollectorError:
    """Count a failure to identify, and give what to raise: a plain refusal, or one that says to slow down."""
    failures = context_of(connection).failures
    keys = [address_of(connection), *([credential] if credential else [])]
    for key in keys:
        failures.note(key)
    wait = max(failures.wait(key) for key in keys)
    return Throttled(wait) if wait else Unauthorised(why)


def _token(connection: Connection) -> str:
    """Give the bearer token of a request; raises Unauthorised or, for one that fails again and again, Throttled."""
    found = BEARER.fullmatch(connection.headers.get("authorization", ""))
    if found is None:
        raise failed(connection, "send Authorization: Bearer and the token")
    token = found.group(1)
    if wait := context_of(connection).failures.wait(token):
        raise Throttled(wait)
    return token
