"""The register as a file: websites, information systems and networks, one a row."""

from collections.abc import Callable
from ipaddress import ip_network
from urllib.parse import urlsplit

from collector.memory.registered import Entry, Kind, key_of
from collector.sheets.reading import Column, Problems, Record
from collector.sheets.writing import unmarked
from wire.text import Text, TextError, text_of

COLUMNS = (
    Column("unit", ("单位", "单位编码", "单位代码", "编码", "unit code", "code")),
    Column("kind", ("类别", "类型", "type")),
    Column("address", ("域名", "网址", "地址", "网段", "域名或网址", "domain", "url", "prefix"), required=True),
    Column("name", ("名称", "网站名称", "系统名称")),
    Column("system", ("所属系统", "信息系统", "所属信息系统", "system name")),
    Column("mlps_level", ("等保级别", "保护等级", "级别", "level", "protection level")),
    Column("owner", ("责任人", "负责人"), required=True),
)
MAX_NAME = 256
MAX_ADDRESS = 256
"""The bound of a name on the wire, since addresses travel to agents as targets."""
LEVELS = {"": None, "-": None, "未定级": None, **{str(level): level for level in range(1, 6)}} | {
    f"{numeral}级": level for level, numeral in enumerate("一二三四五", start=1)
}


KIND_WORDS = {
    "": Kind.WEBSITE,
    "website": Kind.WEBSITE,
    "site": Kind.WEBSITE,
    "网站": Kind.WEBSITE,
    "system": Kind.SYSTEM,
    "信息系统": Kind.SYSTEM,
    "系统": Kind.SYSTEM,
    "network": Kind.NETWORK,
    "subnet": Kind.NETWORK,
    "网络": Kind.NETWORK,
    "网段": Kind.NETWORK,
    "子网": Kind.NETWORK,
}


def read_entry(record: Record, unit: str | None, problems: Problems) -> Entry | None:
    """Read one row; adds its faults to the problems and gives None when there are any."""
    values = {field: unmarked(cell) for field, cell in record.values.items()}
    faults: list[tuple[str, Text]] = []
    word = values.get("kind", "")
    kind = KIND_WORDS.get(word.lower())
    if kind is None:
        text = Text(f"{word!r} 不是 网站、系统、网段 之一", f"{word!r} is none of website, system, network")
        faults.append(("kind", text))
    too_long = Text(f"超过 {MAX_NAME} 个字符", f"longer than {MAX_NAME} characters")
    faults += [(field, too_long) for field in ("name", "system", "owner") if len(values.get(field, "")) > MAX_NAME]
    if not values.get("owner"):
        faults.append(("owner", Text("必须填写", "must not be empty")))
    if kind is Kind.SYSTEM and not values.get("name"):
        faults.append(("name", Text("信息系统必须有名称", "a system must have a name")))
    level = LEVELS.get(values.get("mlps_level", "").removeprefix("第"), 0)
    if level == 0:
        level = None
        found = values["mlps_level"]
        faults.append(("mlps_level", Text(f"{found!r} 不是 1-5 或空", f"{found!r} is neither 1-5 nor empty")))
    address, key = _address(kind, values.get("address", ""), faults) if kind else ("", "")
    for field, text in faults:
        problems.add(record.line, field, text)
    if faults or kind is None or unit is None:
        return None
    name = values.get("name", "")
    system = name if kind is Kind.SYSTEM else values.get("system", "")
    return Entry(unit, kind, key, address, name, system, level, values["owner"])


def _address(kind: Kind, text: str, faults: list[tuple[str, Text]]) -> tuple[str, str]:
    if len(text) > MAX_ADDRESS:
        faults.append(("address", Text(f"超过 {MAX_ADDRESS} 个字符", f"longer than {MAX_ADDRESS} characters")))
        return "", ""
    try:
        return _READERS[kind](text)
    except ValueError as error:
        wanted = (
            Text("网段，如 10.1.0.0/16", "a prefix such as 10.1.0.0/16")
            if kind is Kind.NETWORK
            else Text(
                "域名或网址，如 www.example.edu.cn 或 https://www.example.edu.cn/oa",
                "a domain or URL such as www.example.edu.cn or https://www.example.edu.cn/oa",
            )
        )
        why = text_of(error)
        faults.append(
            (
                "address",
                Text(f"{text!r} 不是{wanted.zh}（{why.zh}）", f"{text!r} is not {wanted.en}: {why.en}"),
            )
        )
        return "", ""


def _site(text: str) -> tuple[str, str]:
    if "://" not in text and "/" in text:
        text = f"https://{text}"
    if urlsplit(text).fragment:
        raise TextError("片段（#）不会发给服务器", "a fragment (#) never reaches a server")
    return text.rstrip("."), key_of(text)


def _network(text: str) -> tuple[str, str]:
    if "/" not in text:
        raise TextError("没有前缀长度", "it has no length")
    found = str(ip_network(text))
    return found, found


_READERS: dict[Kind, Callable[[str], tuple[str, str]]] = {
    Kind.WEBSITE: _site,
    Kind.SYSTEM: _site,
    Kind.NETWORK: _network,
}
