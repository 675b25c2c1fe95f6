"""The unit tree: codes, parents, all or nothing, again and again."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from collector.answers.views import ImportResult
from collector.errors import BadFile, Forbidden
from collector.memory import codes
from collector.memory.codes import Kind
from collector.memory.people import Role
from collector.registry.units import import_units, list_units
from tests.support.collectors import COUNTY, SCHOOL, TREE, Desk
from tests.support.faults import said_in_english
from tests.support.reports import covers, host, state

HEADER = "code,name,kind,parent,division_code\n"


def load(desk: Desk, text: str, name: str = "units.csv") -> ImportResult:
    return import_units(desk.core, desk.admin, text.encode(), name)


def refused(desk: Desk, text: str) -> tuple[str, ...]:
    before = list_units(desk.core, desk.admin)
    with pytest.raises(BadFile) as caught:
        load(desk, text)
    assert list_units(desk.core, desk.admin) == before
    return said_in_english(caught.value)


def names(desk: Desk, under: str | None = None) -> dict[str, str]:
    return {unit.code: unit.path for unit in list_units(desk.core, desk.admin, under)}


def test_a_tree_with_chinese_headers(desk: Desk) -> None:
    shown = {unit.code: unit for unit in list_units(desk.core, desk.admin)}
    assert shown["640000"].kind == "province"
    assert shown[SCHOOL].kind == "school"
    assert shown[SCHOOL].path == f"640000/640100/640104/{SCHOOL}/"
    assert shown[SCHOOL].parent == "640104"
    assert shown["4164000301"].kind == "university"
    assert shown["4164000301"].parent == "640100"
    order = [unit.code for unit in list_units(desk.core, desk.admin)]
    assert all(order.index(unit.parent) < order.index(unit.code) for unit in shown.values() if unit.parent)


def test_importing_again_changes_nothing(desk: Desk) -> None:
    result = import_units(desk.core, desk.admin, TREE, "tree.csv")
    assert (result.added, result.changed, result.unchanged) == (0, 0, 8)
    audits = desk.core.store.write(lambda turn: turn.rows("SELECT 1 FROM audit WHERE action = 'unit.import'"))
    assert len(audits) == 1


def test_a_change_is_counted_and_kept(desk: Desk) -> None:
    result = load(desk, f"{HEADER}{SCHOOL},兴庆区第一小学,,640104,640104\n2164000999,新校,,640104,\n")
    assert (result.added, result.changed, result.unchanged) == (1, 1, 0)
    assert {unit.name for unit in list_units(desk.core, desk.admin, "640104")} >= {"兴庆区第一小学", "新校"}


def test_a_tree_may_leave_out_what_the_codes_say(desk: Desk) -> None:
    load(desk, "code,name,division_code\n440000,广东省,\n441900,东莞市,\n3144000001,东莞一中,441900\n")
    assert names(desk)["3144000001"] == "440000/441900/3144000001/"
    assert desk.core.directory.units["3144000001"].county == "441900"


def test_municipalities_and_directly_governed_counties_hang_on_the_province(desk: Desk) -> None:
    load(desk, "code,name\n110000,北京市\n110108,海淀区\n420000,湖北省\n429004,仙桃市\n")
    assert names(desk)["110108"] == "110000/110108/"
    assert names(desk)["429004"] == "420000/429004/"


@pytest.mark.parametrize("kind", ["school", "学校", "小学", "School"])
def test_kinds_in_both_languages(desk: Desk, kind: str) -> None:
    assert load(desk, f"{HEADER}2164000999,新校,{kind},640104,640104\n").added == 1


@pytest.mark.parametrize(
    ("row", "where", "what"),
    [
        ("64010,x,,640100,", "code", "neither"),
        ("640104000000,x,,640100,", "code", "neither"),
        ("abcdef,x,,640100,", "code", "neither"),
        ("６４０１０６,x,,640100,", "code", "neither"),
        ("990101,x,,640100,", "code", "no province"),
        ("640001,x,,640000,", "code", "without its city"),
        ("441901,x,,441900,", "code", "without counties"),
        ("460401,x,,460400,", "code", "without counties"),
        ("1264000999,x,,640104,640104", "code", "no category"),
        ("2199000999,x,,640104,640104", "code", "no province"),
        ("4164100999,x,,640100,640105", "code", "digit 5"),
        ("640106,,,640100,", "name", "1-256"),
        ("640106,x,planet,640100,", "kind", "unknown kind"),
        ("640106,x,school,640100,", "kind", "not school"),
        ("2164000999,x,university,640100,640100", "kind", "not university"),
        ("640106,x,,640200,", "parent", "neither in the file nor registered"),
        ("640106,x,,650000,", "parent", "neither in the file nor registered"),
        ("640106,x,,640104,", "parent", "cannot hang on the county"),
        ("640200,x,,640100,", "parent", "cannot hang on the city"),
        ("640000,x,,640100,", "parent", "has no parent"),
        ("4164000999,x,,640104,640105", "parent", "cannot hang on the county"),
        ("2164000999,x,,2164000101,640104", "parent", "cannot hang on the school"),
        ("2164000999,x,,640104,", "", ""),
        ("2164000999,x,,,", "parent", "needs a parent"),
        ("2164000999,x,,640104,440104", "division_code", "do not fit"),
        ("2144000999,x,,640104,640104", "parent", "lies in province 44"),
        ("640106,x,,640100,640105", "division_code", "must be 640106"),
        ("640106,x\x07y,,640100,", "name", "control characters"),
        (f"640106,{'x' * 1025},,640100,", "name", "longer than"),
    ],
)
def test_faults_of_a_row_are_named_with_line_and_field(desk: Desk, row: str, where: str, what: str) -> None:
    text = f"{HEADER}{row}\n"
    if not where:
        assert load(desk, text).added == 1
        return
    (problem,) = refused(desk, text)[:1]
    assert problem.startswith(f"units.csv:2:{where}: ")
    assert what in problem


def test_all_faults_are_told_at_once(desk: Desk) -> None:
    problems = refused(desk, f"{HEADER}990101,x,,,\n640106,,,,\n640107,ok,,640100,\n")
    assert [problem.split(":")[1:3] for problem in problems] == [["2", "code"], ["3", "name"]]
    problems = refused(desk, f"{HEADER}640107,ok,,640100,\n640108,ok,,640999,\n")
    assert problems[0].startswith("units.csv:3:parent")
    assert "640107" not in names(desk)


def test_parents_may_follow_their_children_in_the_file(desk: Desk) -> None:
    load(desk, f"{HEADER}640202,大武口区,,640200,\n640200,石嘴山市,,640000,\n")
    assert names(desk)["640202"] == "640000/640200/640202/"


def test_the_same_row_twice_counts_once_and_two_differing_ones_are_a_fault(desk: Desk) -> None:
    assert load(desk, f"{HEADER}640106,金凤区,,640100,\n640106,金凤区,,640100,\n").added == 1
    (problem,) = refused(desk, f"{HEADER}640106,金凤区,,640100,\n640106,金风区,,640100,\n")
    assert problem.startswith("units.csv:3:code")
    assert "line 2" in problem


def test_a_school_may_move_within_its_county_and_that_is_said(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, state("ports", host("10.0.0.5"), covers("10.0.0.0/24"), at=desk.clock.now))
    # Two counties of one city: the data is kept by county, so such a move would tear it apart.
    (problem,) = refused(desk, f"{HEADER}{SCHOOL},第一小学,,640105,640105\n")
    assert "cannot move from county 640104 to 640105" in problem
    empty = load(desk, f"{HEADER}3164000102,第二中学,,640105,640105\n")
    assert (empty.changed, empty.warnings) == (1, ())
    assert desk.core.directory.units["3164000102"].county == "640105"


def test_a_move_that_changes_the_path_only_is_a_warning(desk: Desk) -> None:
    load(
        desk, "code,name,parent\n110000,北京市,\n110100,市辖区,110000\n110108,海淀区,110100\n1111000001,幼儿园,110108\n"
    )
    before = names(desk)["1111000001"]
    result = load(desk, "code,name,parent\n110108,海淀区,110000\n")
    assert before == "110000/110100/110108/1111000001/"
    assert names(desk)["1111000001"] == "110000/110108/1111000001/"
    assert "110108 moves from" in result.warnings[0].en
    assert (result.added, result.changed, result.unchanged) == (0, 1, 0)


def test_units_below_move_along(desk: Desk) -> None:
    load(desk, "code,name,parent\n110000,北京市,\n110100,市辖区,110000\n110108,海淀区,110100\n")
    load(desk, "code,name,parent\n110108,海淀区,110000\n")
    load(desk, "code,name,parent\n110108,海淀区,110100\n")
    assert names(desk)["110108"] == "110000/110100/110108/"


def test_only_administrators_import_and_only_below_their_unit(desk: Desk) -> None:
    for role in (Role.VIEWER, Role.OPERATOR):
        with pytest.raises(Forbidden):
            import_units(desk.core, desk.person(role, None), TREE, "tree.csv")
    county = desk.person(Role.ADMIN, COUNTY)
    made = import_units(desk.core, county, f"{HEADER}2164000999,新校,,640104,640104\n".encode(), "units.csv")
    assert made.added == 1
    for row in ("2164000998,x,,640105,640105", "640106,x,,640100,", "640104,新名,,640100,"):
        text = f"{HEADER}{row}\n".encode()
        if row.startswith("640104,"):
            assert import_units(desk.core, county, text, "units.csv").changed == 1
            continue
        with pytest.raises(BadFile, match="not within your subtree"):
            import_units(desk.core, county, text, "units.csv")
    # A whole tree that is as it was harms nobody.
    whole = "code,name,parent,division_code\n" + "".join(
        f"{unit.code},{unit.name},{unit.parent or ''},{unit.division_code}\n"
        for unit in desk.core.directory.units.values()
    )
    assert import_units(desk.core, county, whole.encode(), "units.csv").added == 0


def test_a_workbook_with_numbers_for_codes(desk: Desk) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["单位编码", "单位名称", "上级编码", "区划代码", "备注"])
    sheet.append([640106, "金凤区", 640100, None, "x"])
    sheet.append([2164000777.0, "金凤小学", "640106", 640106, None])
    sheet.append([None, None, None, None, None])
    packed = io.BytesIO()
    book.save(packed)
    result = import_units(desk.core, desk.admin, packed.getvalue(), "单位.xlsx")
    assert result.added == 2
    assert any("备注" in warning.zh for warning in result.warnings)
    assert names(desk)["2164000777"].endswith("640106/2164000777/")


@given(st.text(max_size=12))
def test_any_text_is_a_code_or_has_faults(text: str) -> None:
    faults = codes.faults_of_code(text)
    assert (codes.kind_of(text) is None) <= bool(faults)
    if not faults:
        assert len(text) in (6, 10)


@given(st.integers(0, 999_999).map(lambda number: f"{number:06}"))
def test_every_good_division_code_has_a_parent_that_may_hold_it(code: str) -> None:
    kind = codes.kind_of(code)
    assert kind is not None
    if codes.faults_of_division(code):
        return
    parent = codes.default_parent(kind, code, "")
    if kind is Kind.PROVINCE:
        assert parent is None
        return
    assert parent is not None
    above = codes.kind_of(parent)
    assert above is not None
    assert codes.fault_of_parent(kind, code, above, parent) is None
