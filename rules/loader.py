"""Reading rule files: every fault of every file is found, and where there is one, nothing is loaded."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

from rules import reading
from rules.conditions import read_condition, read_facts
from rules.data import clauses, policies
from rules.errors import RuleFault, RulesError
from rules.examples import run_examples
from rules.facts import EXPOSURES, Fact, SubjectKind, facts_of
from rules.model import Basis, Colour, Confidence, Example, Minimum, PolicyItem, Rule, Severity, Verdict
from rules.reading import MAX_FILE_BYTES, Place
from wire.faults import unreadable
from wire.text import Text

MAX_FILES = 2000
MAX_TITLE = 120
MAX_REMEDY = 1000
MAX_NOTE = 200
MAX_EXAMPLES = 50
MAX_HOLD = 366 * 86_400

RULE_KEYS = (
    "id", "title", "select", "severity", "control", "policy", "confidence", "drift", "for", "given", "when", "minimum",
    "maximum", "remedy", "example", "replaces", "shows",
)  # fmt: skip
_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_HOLD = re.compile(r"([0-9]{1,9}) ?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SEVERITIES = tuple(item.name.lower() for item in Severity)


def load_packs(paths: Iterable[Path] = (), *, run: bool = True) -> tuple[Rule, ...]:
    """Load the rules that edusec ships and then those of further files or folders.

    Raises RulesError with every fault of every file; an example that does not give its verdict is one, unless `run` is
    false (for whoever runs the examples and shows what each gave).
    """
    faults: list[RuleFault] = []
    rules: dict[str, Rule] = {}
    shipped = dict(_builtin_files())
    _add(shipped.items(), rules, faults)
    for path in paths:
        # A rule that edusec ships may be named too (to check it): it does not stand in its own way.
        _add(((name, raw) for name, raw in _files_at(path, faults) if raw not in shipped.values()), rules, faults)
    if run:
        faults.extend(_failed_examples(rules.values()))
    if faults:
        raise RulesError(faults)
    return tuple(rules.values())


def _builtin_files() -> Iterator[tuple[str, bytes]]:
    for pack in sorted((files("rules") / "packs").iterdir(), key=lambda item: item.name):
        for file in sorted(pack.iterdir(), key=lambda item: item.name):
            if file.name.endswith(".toml"):
                yield f"rules/packs/{pack.name}/{file.name}", file.read_bytes()


def _files_at(path: Path, faults: list[RuleFault]) -> Iterator[tuple[str, bytes]]:
    place = Place(str(path), faults)
    try:
        found = sorted((*path.glob("*.toml"), *path.glob("*/*.toml"))) if path.is_dir() else [path]
        if not found:
            place.fault("没有规则文件（*.toml）", "holds no rule file (*.toml)")
        elif len(found) > MAX_FILES:
            place.fault(
                f"有 {len(found)} 个规则文件，最多 {MAX_FILES} 个",
                f"{len(found)} rule files, at most {MAX_FILES} are allowed",
            )
            return
        for file in found:
            place = Place(str(file), faults)
            if not file.is_file():
                place.fault("不是可读取的文件或目录", "is no file or folder that can be read")
                continue
            with file.open("rb") as opened:
                yield str(file), opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        place.fault(*unreadable(error))


def _add(sources: Iterable[tuple[str, bytes]], rules: dict[str, Rule], faults: list[RuleFault]) -> None:
    for name, raw in sources:
        place = Place(name, faults)
        table = reading.parse(raw, place)
        rule = _read_rule(table, place) if table is not None else None
        if table is None or rule is None:
            continue
        earlier = rules.get(rule.id)
        replaces = reading.flag(table, "replaces", place)
        if earlier and not replaces:
            place.at("id").fault(
                f"{rule.id!r} 已是 {earlier.file} 的规则；请换一个名称，或写 replaces = true 取代它",
                f"{rule.id!r} is already the rule of {earlier.file}; take another name, or write replaces = true "
                "to put this rule in its place",
            )
        elif replaces and not earlier:
            place.at("replaces").fault(f"没有可取代的规则 {rule.id!r}", f"there is no rule {rule.id!r} to replace")
        else:
            rules[rule.id] = rule


def _failed_examples(rules: Iterable[Rule]) -> list[RuleFault]:
    return [
        RuleFault(rule.file, f"example[{result.number}]", result.fault)
        for rule in rules
        for result in run_examples(rule)
        if result.fault
    ]


def _read_rule(table: dict[str, Any], place: Place) -> Rule | None:
    before = len(place.faults)
    reading.refuse_unknown(table, RULE_KEYS, place)
    select = reading.choice(table, "select", [kind.value for kind in SubjectKind], place)
    severity = reading.choice(table, "severity", _SEVERITIES, place)
    rule_id = _read_id(table, place)
    title = reading.both(table, "title", place, MAX_TITLE)
    remedy = reading.both(table, "remedy", place, MAX_REMEDY)
    confidence = reading.choice(table, "confidence", [item.value for item in Confidence], place, "verified")
    maximum = reading.choice(table, "maximum", [item.value for item in Colour], place, "red")
    basis = Basis(_read_control(table, place), _read_policy(table, place))
    if "control" not in table and "policy" not in table:
        place.at("control").fault(
            "缺少；请按保护等级写明条款，或在 `policy` 下写明政策条目",
            "is missing; name a clause per protection level, or a policy item under `policy`",
        )
    hold = _read_hold(table.get("for", 0), place.at("for"))
    minimum = tuple(_read_minimum(entry, here) for here, entry in reading.tables(table, "minimum", place, 10))
    # Without knowing what the rule selects, every fact would look wrong: that one fault is enough.
    if not select:
        return None
    vocabulary = facts_of(SubjectKind(select))
    given = read_condition(table["given"], vocabulary, place.at("given")) if "given" in table else None
    if "when" not in table:
        place.at("when").fault(
            "缺少；请在 [when] 下写明事实须如何", "is missing; say what the facts must be under [when]"
        )
    when = read_condition(table["when"], vocabulary, place.at("when")) if "when" in table else None
    drift = _read_drift(table.get("drift", False), vocabulary, place.at("drift"))
    shows = reading.words(table, "shows", vocabulary, place)
    examples = _read_examples(table, vocabulary, place)
    if len(place.faults) > before or when is None:
        return None
    return Rule(
        id=rule_id,
        title=title,
        select=SubjectKind(select),
        when=when,
        severity=Severity[severity.upper()],
        basis=basis,
        remedy=remedy,
        given=given,
        hold=hold,
        minimum=minimum,
        maximum=Colour(maximum),
        drift=drift,
        shows=shows,
        confidence=Confidence(confidence),
        examples=examples,
        file=place.file,
    )


def _read_id(table: dict[str, Any], place: Place) -> str:
    here, stem = place.at("id"), PurePath(place.file).stem
    before = len(place.faults)
    rule_id = reading.text(table, "id", place, 64)
    if len(place.faults) > before:
        return ""
    if not _ID.fullmatch(rule_id):
        here.fault(
            "须为连字符连接的小写单词，如 unlisted-port",
            "must be lower-case words joined by hyphens, such as unlisted-port",
        )
    elif rule_id != stem:
        name = f"{ascii(stem)[1:-1]}.toml"
        here.fault(
            f"为 {rule_id!r}，而文件名是 {name}；两者须一致",
            f"is {rule_id!r}, but the file is named {name}; the two must agree",
        )
    return rule_id


def _read_control(table: dict[str, Any], place: Place) -> Mapping[int, str]:
    here, control = place.at("control"), table.get("control", {})
    if not isinstance(control, dict) or ("control" in table and not control):
        form = '{ 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }'
        here.fault(
            f"须为保护等级到条款的表，如 {form}", f"must be a table from protection level to clause, such as {form}"
        )
        return {}
    reading.refuse_unknown(control, ("2", "3"), here)
    return {int(key): _read_clause(control[key], int(key), here.at(key)) for key in ("2", "3") if key in control}


def _read_clause(number: Any, level: int, place: Place) -> str:
    clause = clauses().get(number) if isinstance(number, str) else None
    if clause is None:
        same_level = [name for name, found in clauses().items() if found.level == level]
        found, near = reading.shown(number), reading.suggest(str(number), same_level)
        place.fault(
            f"{found.zh}不是 edusec 所知的 GB/T 22239-2019 条款{near.zh}；见 rules/data/clauses.toml",
            f"{found.en} is no clause of GB/T 22239-2019 that edusec knows{near.en}; see rules/data/clauses.toml",
        )
        return ""
    if clause.level != level:
        twin = repr(clause.counterpart)
        other = (
            Text(f"对应的是 {twin}", f"there it is {twin}")
            if clause.counterpart
            else Text(f"{level} 级没有这一条款", f"level {level} has no such clause")
        )
        place.fault(
            f"{number!r} 是 {clause.level} 级的条款，不是 {level} 级的；{other.zh}",
            f"{number!r} is a clause of level {clause.level}, not of level {level}; {other.en}",
        )
    return clause.number


def _read_policy(table: dict[str, Any], place: Place) -> tuple[PolicyItem, ...]:
    here, named = place.at("policy"), table.get("policy", [])
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or ("policy" in table and not named):
        found_kind = reading.kind(named)
        here.fault(
            f"须为政策条目或其列表，不是{found_kind.zh}；见 rules/data/policies.toml",
            f"must be a policy item or a list of them, not {found_kind.en}; see rules/data/policies.toml",
        )
        return ()
    found = []
    for index, name in enumerate(named, 1):
        item = policies().get(name) if isinstance(name, str) else None
        if item is None:
            shown, near = reading.shown(name), reading.suggest(str(name), policies())
            here.at(index).fault(
                f"{shown.zh}不是 edusec 所知的政策条目{near.zh}；见 rules/data/policies.toml",
                f"{shown.en} is no policy item that edusec knows{near.en}; see rules/data/policies.toml",
            )
        else:
            found.append(item)
    return tuple(found)


def _read_hold(value: Any, place: Place) -> float:
    match = _HOLD.fullmatch(value) if isinstance(value, str) else None
    if match:
        seconds = float(int(match[1]) * _SECONDS[match[2]])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= MAX_HOLD else -1.0
    else:
        seconds = -1.0
    if not 0 <= seconds <= MAX_HOLD:
        place.fault(
            '须为秒数，或 "90s"、"10m"、"2h"、"7d" 这样的文本，最多 366 天',
            'must be seconds, or a text such as "90s", "10m", "2h" or "7d", at most 366 days',
        )
        return 0.0
    return seconds


def _read_drift(value: Any, vocabulary: Mapping[str, Fact], place: Place) -> str:
    firsts = [name for name in vocabulary if name.startswith("baseline")]
    if isinstance(value, bool):
        return "baseline" if value else ""
    if value in firsts:
        return str(value)
    listed, found = ", ".join(firsts), reading.kind(value)
    place.fault(
        f"须为 true、false 或 {listed} 之一，不是{found.zh}",
        f"must be true, false or one of {listed}, not {found.en}",
    )
    return ""


def _read_minimum(entry: dict[str, Any], here: Place) -> Minimum:
    reading.refuse_unknown(entry, ("colour", "from_level", "exposure"), here)
    colour = reading.choice(entry, "colour", [item.value for item in Colour if item is not Colour.NONE], here)
    level = entry.get("from_level", 1)
    if type(level) is not int or not 1 <= level <= 5:
        here.at("from_level").fault("须为保护等级，1 至 5", "must be a protection level, 1 to 5")
        level = 1
    return Minimum(Colour(colour or "none"), level, reading.words(entry, "exposure", EXPOSURES, here))


def _read_examples(table: dict[str, Any], vocabulary: Mapping[str, Fact], place: Place) -> tuple[Example, ...]:
    before = len(place.faults)
    read = tuple(
        _read_example(entry, vocabulary, here) for here, entry in reading.tables(table, "example", place, MAX_EXAMPLES)
    )
    if len(place.faults) == before:
        wanted = {
            Verdict.MATCH: Text("符合规则的", "facts that match"),
            Verdict.NO_MATCH: Text("不符合规则的", "facts that do not match"),
        }
        for verdict, what in wanted.items():
            if all(example.verdict is not verdict for example in read):
                place.at("example").fault(
                    f'至少须有一个{what.zh} [[example]]（verdict = "{verdict}"）',
                    f'give at least one [[example]] of {what.en} (verdict = "{verdict}")',
                )
    return read


def _read_example(entry: dict[str, Any], vocabulary: Mapping[str, Fact], here: Place) -> Example:
    reading.refuse_unknown(entry, ("facts", "verdict", "colour", "note"), here)
    facts = read_facts(entry.get("facts", {}), vocabulary, here.at("facts"))
    if "facts" not in entry:
        here.at("facts").fault(
            "缺少；一无所知的示例写 facts = {}", "is missing; an example of nothing known is facts = {}"
        )
    verdict = reading.choice(entry, "verdict", [item.value for item in Verdict], here)
    colour = reading.choice(entry, "colour", [item.value for item in Colour], here) if "colour" in entry else ""
    note = reading.text(entry, "note", here, MAX_NOTE, "")
    return Example(facts, Verdict(verdict or "unknown"), Colour(colour) if colour else None, note)
