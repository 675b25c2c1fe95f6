"""`edusec scan`: which ports are open, on an operator's own machine, without any collector."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer

from edusec.declare.command import Command
from edusec.declare.flags import given
from edusec.declare.grades import at_or_above, parse_fail_on
from edusec.declare.options import FailOnOption, JsonOption, QuietOption, ScopeOption, Vantage, VantageOption
from edusec.exits import ExitCode, Stop
from edusec.lang import t
from edusec.local.files import deliver, followed, write_atomically
from edusec.local.places import scans_file
from edusec.scan import session
from edusec.scan.output.forms import FORMS, JSONL, TABLE, check_form, form_of_file
from edusec.scan.output.show import show
from edusec.scan.request import flags, nmap_flags
from edusec.scan.request.chosen import Chosen
from edusec.scan.request.ports import TOP
from edusec.scan.request.profiles import DEFAULT
from edusec.scan.request.wanted import Wanted, Work, prepare
from edusec.scan.result import lines
from edusec.scan.result.drift import CONFIRM
from edusec.scan.result.lines import Line
from edusec.scan.session import Result
from edusec.scan.store.checked import undamaged
from wire.types import RunStatus

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class _Scan(Command):
    """Answers flags of nmap before they are taken for a file's name or a target (`-oX scan.xml`)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words of the command line."""
        nmap_flags.check(args)
        return list(super().parse_args(ctx, args))


@app.command(
    cls=_Scan,
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
    quiet_hours: flags.QuietHours = None,
    time_limit: flags.TimeLimit = 3600,
    scope: ScopeOption = None,
    unit: flags.Unit = "",
    operator: flags.Operator = None,
    reason: flags.Reason = "",
    wait: flags.Wait = None,
    whitelist: flags.Whitelist = None,
    vantage: VantageOption = Vantage.UNKNOWN,
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
    quiet: QuietOption = False,
) -> int:
    """Scan, or show the last scan."""
    threshold = parse_fail_on(fail_on)
    check_form(form)
    if as_json and form not in ("", JSONL) and output is None:
        raise Stop(t("--json 与 --format 只能用一个", "--json and --format exclude each other"))
    if output is not None:
        _require_writable(output)
    options = given(
        {
            "engine": engine,
            "identify": identify,
            "timeout": timeout,
            "retries": retries,
            "rate": rate,
            "per_host": per_host,
            "connections": connections,
        }
    )
    asked = (targets, targets_file, exclude, ports, top_ports, udp, port_frequencies, options, quiet_hours)
    Chosen(
        kept=sum((last, resume, list_runs, import_file is not None)),
        asked=any(asked) or profile != DEFAULT,
        dry_run=dry_run,
        discover=discover,
        unit=bool(unit),
        vantage=vantage is not Vantage.UNKNOWN and import_file is None,
        whitelist=whitelist is not None and import_file is None,
        of_unit=bool(operator or reason or wait),
        own_bounds=bool(scope or quiet_hours),
        run=bool(run),
        takes_run=last or resume,
    ).check()
    if list_runs:
        from edusec.scan.store.runs import show_runs

        show_runs(scans_file(), as_json=as_json)
        return ExitCode.CLEAN
    before = None
    if against:
        from edusec.scan.store.compare import earlier

        before = earlier(against)  # a mistake in it should not come to light after the scan
    wanted = Wanted(
        targets=tuple(targets or ()),
        files=tuple(targets_file or ()),
        exclude=tuple(exclude or ()),
        ports=_one_of(ports, top_ports),
        udp=udp,
        frequencies=port_frequencies,
        profile=profile,
        options=options,
        whitelist=whitelist,
        scope=scope,
        seconds=time_limit,
        quiet_hours=tuple(quiet_hours or ()),
        vantage=vantage.value,
    )
    if dry_run:
        from edusec.scan.output import dry_run as dry

        work = prepare(wanted)
        if discover:
            _show_finding(work, as_json=as_json)
        dry.dry_run(work, as_json=as_json)
        return ExitCode.CLEAN
    if last:
        from edusec.scan.store import results

        result = Result(results.last(scans_file(), run))
    elif import_file is not None:
        result = session.imported(import_file, whitelist, threshold, vantage.value)
    elif resume:
        result = session.resume(run, scope, time_limit, threshold, quiet=quiet)
    elif unit:
        from edusec.scan.remote.unit import Unit, scan_unit

        result = scan_unit(Unit(unit, operator, reason, wait), wanted, threshold, quiet=quiet)
    else:
        result = session.scan(wanted, threshold, quiet=quiet, discover=discover)
    found = result.lines
    if diff or against:
        from edusec.scan.store.compare import compared

        found = compared(found, before, confirm)
    with undamaged(scans_file()) if last else nullcontext():
        _show_found(found, form, output, as_json=as_json)
    return ExitCode.INTERRUPTED if result.interrupted else _exit_code(found, threshold)


def _show_finding(work: Work, *, as_json: bool) -> None:
    """Print what finding the hosts would send; the scan of those who are there comes after it."""
    from edusec.discovery.dry_run import show as show_discovery
    from edusec.scan.run.discover import job_of

    show_discovery(job_of(work), as_json=as_json)
    if not as_json:
        print(t("然后只对在线的主机，至多：", "then, of those who are there only, at most:"))


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
    place = followed(file)
    if place.is_dir():
        raise Stop(t(f"-o {file}：是目录，不是文件", f"-o {file}: is a folder, not a file"))
    if not os.access(place.parent, os.W_OK):
        raise Stop(t(f"-o {file}：不能写入 {place.parent}", f"-o {file}: {place.parent} cannot be written"))


def _exit_code(found: Sequence[Line], threshold: str) -> ExitCode:
    """Findings weigh more than what is missing, since the missing part cannot undo them."""
    if at_or_above((line["colour"] for line in found if line["type"] == lines.FINDING), threshold):
        return ExitCode.FINDINGS
    return ExitCode.CLEAN if found[0]["status"] == RunStatus.DONE else ExitCode.PARTIAL
