"""Flags that hands used to nmap type: each is answered with what does the same here. docs/scanning.md has the table."""

import re
from collections.abc import Iterable, Mapping

from edusec.exits import Stop
from edusec.lang import current, t
from wire.text import Text

INSTEAD: Mapping[str, Text] = {
    "-sS": Text("--engine syn（有权限时本来就用）", "--engine syn (taken anyway where it is allowed)"),
    "-sT": Text("--engine connect", "--engine connect"),
    "-sU": Text("--udp 端口，如 --udp top:20", "--udp PORTS, such as --udp top:20"),
    "-sV": Text(
        "本来就识别服务；--no-identify 则不识别", "services are identified anyway; --no-identify leaves that out"
    ),
    "-sC": Text("没有脚本；服务自己说的都会判断", "there are no scripts; what services say is judged anyway"),
    "-A": Text("本来就识别服务；没有脚本", "services are identified anyway; there are no scripts"),
    "-O": Text("不专门探测系统；服务说出的会显示", "no probes for the system; what services say of it is shown"),
    "-sn": Text("edusec discover 目标", "edusec discover TARGET"),
    "-Pn": Text("不需要：不带 --discover 时每个地址都扫描", "not needed: without --discover every address is scanned"),
    "-n": Text("不需要：从不反查域名", "not needed: no names are looked up"),
    "-6": Text("不需要：地址本身说明", "not needed: addresses say it themselves"),
    "-F": Text("--top-ports 100", "--top-ports 100"),
    "-T": Text("--profile safe|fast|deep，或 --rate N", "--profile safe|fast|deep, or --rate N"),
    "--min-rate": Text("--rate N（上限，丢包时自动放慢）", "--rate N (a bound; it slows down where packets get lost)"),
    "--max-rate": Text("--rate N", "--rate N"),
    "--max-retries": Text("--retries N", "--retries N"),
    "--host-timeout": Text("--time-limit S（整次扫描）", "--time-limit S (for the whole scan)"),
    "--open": Text("不需要：表格只列开放的端口", "not needed: the table has open ports only"),
    "-oX": Text("-o 文件.xml", "-o FILE.xml"),
    "-oA": Text("-o 文件.xml、.csv 或 .jsonl", "-o FILE.xml, .csv or .jsonl"),
    "-oN": Text("-o 文件.csv，或重定向输出", "-o FILE.csv, or redirect the output"),
    "-oG": Text("--json，或 -o 文件.csv", "--json, or -o FILE.csv"),
    "-iL": Text("--targets-file 文件，或 @文件", "--targets-file FILE, or @FILE"),
    "--excludefile": Text("--exclude @文件", "--exclude @FILE"),
    "--script": Text("没有脚本；服务自己说的都会判断", "there are no scripts; what services say is judged anyway"),
}
_TIMING = re.compile(r"-T([0-5]|[a-z]+)?")


def check(words: Iterable[str]) -> None:
    """Raise Stop for flags of nmap among the words of a command line, each with what to type in its place."""
    found = dict.fromkeys(flag for word in words if (flag := _flag(word)) in INSTEAD)
    if found:
        said = [t(f"{flag} 是 nmap 的选项：", f"{flag} is nmap's: ") + INSTEAD[flag](current()) for flag in found]
        raise Stop("\n".join(said))


def _flag(word: str) -> str:
    return "-T" if _TIMING.fullmatch(word) else word.partition("=")[0]
