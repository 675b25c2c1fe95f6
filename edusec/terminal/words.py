"""The words of the collector's interface in both languages; a word that is not known here is shown as it came."""

from collections.abc import Mapping
from datetime import datetime

from edusec.lang import current
from edusec.terminal.render import safe
from wire.text import Text

_WORDS: Mapping[str, Text] = {
    "present": Text("在线", "present"),
    "absent": Text("离线", "absent"),
    "unknown": Text("未知", "unknown"),
    "open": Text("开放", "open"),
    "closed": Text("关闭", "closed"),
    "filtered": Text("被过滤", "filtered"),
    "open_filtered": Text("开放或被过滤", "open|filtered"),
    "unreachable": Text("不可达", "unreachable"),
    "timeout": Text("超时", "timeout"),
    "denied": Text("被拒绝", "denied"),
    "seen": Text("已见", "seen"),
    "measured": Text("已测", "measured"),
    "pass": Text("通过", "pass"),
    "warn": Text("警告", "warn"),
    "fail": Text("未通过", "fail"),
    "listed": Text("白名单内", "listed"),
    "expired": Text("已过期", "expired"),
    "unlisted": Text("白名单外", "unlisted"),
    "no_list": Text("无白名单", "no list"),
    "none": Text("提示", "notice"),
    "blue": Text("蓝", "blue"),
    "yellow": Text("黄", "yellow"),
    "orange": Text("橙", "orange"),
    "red": Text("红", "red"),
    "info": Text("信息", "info"),
    "low": Text("低", "low"),
    "medium": Text("中", "medium"),
    "high": Text("高", "high"),
    "critical": Text("严重", "critical"),
    "firing": Text("告警中", "firing"),
    "acknowledged": Text("已确认", "acknowledged"),
    "resolved": Text("已办结", "resolved"),
    "pending": Text("待观察", "pending"),
    "new": Text("尚未上报", "never reported"),
    "active": Text("正常上报", "active"),
    "silent": Text("失联", "silent"),
    "revoked": Text("已撤销", "revoked"),
    "province": Text("省", "province"),
    "city": Text("市", "city"),
    "county": Text("县（区）", "county"),
    "school": Text("学校", "school"),
    "university": Text("高校", "university"),
    "domain": Text("域名", "domain"),
    "host": Text("主机", "host"),
    "internet": Text("互联网", "internet"),
    "edu_private_net": Text("教育专网", "education network"),
    "campus_lan": Text("校园网", "campus network"),
    "not_internet": Text("非互联网", "not the internet"),
    "port": Text("端口", "port"),
    "service": Text("服务", "service"),
    "asset": Text("资产", "asset"),
    "site": Text("网站", "site"),
    "website": Text("网站", "website"),
    "network": Text("网段", "network"),
    "import": Text("导入", "import"),
    "whitelist": Text("白名单", "whitelist"),
    "system": Text("信息系统", "system"),
    "state": Text("状态", "state"),
    "measurement": Text("测量", "measurement"),
    "unit": Text("单位", "unit"),
    "agent": Text("代理", "agent"),
    "done": Text("完成", "done"),
    "partial": Text("部分完成", "partial"),
    "cannot_run": Text("无法运行", "cannot run"),
    "timed_out": Text("超时", "timed out"),
    "crashed": Text("崩溃", "crashed"),
}


def word(value: object) -> str:
    """Say a word of the interface in the operator's language; None is unknown, never "no"."""
    known = _WORDS.get("unknown" if value is None else str(value))
    return known(current()) if known else safe(value)


def moment(value: object) -> str:
    """Write an ISO 8601 time of the interface in this machine's local time; None is unknown."""
    if not isinstance(value, str):
        return word(None)
    try:
        return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return safe(value)
