"""What goes wrong with any file: the system's reasons and the faults of TOML and JSON, in both languages."""

import errno
import os
import re
import tomllib
from collections.abc import Mapping
from json import JSONDecodeError

from wire.text import Text, text_of

_REASONS: Mapping[int, str] = {
    errno.EPERM: "操作不允许",
    errno.ENOENT: "没有这个文件或目录",
    errno.EIO: "读写出错",
    errno.ENXIO: "没有这个设备",
    errno.EAGAIN: "资源暂时不可用",
    errno.ENOMEM: "内存不足",
    errno.EACCES: "权限不足",
    errno.EBUSY: "正被占用",
    errno.EEXIST: "已存在",
    errno.ENODEV: "没有这个设备",
    errno.ENOTDIR: "不是目录",
    errno.EISDIR: "是目录",
    errno.EINVAL: "参数无效",
    errno.ENFILE: "系统打开的文件过多",
    errno.EMFILE: "本进程打开的文件过多",
    errno.EFBIG: "文件过大",
    errno.ENOSPC: "磁盘空间不足",
    errno.EROFS: "文件系统只读",
    errno.EPIPE: "对端已关闭",
    errno.ENAMETOOLONG: "文件名过长",
    errno.ELOOP: "符号链接层数过多",
    errno.EADDRINUSE: "地址已被占用",
    errno.EADDRNOTAVAIL: "本机没有这个地址",
    errno.EAFNOSUPPORT: "本机不支持该地址族",
    errno.EOPNOTSUPP: "不支持该操作",
    errno.ENETDOWN: "网络已断开",
    errno.ENETUNREACH: "网络不可达",
    errno.ECONNABORTED: "连接被中止",
    errno.ECONNRESET: "连接被对端重置",
    errno.ENOBUFS: "缓冲区不足",
    errno.ETIMEDOUT: "连接超时",
    errno.ECONNREFUSED: "连接被拒绝",
    errno.EHOSTDOWN: "主机已关闭",
    errno.EHOSTUNREACH: "主机不可达",
    errno.EDQUOT: "超出磁盘配额",
    # Of name resolution: EAI_NONAME, EAI_AGAIN, EAI_FAIL and EAI_NODATA (netdb.h), negative beside the errors above.
    -2: "域名或服务名不存在",
    -3: "域名解析暂时失败",
    -4: "域名解析失败",
    -5: "该域名没有地址",
}
_AT = re.compile(r"\(at line (\d+), column (\d+)\)$")
_MAX_SHOWN = 200


def reason(error: OSError) -> Text:
    """Say why the system refused; what has no Chinese here keeps the system's own words."""
    en = error.strerror or str(error)
    if type(error).__name__.startswith("SSL"):  # OpenSSL counts its errors from 1 too
        said = getattr(error, "reason", None) or en
        return Text(f"TLS 出错（{said}）", f"TLS failed ({said})")
    return Text(_REASONS.get(error.errno or 0, _WORDS.get(en.lower(), en)), en)


def why(error: Exception) -> Text:
    """Say what any error says: its own text, the system's reason, the database's."""
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, OSError):
        return reason(error)
    en = str(error)
    return Text(_WORDS.get(en.lower(), text_of(error).zh), en)


def reason_named(said: str) -> Text:
    """Give the same for the system's words alone, as a report carries them."""
    return Text(_WORDS.get(said.lower(), said), said)


_WORDS = {
    **{os.strerror(number).lower(): zh for number, zh in _REASONS.items() if number > 0},
    "timed out": "超时",
    # Of SQLite (sqlite3_errstr).
    "file is not a database": "不是数据库",
    "database is locked": "数据库正被占用",
    "attempt to write a readonly database": "数据库只读",
    "database or disk is full": "磁盘空间不足",
    "database disk image is malformed": "数据库已损坏",
    "unable to open database file": "无法打开数据库文件",
    "disk i/o error": "磁盘读写出错",
}


def not_toml(error: Exception) -> Text:
    """Say what is wrong with a TOML text: its encoding, its syntax, its depth or a number that cannot be held."""
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, RecursionError):
        return Text("嵌套过深", "nested too deeply")
    said = str(error)[:_MAX_SHOWN]
    if not isinstance(error, tomllib.TOMLDecodeError):  # tomllib lets through what int() and date() refuse
        return Text("不是有效的 TOML：数值或日期不可用", f"not TOML: {said}")
    at = _AT.search(said)
    where = f"第 {at[1]} 行第 {at[2]} 列" if at else "文件末尾"
    return Text(f"不是有效的 TOML：{where}{_of_python(said, _TOML)}", f"not TOML: {said}")


def not_a_pattern(error: re.error) -> Text:
    """Say what is wrong with a regular expression."""
    where = "其中" if error.pos is None else f"第 {error.pos + 1} 个字符处"
    return Text(f"不是有效的正则表达式：{where}{_of_python(error.msg, _PATTERN)}", f"not a pattern: {error}")


def _of_python(said: str, words: Mapping[str, str]) -> str:
    """Give the Chinese of a message by its beginning; another release of Python may say it in other words."""
    return next((zh for en, zh in words.items() if said.startswith(en)), "有语法错误")


_TOML = {
    "Expected '=' after a key": "：键之后须有等号",
    "Expected ']": "：表名须以 ] 结束",
    "Expected newline or end of document": "：语句之后须换行",
    "Invalid statement": "：不是语句",
    "Invalid value": "：值无效（文本须加引号）",
    "Invalid date or datetime": "：日期或时间无效",
    "Invalid initial character for a key part": "：不能作为键的开头",
    "Invalid hex value": "：不是十六进制数",
    "Unclosed array": "：数组没有以 ] 结束",
    "Unclosed inline table": "：内联表没有以 } 结束",
    "Unterminated string": "：文本没有以引号结束",
    "Unescaped '\\' in a string": "：文本中的 \\ 须写作 \\\\",
    "Cannot overwrite a value": "：此键已经有值",
    "Duplicate inline table key": "：此键已经有值",
    "Cannot declare": "：此表已经定义",
    "Cannot mutate immutable namespace": "：此表已经定义，不能再加内容",
    "Cannot redefine namespace": "：此表已经定义",
    "Illegal character": "：有不允许的字符",
    "Found invalid character": "：有不允许的字符",
}
"""How tomllib says what is wrong with a text, by its first words."""
_PATTERN = {
    "missing ), unterminated": "起的括号没有结束",
    "unbalanced parenthesis": "有多余的右括号",
    "unterminated character set": "起的字符集没有以 ] 结束",
    "nothing to repeat": "的重复符之前没有内容",
    "multiple repeat": "有多余的重复符",
    "min repeat greater than max repeat": "的重复次数下限大于上限",
    "bad escape": "的转义不可用",
    "incomplete escape": "的转义不完整",
    "bad character range": "的字符范围首尾颠倒",
    "unknown extension": "有不支持的 (? 写法",
    "invalid group reference": "引用的组不存在",
    "unknown group name": "引用的组不存在",
    "redefinition of group name": "的组名重复",
    "look-behind requires fixed-width": "的后顾断言须为固定长度",
    "global flags not at the start": "的全局标志须在开头",
    "unexpected end of pattern": "意外结束",
}
"""How `re` says what is wrong with a pattern, by its first words."""


def not_json(error: BaseException) -> Text:
    """Say what is wrong with a JSON text, which has bytes rather than lines when it came over the network."""
    if isinstance(error, UnicodeDecodeError):
        return Text(f"第 {error.start} 字节起不是 UTF-8", f"not UTF-8 at byte {error.start}")
    if isinstance(error, RecursionError):
        return Text("嵌套过深", "nested too deeply")
    said = str(error)[:_MAX_SHOWN]
    if not isinstance(error, JSONDecodeError):
        return Text("不是有效的 JSON", f"not JSON: {said}")
    return Text(f"不是有效的 JSON：第 {error.lineno} 行第 {error.colno} 列有语法错误", f"not JSON: {said}")


def not_utf8(error: UnicodeDecodeError) -> Text:
    """Say on which line a text stops being UTF-8 (as a file saved in GBK does)."""
    line = error.object[: error.start].count(b"\n") + 1
    return Text(
        f"第 {line} 行不是 UTF-8 编码，请把文件另存为 UTF-8", f"line {line} is not UTF-8; save the file as UTF-8"
    )


def unreadable(error: OSError) -> Text:
    """Say that a file cannot be read."""
    why = reason(error)
    return Text(f"无法读取：{why.zh}", f"cannot be read: {why.en}")


def too_large(limit: int) -> Text:
    """Say that a file has more bytes than anybody reads of it."""
    return Text(f"超过 {limit} 字节", f"larger than {limit} bytes")
