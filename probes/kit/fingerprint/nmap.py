"""Read an installed `nmap-service-probes` file, so that an operator who has nmap can use its service fingerprints.

The file's format is described in nmap's own guide, chapter "Service and Version Detection". Its patterns are Perl's and
speak of bytes; they are matched here against the answer read as Latin-1, where each byte is one character. What Python
cannot read is left out and named. The file itself is not part of this project.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from probes.kit.fingerprint.bounded import compiled
from probes.kit.fingerprint.model import (
    BAD_LENGTH,
    MAX_FILE,
    MAX_PATTERN,
    Fault,
    Fingerprint,
    FingerprintFileError,
    why_not,
)
from wire.faults import reason, too_large
from wire.ports import parse_ports
from wire.text import Text, TextError, within
from wire.types import Transport

HARD, SOFT = 0.9, 0.4
NAMES = {
    "p": "service.product",
    "v": "service.version",
    "i": "service.info",
    "h": "host.name",
    "o": "os.product",
    "d": "hw.device",
}
MATCH = re.compile(r"(?P<word>soft)?match (?P<service>\S+) m(?P<rest>.*)")
PROBE = re.compile(r"Probe (?P<transport>TCP|UDP) (?P<name>[A-Za-z0-9_-]{1,64}) q(?P<rest>.*)")
CALL = re.compile(
    r"\$(?:(?P<name>SUBST|P|I)\((?P<first>\d)(?:,\"(?P<a>[^\"]*)\")?(?:,\"(?P<b>[^\"]*)\")?\)|(?P<plain>\d))"
)
ESCAPES = {"0": b"\0", "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v"}


@dataclass(frozen=True, slots=True)
class ServiceProbe:
    """A payload, the ports where it is worth sending, how rare it is (1-9), and what its answers look like."""

    name: str
    transport: Transport
    payload: bytes
    ports: tuple[tuple[int, int], ...] = ()
    rarity: int = 5
    fallback: tuple[str, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceProbes:
    """What a file holds, and the lines that were left out."""

    probes: tuple[ServiceProbe, ...]
    faults: tuple[Fault, ...]


def read_nmap(path: Path) -> ServiceProbes:
    """Read a file; raises FingerprintFileError when it cannot be read or holds no probe."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise FingerprintFileError(within(str(path), too_large(MAX_FILE)))
        lines = path.read_text("latin-1").split("\n")
    except OSError as error:
        raise FingerprintFileError(within(str(path), reason(error))) from None
    probes: list[ServiceProbe] = []
    matches: list[Fingerprint] = []
    faults: list[Fault] = []

    def close() -> None:
        if probes:
            probes[-1] = replace(probes[-1], fingerprints=tuple(matches))
            matches.clear()

    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            if line.startswith("Probe "):
                close()
                probes.append(_probe(line))
            elif not probes:
                if not line.startswith("Exclude "):
                    raise TextError("之前须有 Probe 行", "expected a Probe line first")
            elif line.startswith(("match ", "softmatch ")):
                matches.append(_match(line, probes[-1].name, path.name))
            else:
                probes[-1] = _directive(line, probes[-1])
        except (ValueError, re.error, OverflowError, RecursionError) as error:
            faults.append(Fault(path.name, Text(f"第 {number} 行", f"line {number}"), why_not(error)))
    close()
    if not probes:
        raise FingerprintFileError(
            Text(
                f"{path}：没有 Probe 行，是 nmap-service-probes 文件吗？",
                f"{path}: holds no Probe line; is it an nmap-service-probes file?",
            )
        )
    return ServiceProbes(tuple(probes), tuple(faults))


def _probe(line: str) -> ServiceProbe:
    found = PROBE.fullmatch(line)
    if found is None:
        raise TextError("探测行须写成：Probe TCP|UDP 名称 q|载荷|", "a probe must read: Probe TCP|UDP name q|payload|")
    payload, _ = _delimited(found["rest"])
    return ServiceProbe(found["name"], Transport(found["transport"].lower()), unescape(payload))


def _directive(line: str, probe: ServiceProbe) -> ServiceProbe:
    word, _, rest = line.partition(" ")
    match word:
        case "ports":
            return replace(probe, ports=parse_ports(rest.strip()))
        case "rarity":
            if not (rest.isascii() and rest.isdigit() and len(rest) == 1):
                raise TextError("rarity 须为 1 至 9", "rarity must be from 1 to 9")
            return replace(probe, rarity=int(rest))
        case "fallback":
            return replace(probe, fallback=tuple(rest.strip().split(",")))
        case "sslports" | "totalwaitms" | "tcpwrappedms":
            return probe
        case _:
            raise TextError(f"未知的关键词 {word[:32]!r}", f"unknown word {word[:32]!r}")


def _match(line: str, probe: str, file: str) -> Fingerprint:
    found = MATCH.fullmatch(line)
    if found is None:
        raise TextError(
            "匹配行须写成：match 服务 m|正则表达式|标志 字段", "a match must read: match service m|pattern|flags fields"
        )
    perl, rest = _delimited(found["rest"])
    if not 0 < len(perl) <= MAX_PATTERN:
        raise TextError(*BAD_LENGTH)
    letters = re.match(r"[a-z]*", rest)[0]  # type: ignore[index]  # it matches the empty text too
    flags = (re.IGNORECASE if "i" in letters else 0) | (re.DOTALL if "s" in letters else 0)
    pattern = _python(perl)
    groups = compiled(pattern, flags).groups
    says = {"service.name": found["service"].removeprefix("ssl/"), **dict(_fields(rest[len(letters) :]))}
    if max((int(n) for text in says.values() for n in re.findall(r"\{(\d)", text)), default=0) > groups:
        raise TextError("字段引用了正则表达式中没有的分组", "a field names a group that the pattern does not have")
    return Fingerprint(
        key=f"nmap.{probe}",
        pattern=pattern,
        flags=int(flags),
        title=says.get("service.product", found["service"]),
        says=says,
        certainty=SOFT if found["word"] else HARD,
        source=f"nmap/{file}",
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    rest, cpes = text.strip(), {"a": "service.cpe23", "o": "os.cpe23", "h": "hw.cpe23"}
    while rest:
        name = "cpe:" if rest.startswith("cpe:") else rest[0]
        if name != "cpe:" and name not in NAMES:
            raise TextError(f"未知的字段 {name!r}", f"unknown field {name!r}")
        value, rest = _delimited(rest[len(name) :])
        rest = rest.removeprefix("a").strip() if name == "cpe:" else rest.strip()
        template = CALL.sub(_placeholder, value)
        if name != "cpe:":
            yield NAMES[name], template
        elif value[:1] in cpes:
            yield cpes[value[:1]], f"cpe:/{template}"


def _placeholder(call: re.Match[str]) -> str:
    if call["plain"]:
        return f"{{{call['plain']}}}"
    if call["name"] == "SUBST" and call["a"]:
        return f"{{{call['first']}|{call['a']}|{call['b'] or ''}}}"
    if call["name"] == "I" and call["a"] in (">", "<"):
        return f"{{{call['first']}{call['a']}}}"
    return f"{{{call['first']}}}"


def _delimited(text: str) -> tuple[str, str]:
    if not text:
        raise TextError("缺少分隔符", "a delimiter is missing")
    inside, closed, rest = text[1:].partition(text[0])
    if not closed:
        raise TextError(f"缺少结尾的 {text[0]!r}", f"the closing {text[0]!r} is missing")
    return inside, rest


def _python(perl: str) -> str:
    """Say in Python's words what differs from Perl's: `\\z`, `\\h`, `\\Q`, octal zero and `$` before a line end."""
    return re.sub(
        r"\\(?P<code>z|h|0(?![0-7]))|(?P<keep>\\.)",
        lambda hit: hit["keep"] or {"z": r"\Z", "h": r"[ \t]", "0": r"\x00"}[hit["code"]],
        perl,
        flags=re.DOTALL,
    )


def unescape(text: str) -> bytes:
    """Read the escapes of a payload: C's letters, `\\xHH` and `\\0`; any other escaped character stands for itself."""
    out = bytearray()
    for hit in re.finditer(r"\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<letter>.)|(?P<plain>[^\\])", text, re.DOTALL):
        if hit["hex"]:
            out.append(int(hit["hex"], 16))
        elif hit["letter"]:
            out += ESCAPES.get(hit["letter"], hit["letter"].encode("latin-1"))
        else:
            out += hit["plain"].encode("latin-1")
    return bytes(out)
