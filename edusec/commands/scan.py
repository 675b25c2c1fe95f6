"""`edusec scan`: which ports are open, on an operator's own machine, without any collector."""

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from edusec.command import Command, FailOnOption, JsonOption, ScopeOption
from edusec.exits import ExitCode, Stop
from edusec.files import deliver, write_atomically
from edusec.flags import given
from edusec.grades import at_or_above, parse_fail_on
from edusec.lang import t
from edusec.places import scans_file
from edusec.scan import flags, lines, session
from edusec.scan.drift import CONFIRM
from edusec.scan.forms import FORMS, JSONL, TABLE, check_form, form_of_file
from edusec.scan.lines import Line
from edusec.scan.ports import TOP
from edusec.scan.profiles import DEFAULT
from edusec.scan.session import Result
from edusec.scan.show import show
from edusec.scan.wanted import Wanted, prepare
from wire.types import RunStatus

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    cls=Command,
    help=t(
        "探测目标的开放端口，对照白名单和规则给出发现。不需要采集中心；只在授权范围内发送数据包（见 edusec scope）。",
        "Scan ports, compare them with a whitelist and judge them by the rules. Needs no collector; sends packets "
        "within the authorised scope only (see edusec scope).",
    ),
    epilog=t(
        "示例：\n"
        "  edusec scan 127.0.0.1\n"
        "  edusec scan 10.20.0.0/24 --ports 22,80,443 --whitelist approved.csv --fail-on orange\n"
        "  edusec scan localhost --json | jq -c 'select(.type == \"finding\")'\n"
        "  edusec scan --unit 2164000001 --ports top:100\n"
        "  edusec scan --last",
        "Examples:\n"
        "  edusec scan 127.0.0.1\n"
        "  edusec scan 10.20.0.0/24 --ports 22,80,443 --whitelist approved.csv --fail-on orange\n"
        "  edusec scan localhost --json | jq -c 'select(.type == \"finding\")'\n"
        "  edusec scan --unit 2164000001 --ports top:100\n"
        "  edusec scan --last",
    ),
)
def scan(
    targets: flags.Targets = None,
    targets_file: flags.TargetsFile = None,
    exclude: flags.Exclude = None,
    ports: flags.Ports = None,
    top_ports: flags.TopPorts = None,
    udp: flags.Udp = None,
    port_frequencies: flags.Frequencies = None,
    profile: flags.Profile = DEFAULT,
    engine: flags.Engine = None,
    identify: flags.Identify = None,
    timeout: flags.Timeout = None,
    retries: flags.Retries = None,
    rate: flags.Rate = None,
    per_host: flags.PerHost = None,
    connections: flags.Connections = None,
    time_limit: flags.TimeLimit = 3600,
    scope: ScopeOption = None,
    unit: flags.Unit = "",
    operator: flags.Operator = None,
    reason: flags.Reason = "",
    whitelist: flags.Whitelist = None,
    fail_on: FailOnOption = "red",
    as_json: JsonOption = False,
    form: flags.Form = "",
    output: flags.Output = None,
    discover: flags.Discover = False,
    dry_run: flags.DryRun = False,
    last: flags.Last = False,
    resume: flags.Resume = False,
    run: flags.Run = "",
    list_runs: flags.List = False,
    import_file: flags.Import = None,
    diff: flags.Diff = False,
    against: flags.Against = "",
    confirm: flags.Confirm = CONFIRM,
    quiet: flags.Quiet = False,
) -> int:
    """Scan, or show the last scan."""
    threshold = parse_fail_on(fail_on)
    check_form(form)
    if output is not None:
        _require_writable(output)
    kept = (last, resume, list_runs, import_file is not None)
    _check_together(named=bool(targets or targets_file), kept=kept, dry_run=dry_run, unit=bool(unit), scope=bool(scope))
    if run and not (last or resume):
        raise Stop(t("--run 须与 --last 或 --resume 同用", "--run goes with --last or --resume"))
    if discover and (any(kept) or dry_run or unit):
        raise Stop(
            t(
                "--discover 不与 --dry-run、--unit、--last、--resume 同用",
                "--discover excludes --dry-run, --unit, --last and --resume",
            )
        )
    if list_runs:
        from edusec.scan.runs import show_runs

        show_runs(scans_file(), as_json=as_json)
        return ExitCode.CLEAN
    if against:
        from edusec.scan.compare import earlier

        earlier(against)  # a mistake in it should not come to light after the scan
    if last:
        from edusec.scan import store

        result = Result(store.last(scans_file(), run))
    elif import_file is not None:
        result = session.imported(import_file, whitelist, threshold)
    elif resume:
        result = session.resume(run, scope, time_limit, threshold, quiet=quiet)
    else:
        options = {
            "engine": engine,
            "identify": identify,
            "timeout": timeout,
            "retries": retries,
            "rate": rate,
            "per_host": per_host,
            "connections": connections,
        }
        wanted = Wanted(
            targets=tuple(targets or ()),
            files=tuple(targets_file or ()),
            exclude=tuple(exclude or ()),
            ports=_one_of(ports, top_ports),
            udp=udp,
            frequencies=port_frequencies,
            profile=profile,
            options=given(options),
            whitelist=whitelist,
            scope=scope,
            seconds=time_limit,
        )
        if dry_run:
            from edusec.scan import dry_run as dry

            dry.dry_run(prepare(wanted), as_json=as_json)
            return ExitCode.CLEAN
        if unit:
            from edusec.scan import remote

            result = remote.scan(remote.Unit(unit, operator, reason), wanted, threshold, quiet=quiet)
        else:
            result = session.scan(wanted, threshold, quiet=quiet, discover=discover)
    found = result.lines
    if diff or against:
        from edusec.scan.compare import compared

        found = compared(found, against, confirm)
    _show_found(found, form, output, as_json=as_json)
    return ExitCode.INTERRUPTED if result.interrupted else _exit_code(found, threshold)


def _check_together(*, named: bool, kept: Sequence[bool], dry_run: bool, unit: bool, scope: bool) -> None:
    """Refuse flags that say nothing together; `kept` are those that show or take up what the local file has."""
    if sum(kept) > 1 or (any(kept) and named):
        raise Stop(
            t(
                "--last、--resume、--list 只用一个，且不带目标",
                "--last, --resume and --list stand alone, without targets",
            )
        )
    if dry_run and (any(kept) or unit):
        raise Stop(t("--dry-run 须与目标同用，且不带 --unit", "--dry-run goes with targets, and not with --unit"))
    if unit and (any(kept) or scope):
        raise Stop(t("--unit 不与 --last、--resume、--scope 同用", "--unit excludes --last, --resume and --scope"))


def _show_found(found: Sequence[Line], form: str, output: Path | None, *, as_json: bool) -> None:
    if output is not None:
        write_atomically(output, FORMS[form_of_file(form, output)](found))
    shown = JSONL if as_json else form if form and output is None else TABLE
    if shown == TABLE:
        show(found)
    else:
        deliver(FORMS[shown](found), None)


def _one_of(ports: str | None, top_ports: int | None) -> str | None:
    if top_ports is None:
        return ports
    if ports is not None:
        raise Stop(t("--ports 与 --top-ports 只能用一个", "--ports and --top-ports exclude each other"))
    return f"{TOP}{top_ports}"


def _require_writable(file: Path) -> None:
    folder = file.resolve().parent
    if not os.access(folder, os.W_OK):
        raise Stop(t(f"-o {file}：不能写入 {folder}", f"-o {file}: {folder} cannot be written"))


def _exit_code(found: Sequence[Line], threshold: str) -> ExitCode:
    """Findings weigh more than what is missing, since the missing part cannot undo them."""
    if at_or_above((line["colour"] for line in found if line["type"] == lines.FINDING), threshold):
        return ExitCode.FINDINGS
    return ExitCode.CLEAN if found[0]["status"] == RunStatus.DONE else ExitCode.PARTIAL
