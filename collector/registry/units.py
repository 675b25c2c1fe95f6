"""The unit tree: province, city, county, school; imported from tables, all or nothing, as often as one likes."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from sqlalchemy import ColumnElement, Connection, TableClause, func, select

from collector.answers import views
from collector.core import Core
from collector.memory.codes import (
    SCHOOL,
    Kind,
    default_parent,
    fault_of_parent,
    faults_of_code,
    faults_of_division,
    kind_of,
    read_kind,
)
from collector.memory.directory import Node, require
from collector.memory.people import Person, Role
from collector.sheets.reading import Column, Problems, Record, read_sheet
from collector.store import audit, tables
from collector.store.contract import Turn
from wire.text import Text

COLUMNS = (
    Column(
        "code",
        ("编码", "代码", "单位编码", "单位代码", "机构编码", "机构代码", "学校代码", "学校标识码", "unit"),
        required=True,
    ),
    Column("name", ("名称", "单位名称", "机构名称", "学校名称", "unit name"), required=True),
    Column("kind", ("类别", "类型", "单位类别", "单位类型", "层级", "type", "tier")),
    Column("parent", ("上级", "上级编码", "上级代码", "上级单位", "上级单位编码", "主管单位编码", "parent code")),
    Column("division_code", ("区划", "区划代码", "行政区划", "行政区划代码", "division")),
)
MAX_NAME = 256
MAX_DEPTH = 8
_NODE = tuple(field.name for field in fields(Node))
TABLES_WITH_UNIT = ("asset", "service", "site", "measurement", "alert", "registered")


@dataclass(frozen=True, slots=True)
class _Wanted:
    line: int
    code: str
    name: str
    kind: Kind
    parent: str | None
    division: str


def import_units(core: Core, person: Person, data: bytes, filename: str) -> views.ImportResult:
    """Add and change units from CSV, TSV or XLSX; raises BadFile with every fault, and Forbidden.

    Units that the file does not name stay as they are. A unit that holds data may move below another parent, which is
    reported as a warning, but not to another county: its data is kept by county.
    """
    require(person, Role.ADMIN)
    problems = Problems(filename)
    settings = core.settings
    records = read_sheet(
        data, COLUMNS, problems, filename=filename, max_bytes=settings.import_bytes, max_rows=settings.import_rows
    )
    wanted = _unique([found for record in records if (found := _read(record, problems))], problems)
    now = core.clock()

    def work(turn: Turn) -> views.ImportResult:
        # As the transaction sees it, so that two imports at once cannot undo or entangle each other.
        before = {row[0]: Node(*row) for row in turn.rows(f"SELECT {', '.join(_NODE)} FROM unit")}  # noqa: S608
        tree = _grow(before, wanted, problems)
        problems.check()
        changed = {code: node for code, node in tree.items() if before.get(code) != node}
        named = {unit.code for unit in wanted}
        _check_reach(person, before, tree, wanted, problems)
        _check_moves(turn, before, changed, {unit.code: unit.line for unit in wanted}, problems)
        problems.check()
        added = [code for code in changed if code not in before]
        _write(turn, changed, set(added), now)
        if changed:
            detail = {"file": filename[:100], "added": len(added), "changed": len(changed) - len(added)}
            audit.record(turn, now, person.name, "unit.import", person.unit or "*", detail)
            turn.after_commit(lambda: core.directory.put_units(tree))
        return views.ImportResult(
            added=len(added),
            changed=sum(code in named for code in changed) - len(added),
            unchanged=len(named - set(changed)),
            warnings=views.words_of(problems.warnings),
        )

    problems.check()
    return core.store.write(work)


def list_units(core: Core, person: Person, under: str | None = None) -> list[views.Unit]:
    """Give the units of a subtree, each parent before its children; raises NotFound."""
    reach = tables.under(core.directory.reach(person, under))
    with core.store.reader() as connection:
        agents = _per_unit(connection, tables.agent, tables.agent.c.revoked.is_(None))
        assets = _per_unit(connection, tables.asset, tables.asset.c.merged_into.is_(None))
        alerts = _per_unit(connection, tables.alert, tables.alert.c.state.in_(("firing", "acknowledged")))
        rows = connection.execute(select(tables.unit).where(reach).order_by(tables.unit.c.path)).all()
    return [
        views.Unit(
            code=row.code,
            name=row.name,
            kind=row.kind,
            parent=row.parent,
            path=row.path,
            division_code=row.division_code,
            agents=agents.get(row.code, 0),
            assets=assets.get(row.code, 0),
            alerts=alerts.get(row.code, 0),
        )
        for row in rows
    ]


def _per_unit(connection: Connection, table: TableClause, counted: ColumnElement[bool]) -> dict[str, int]:
    query = select(table.c.unit, func.count()).where(counted).group_by(table.c.unit)
    return {unit: number for unit, number in connection.execute(query)}  # noqa: C416 (typed rows)


def _read(record: Record, problems: Problems) -> _Wanted | None:
    values, line = record.values, record.line
    code, name = values.get("code", ""), values.get("name", "")
    faults = [("code", text) for text in faults_of_code(code)]
    if not 0 < len(name) <= MAX_NAME:
        faults.append(("name", Text(f"名称须为 1-{MAX_NAME} 个字符", f"must have 1-{MAX_NAME} characters")))
    word = values.get("kind", "")
    implied, kind = kind_of(code), read_kind(word) if word else kind_of(code)
    if word and kind is None:
        allowed = ", ".join(Kind)
        faults.append(("kind", Text(f"未知类别 {word!r}，可用：{allowed}", f"unknown kind {word!r}; one of {allowed}")))
    elif kind is not implied and implied is not None:
        faults.append(("kind", Text(f"编码表示 {implied}，不是 {kind}", f"the code says {implied}, not {kind}")))
    division = values.get("division_code", "") or (code if len(code) != SCHOOL else "")
    parent = values.get("parent", "")
    if values.get("division_code"):
        faults += [("division_code", text) for text in faults_of_division(division)]
    for field, text in faults:
        problems.add(line, field, text)
    if faults or kind is None:
        return None
    if len(code) != SCHOOL and division != code:
        problems.add(line, "division_code", Text(f"应与编码 {code} 相同或留空", f"must be {code} or empty"))
        return None
    return _Wanted(line, code, name, kind, parent or default_parent(kind, code, division), division)


def _unique(wanted: Iterable[_Wanted], problems: Problems) -> list[_Wanted]:
    first: dict[str, _Wanted] = {}
    for unit in wanted:
        earlier = first.setdefault(unit.code, unit)
        if earlier is not unit and replace(earlier, line=unit.line) != unit:
            problems.add(
                unit.line,
                "code",
                Text(f"{unit.code} 与第 {earlier.line} 行内容不同", f"{unit.code} differs from line {earlier.line}"),
            )
    return list(first.values())


def _grow(units: dict[str, Node], wanted: list[_Wanted], problems: Problems) -> dict[str, Node]:
    """Hang the wanted units into the tree and derive every path anew; faults are noted with their line."""
    asked = {unit.code: unit for unit in wanted}
    kinds = {code: Kind(node.kind) for code, node in units.items()} | {unit.code: unit.kind for unit in wanted}
    parents = {code: node.parent for code, node in units.items()} | {unit.code: unit.parent for unit in wanted}
    for unit in wanted:
        if (fault := _fault_of_place(unit, kinds)) is not None:
            problems.add(unit.line, "parent", fault)
    lines = {}
    for code in parents:
        chain = [code]
        while (above := parents.get(chain[-1])) is not None and len(chain) <= MAX_DEPTH:
            chain.append(above)
        if len(chain) > MAX_DEPTH and code in asked:
            problems.add(asked[code].line, "parent", Text("上级关系成环", "its parents form a circle"))
        lines[code] = chain[::-1]
    tree: dict[str, Node] = {}
    for code, chain in lines.items():
        county = next((above for above in reversed(chain) if len(above) != SCHOOL), code)
        path = "".join(f"{above}/" for above in chain)
        if code in asked:
            unit = asked[code]
            division = unit.division or (unit.parent or "")
            tree[code] = Node(code, unit.name, unit.kind.value, unit.parent, path, county, division)
            if len(code) == SCHOOL and code[2:4] != division[:2]:
                problems.add(
                    unit.line,
                    "division_code",
                    Text(f"{code} 第 3-4 位与区划 {division} 不符", f"digits 3-4 of {code} do not fit {division}"),
                )
        else:
            tree[code] = replace(units[code], path=path, county=county)
    return tree


def _fault_of_place(unit: _Wanted, kinds: dict[str, Kind]) -> Text | None:
    if unit.parent is None:
        if unit.kind is Kind.PROVINCE:
            return None
        return Text("必须填写上级或区划", "needs a parent or a division code")
    if unit.kind is Kind.PROVINCE:
        return Text("省级单位没有上级", "a province has no parent")
    if unit.parent not in kinds:
        return Text(
            f"上级 {unit.parent} 既不在文件中，也未登记", f"parent {unit.parent} is neither in the file nor registered"
        )
    return fault_of_parent(unit.kind, unit.code, kinds[unit.parent], unit.parent)


def _check_reach(
    person: Person, units: dict[str, Node], tree: dict[str, Node], wanted: list[_Wanted], problems: Problems
) -> None:
    for unit in wanted:
        before, after = units.get(unit.code), tree[unit.code]
        if before == after:
            continue
        moved = unit.code == person.unit and before is not None and before.path != after.path
        if moved or not all(node.path.startswith(person.path) for node in (before, after) if node):
            text = Text(f"{unit.code} 不在您的管辖范围内", f"{unit.code} is not within your subtree")
            problems.add(unit.line, "code", text)


def _check_moves(
    turn: Turn, units: dict[str, Node], changed: dict[str, Node], lines: dict[str, int], problems: Problems
) -> None:
    for code, node in changed.items():
        before = units.get(code)
        if before is None or before.path == node.path:
            continue
        line = lines.get(code, 0)
        if before.county == node.county:
            problems.warn(
                line, "parent", Text(f"{code} 移到 {node.path} 之下", f"{code} moves from {before.path} to {node.path}")
            )
        elif _has_history(turn, before):
            problems.add(
                line,
                "parent",
                Text(
                    f"{code} 已有代理或资产，不能从 {before.county} 移到 {node.county}",
                    f"{code} has agents or assets and cannot move from county {before.county} to {node.county}",
                ),
            )


def _has_history(turn: Turn, node: Node) -> bool:
    if turn.rows("SELECT 1 FROM agent WHERE unit = ? LIMIT 1", (node.code,)):
        return True
    return any(
        turn.rows(f"SELECT 1 FROM {name} WHERE county = ? AND unit = ? LIMIT 1", (node.county, node.code))  # noqa: S608
        for name in TABLES_WITH_UNIT
    )


def _write(turn: Turn, changed: dict[str, Node], added: set[str], now: float) -> None:
    # Paths are unique: those that only swap places would collide on the way, so all changing ones step aside first.
    turn.many("UPDATE unit SET path = '-' || code WHERE code = ?", [(code,) for code in changed])
    # Parents first, for the foreign key.
    for node in sorted(changed.values(), key=lambda node: node.path.count("/")):
        row = (node.name, node.kind, node.parent, node.path, node.county, node.division_code)
        if node.code in added:
            turn.run(
                "INSERT INTO unit (name, kind, parent, path, county, division_code, code, added) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, node.code, now),
            )
        else:
            turn.run(
                "UPDATE unit SET name = ?, kind = ?, parent = ?, path = ?, county = ?, division_code = ? "
                "WHERE code = ?",
                (*row, node.code),
            )
