"""`edusec rules`: the rules that judge, from the shipped pack and from files of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption
from edusec.exits import ExitCode
from edusec.lang import current, t
from edusec.terminal.listing import Column, show
from edusec.terminal.render import json_line, safe
from edusec.terminal.words import word
from rules.examples import run_examples
from rules.loader import load_packs
from rules.model import Rule

app = group(t("规则：查看、检查、测试", "Rules: list, check, test"))

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH",
        show_default=False,
        help=t(
            "自己的规则文件或目录（内置规则总在其中）",
            "Rule files or folders of your own (the shipped rules are always there)",
        ),
    ),
]


@app.command("list", cls=Command, help=t("列出规则及其依据", "List the rules and what each rests on"))
def list_rules(paths: Paths = None, as_json: JsonOption = False) -> None:
    """Print the rules."""
    show(
        map(_plain, load_packs(paths or ())),
        "edusec.rule/1",
        (
            Column("ID", lambda rule: rule["id"]),
            Column(t("严重程度", "SEVERITY"), lambda rule: word(rule["severity"])),
            Column(t("对象", "SELECTS"), lambda rule: word(rule["select"])),
            Column(t("名称", "TITLE"), lambda rule: rule["title"][current()]),
            Column(t("二级条款", "LEVEL 2"), lambda rule: rule["clauses"].get("2", "")),
            Column(t("三级条款", "LEVEL 3"), lambda rule: rule["clauses"].get("3", "")),
            Column(t("政策依据", "POLICY"), lambda rule: rule["policy"]),
        ),
        as_json=as_json,
    )


@app.command("check", cls=Command, help=t("检查规则文件，逐一列出错误", "Check rule files and name every fault"))
def check_files(paths: Paths = None) -> None:
    """Load the rules; a fault ends the command with its place."""
    rules = load_packs(paths or ())
    print(t(f"{len(rules)} 条规则，没有错误", f"{len(rules)} rules, no fault"))


@app.command("test", cls=Command, help=t("运行每条规则自带的示例", "Run the examples that every rule carries"))
def run_all_examples(paths: Paths = None, as_json: JsonOption = False) -> int:
    """Run all examples; exit code 1 when one does not give what it says."""
    results = [result for rule in load_packs(paths or (), run=False) for result in run_examples(rule)]
    failed = [result for result in results if not result.passed]
    for result in results if as_json else failed:
        said = result.fault(current()) if result.fault else ""
        if as_json:
            line = {"rule": result.rule.id, "example": result.number, "verdict": result.verdict, "fault": said}
            print(json_line({"schema": "edusec.rule-test/1", **line}))
        else:
            print(
                safe(
                    t(
                        f"{result.rule.file}：示例 {result.number}：{said}",
                        f"{result.rule.file}: example {result.number}: {said}",
                    )
                )
            )
    if not as_json:
        print(t(f"{len(results)} 个示例，{len(failed)} 个不符", f"{len(results)} examples, {len(failed)} failed"))
    return ExitCode.FINDINGS if failed else ExitCode.CLEAN


def _plain(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "title": rule.title._asdict(),
        "select": rule.select.value,
        "severity": rule.severity.name.lower(),
        "clauses": {str(level): clause for level, clause in rule.basis.clauses.items()},
        "policy": rule.basis.policy,
        "confidence": rule.confidence.value,
        "hold_seconds": rule.hold,
        "drift": bool(rule.drift),
        "remedy": rule.remedy._asdict(),
        "file": rule.file,
    }
