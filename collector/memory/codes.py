"""Codes of units: division codes (GB/T 2260, 6 digits) and school identification codes (10 digits), without I/O.

School codes: 教育部《学校(机构)代码管理办法》(2011): 2 digits category, 2 digits province, 6 digits serial, no check
digit. Which division codes exist changes every year, so a well-formed code is never refused for being unknown.
"""

from enum import StrEnum

from wire.text import Text


class Kind(StrEnum):
    """What a unit is."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    SCHOOL = "school"
    UNIVERSITY = "university"


KIND_WORDS = {
    Kind.PROVINCE: ("省", "自治区", "直辖市", "省级", "省厅", "provincial"),
    Kind.CITY: ("市", "地级市", "地区", "州", "盟", "市级", "地市", "prefecture"),
    Kind.COUNTY: ("县", "区", "区县", "县级市", "旗", "县级", "district"),
    Kind.SCHOOL: ("学校", "中小学", "小学", "中学", "初中", "高中", "幼儿园", "中职", "kindergarten"),
    Kind.UNIVERSITY: ("高校", "大学", "学院", "高等学校", "college"),
}
PARENTS = {
    Kind.PROVINCE: (),
    Kind.CITY: (Kind.PROVINCE,),
    Kind.COUNTY: (Kind.CITY, Kind.PROVINCE),
    Kind.SCHOOL: (Kind.COUNTY, Kind.CITY, Kind.PROVINCE),
    Kind.UNIVERSITY: (Kind.CITY, Kind.PROVINCE),
}
_REGIONS = (range(11, 16), range(21, 24), range(31, 38), range(41, 47), range(50, 55), range(61, 66), (71, 81, 82))
PROVINCES = frozenset(str(number) for region in _REGIONS for number in region)
SCHOOL_CATEGORIES = frozenset(map(str, (11, 21, 22, 31, 32, 33, 34, 35, 36, 37, 41, 42, 51, 91, 92, 93)))
UNIVERSITY_CATEGORIES = frozenset({"41", "42"})
MUNICIPALITIES = frozenset({"11", "12", "31", "50"})
DIRECT = "90"
"""Third and fourth digit of counties that a province administers itself."""
NO_COUNTIES = frozenset({"4419", "4420", "4604", "6202"})
"""东莞, 中山, 儋州 and 嘉峪关 have no counties: their schools hang on the city."""

_WORDS = {word: kind for kind, words in KIND_WORDS.items() for word in (kind.value, *words)}
DIVISION, SCHOOL = 6, 10


def read_kind(word: str) -> Kind | None:
    """Read a kind in either language; None for any other word."""
    return _WORDS.get(word.strip().lower())


def kind_of(code: str) -> Kind | None:
    """Tell the kind that a code itself implies; None for what is no code."""
    if not (code.isascii() and code.isdigit()):
        return None
    if len(code) == DIVISION:
        return Kind.PROVINCE if code[2:] == "0000" else Kind.CITY if code[4:] == "00" else Kind.COUNTY
    if len(code) == SCHOOL:
        return Kind.UNIVERSITY if code[:2] in UNIVERSITY_CATEGORIES else Kind.SCHOOL
    return None


def faults_of_code(code: str) -> list[Text]:
    """Give everything that is wrong with a code in itself."""
    if not (code.isascii() and code.isdigit()) or len(code) not in (DIVISION, SCHOOL):
        return [
            Text(
                f"{code!r} 既不是 6 位行政区划代码，也不是 10 位学校标识码",
                f"{code!r} is neither a division code of 6 digits nor a school code of 10",
            )
        ]
    if len(code) == DIVISION:
        return faults_of_division(code)
    faults = []
    if code[:2] not in SCHOOL_CATEGORIES:
        faults.append(
            Text(f"学校标识码前两位 {code[:2]} 不是学校类别", f"{code[:2]} is no category of schools (digits 1-2)")
        )
    if code[2:4] not in PROVINCES:
        faults.append(Text(f"第 3-4 位 {code[2:4]} 不是省级代码", f"{code[2:4]} is no province (digits 3-4)"))
    if code[:2] in UNIVERSITY_CATEGORIES and code[4] != "0":
        faults.append(Text("高校标识码第 5 位须为 0", "digit 5 of a university's code must be 0"))
    return faults


def faults_of_division(code: str) -> list[Text]:
    """Give everything that is wrong with a division code in itself."""
    if not (code.isascii() and code.isdigit() and len(code) == DIVISION):
        return [Text(f"{code!r} 不是 6 位行政区划代码", f"{code!r} is not a division code of 6 digits")]
    if code[:2] not in PROVINCES:
        return [Text(f"{code[:2]} 不是省级代码", f"{code[:2]} is no province (digits 1-2)")]
    if code[2:4] == "00" and code[4:] != "00":
        return [Text(f"{code} 缺少市级代码", f"{code} names a county without its city (digits 3-4 are 00)")]
    if code[:4] in NO_COUNTIES and code[4:] != "00":
        return [Text(f"{code[:4]}00 不设区县", f"{code[:4]}00 is a city without counties")]
    return []


def default_parent(kind: Kind, code: str, division: str) -> str | None:
    """Give the parent that codes imply where a file names none; None for a province."""
    if kind is Kind.PROVINCE:
        return None
    if kind is Kind.CITY:
        return f"{code[:2]}0000"
    if kind is Kind.COUNTY:
        direct = code[:2] in MUNICIPALITIES or code[2:4] == DIRECT
        return f"{code[:2]}0000" if direct else f"{code[:4]}00"
    return division or None


def fault_of_parent(kind: Kind, code: str, parent_kind: Kind, parent: str) -> Text | None:
    """Tell what is wrong with hanging one unit under another."""
    allowed = PARENTS[kind]
    if parent_kind not in allowed:
        names = ", ".join(allowed) or "-"
        return Text(
            f"{kind} 不能挂在 {parent_kind}（{parent}）之下，只能是：{names}",
            f"a {kind} cannot hang on the {parent_kind} {parent}; allowed: {names}",
        )
    wanted = {Kind.CITY: 2, Kind.COUNTY: 4 if parent_kind is Kind.CITY else 2}.get(kind, 0)
    if parent[:wanted] != code[:wanted]:
        return Text(
            f"{code} 与上级 {parent} 的前 {wanted} 位不一致",
            f"{code} and its parent {parent} differ in digits 1-{wanted}",
        )
    own = code[2:4] if len(code) == SCHOOL else code[:2]
    if parent[:2] != own:
        return Text(
            f"{code} 的省级代码是 {own}，与上级 {parent} 不符",
            f"{code} lies in province {own}, its parent {parent} does not",
        )
    return None
