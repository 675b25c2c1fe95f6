"""`edusec probe`: the probes that there are, and one of them run by itself; their flags come from their options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from edusec.declare.command import Command, Group, group
from edusec.declare.flags import check_options, given, with_flags
from edusec.declare.options import JsonOption, QuietOption, ScopeOption, TimeLimitOption
from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.local.scopes import scope_of
from edusec.terminal.listing import Column, show
from edusec.terminal.render import json_line, safe, table
from edusec.terminal.words import word
from probes.kit import registry
from probes.kit.options import describe
from probes.kit.reasons import explain
from wire.codec import to_plain
from wire.types import Body, RunStatus, Section

app = group(t("探测项：查看、单独运行", "Probes: list them, run one"))


class _Probes(Group):
    """The probes as subcommands of `run`, each made from its options when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (Typer's own signature)
        return list(registry.names())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in registry.names():
            return None
        probe = registry.load(cmd_name)

        def run(
            time_limit: TimeLimitOption = 300,
            scope: ScopeOption = None,
            quiet: QuietOption = False,
            as_json: JsonOption = False,
            **options: Any,
        ) -> int:
            return _run(cmd_name, options, scope, time_limit=time_limit, quiet=quiet, as_json=as_json)

        program = typer.Typer(add_completion=False, rich_markup_mode=None)
        command = with_flags(run, describe(probe))
        program.command(cmd_name, cls=Command, help=probe.summary(current()))(command)
        return get_command(program)

    def summaries(self) -> Mapping[str, str]:
        return {name: registry.load(name).summary(current()) for name in registry.names()}


app.add_typer(
    typer.Typer(cls=_Probes, no_args_is_help=True, rich_markup_mode=None),
    name="run",
    help=t("单独运行一个探测项（只在授权范围内）", "Run one probe by itself (within the authorised scope only)"),
)


@app.command("list", cls=Command, help=t("列出探测项", "List the probes"))
def list_probes(as_json: JsonOption = False) -> None:
    """Print every probe with what it is for."""
    show(
        ({"name": name, **_about(name)} for name in registry.names()),
        "edusec.probe/1",
        (
            Column(t("名称", "NAME"), lambda probe: probe["name"]),
            Column(t("结果", "KIND"), lambda probe: word(probe["kind"])),
            Column(t("用途", "WHAT FOR"), lambda probe: probe["summary"][current()]),
        ),
        as_json=as_json,
    )


def _about(name: str) -> dict[str, Any]:
    probe = registry.load(name)
    return {
        "kind": probe.kind.value,
        "summary": probe.summary._asdict(),
        "needs": list(probe.needs),
        "privileges": sorted(probe.privileges),
        "options": [item.name for item in describe(probe)],
    }


def _run(
    name: str, options: Mapping[str, Any], scope: Path | None, *, time_limit: float, quiet: bool, as_json: bool
) -> int:
    from agent.probing.job import Job
    from edusec.running import run_job

    allowed = scope_of(scope)
    chosen = given(options)
    check_options(name, chosen)
    ran = run_job(Job(name, name, time_limit, chosen, allowed.entries, scope_file=allowed.file), quiet=quiet)
    section = ran.section
    if as_json:
        print(json_line({"schema": "edusec.section/1", **to_plain(section)}))
    else:
        _print(section)
    if ran.interrupted:
        return ExitCode.INTERRUPTED
    if section.status in {RunStatus.CANNOT_RUN, RunStatus.CRASHED} and not as_json:
        raise Stop(f"{name}: {explain(section.reason, current())}", ExitCode.PARTIAL)
    return ExitCode.CLEAN if section.status is RunStatus.DONE else ExitCode.PARTIAL


def _print(section: Section) -> None:
    body = section.body or Body()
    if body.observations:
        table(
            [t("对象", "TARGET"), t("方法", "METHOD"), t("结果", "OUTCOME"), t("数值", "VALUES")],
            [
                (_target(item.target), item.method, word(item.outcome.value), _values(item.values))
                for item in body.observations
            ],
        )
    for item in body.coverage:
        ports = f" {item.transport}/{item.ports}" if item.ports else ""
        print(t("已覆盖", "covered"), safe(", ".join(item.prefixes) + ports))
    for part in body.skipped:
        print(t("未覆盖", "not covered"), safe(f"{part.what}: {explain(part.reason, current())}"))


def _target(target: Any) -> str:
    return target.name if target.port is None else f"{target.name} {target.port}/{target.transport}"


def _values(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_value(name, value)}" for name, value in values.items())


def _value(name: str, value: Any) -> str:
    parts = [str(part) for part in (value if isinstance(value, tuple) else (value,))]
    return ",".join(explain(part, current()) if name in ("reason", "evidence") else part for part in parts)
