"""People, their roles, and the subtree that each may see."""

import secrets

from collector.clock import new_id
from collector.core import Core
from collector.errors import BadInput, Conflict, NotFound
from collector.memory.directory import secret_hash
from collector.memory.people import Person, Role
from collector.store import audit
from collector.store.contract import Turn
from wire.text import Text

MAX_NAME = 64


def add_person(core: Core, name: str, role: Role, unit: str | None) -> str:
    """Add a person bound to a unit's subtree and give their token; raises Conflict, NotFound or BadInput.

    Only the token's hash is stored: what this returns is the only copy.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise BadInput(
            Text(f"name：须为 1-{MAX_NAME} 个可打印字符", f"name: must be 1-{MAX_NAME} printable characters")
        )
    if unit is not None and unit not in core.directory.units:
        raise NotFound(Text(f"没有单位 {unit!r}，请先导入单位树", f"no unit {unit!r}; import the unit tree first"))
    now, token = core.clock(), secrets.token_urlsafe(32)
    ident = new_id(now)

    def work(turn: Turn) -> None:
        if turn.rows("SELECT 1 FROM person WHERE name = ?", (name,)):
            raise Conflict(Text(f"已有名为 {name!r} 的人员", f"a person named {name!r} exists already"))
        turn.run(
            "INSERT INTO person (id, name, role, unit, token_hash, added) VALUES (?, ?, ?, ?, ?, ?)",
            (ident, name, role.value, unit, secret_hash(token), now),
        )
        audit.record(turn, now, "setup", "person.add", name, {"role": role.value, "unit": unit})
        turn.after_commit(lambda: core.directory.put_person(ident, name, role, unit, secret_hash(token)))

    core.store.write(work)
    return token


def remove_person(core: Core, name: str) -> None:
    """Take a person's token back; what they did stays in the audit trail under their name. Raises NotFound."""
    now = core.clock()

    def work(turn: Turn) -> None:
        if not turn.run("DELETE FROM person WHERE name = ?", (name,)):
            raise NotFound(Text(f"没有名为 {name!r} 的人员", f"there is nobody named {name!r}"))
        audit.record(turn, now, "setup", "person.remove", name)
        turn.after_commit(lambda: core.directory.drop_person(name))

    core.store.write(work)


def authenticate(core: Core, token: str) -> Person | None:
    """Give the person behind a token, None for an unknown one."""
    return core.directory.person(token)
