"""Failures as a table for people: its columns, and its words in both languages."""

from collections.abc import Iterable, Iterator

from collector.ipv6.reports import views
from probes.kit.phrases.lookup import in_chinese
from wire.text import Text

MAX_CELL = 32_000
"""Excel takes 32,767 characters in a cell."""
COLUMNS: tuple[tuple[str, Text], ...] = (
    ("unit", Text("单位编码", "unit")),
    ("unit_name", Text("单位名称", "unit name")),
    ("page", Text("来源页面", "source page")),
    ("url", Text("链接地址", "link URL")),
    ("level", Text("链接级别", "link level")),
    ("check", Text("检查项", "check")),
    ("aaaa", Text("AAAA 记录", "AAAA record")),
    ("ipv6", Text("IPv6 结果", "IPv6 result")),
    ("evidence", Text("证据", "evidence")),
    ("mend", Text("处理办法", "how to mend it")),
    ("registered", Text("已登记", "registered")),
    ("last_confirmed", Text("最近确认时间（UTC）", "last confirmed (UTC)")),
)
WORDS = {
    "yes": Text("有", "yes"),
    "no": Text("无", "no"),
    "pass": Text("通过", "pass"),
    "fail": Text("未通过", "fail"),
    "unknown": Text("未知", "unknown"),
    "true": Text("是", "yes"),
    "false": Text("否", "no"),
}


def rows_of(items: Iterable[views.Ipv6Failure], lang: str) -> Iterator[list[str]]:
    """Give the rows of a file, the header first, in the language of whoever reads it (`zh` or `en`)."""

    def say(text: Text) -> str:
        return text.zh if lang == "zh" else text.en

    yield [say(head) for _, head in COLUMNS]
    for item in items:
        cells = {
            **{name: str(getattr(item, name)) for name, _ in COLUMNS},
            "aaaa": say(WORDS[item.aaaa]),
            "ipv6": say(WORDS[item.ipv6]),
            "mend": say(Text(item.mend.zh, item.mend.en)),
            "evidence": say(Text(in_chinese(item.evidence), item.evidence)),
            "registered": say(WORDS[str(item.registered).lower()]),
            "last_confirmed": item.last_confirmed.strftime("%Y-%m-%d %H:%M") if item.last_confirmed else "",
        }
        yield [_cell(cells[name]) for name, _ in COLUMNS]


def _cell(text: str) -> str:
    """Make text from the network fit for a cell: no control characters, and not too long."""
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_CELL])
