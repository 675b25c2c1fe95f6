"""One scan from its beginning, or from where it was interrupted, to lines that are kept in the local file."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import MAX_INPUT_BYTES, read_input
from edusec.local.places import scans_file
from edusec.running import Ran
from edusec.scan.output.show import banner
from edusec.scan.request.asked import Asked
from edusec.scan.request.wanted import Wanted, Work, prepare
from edusec.scan.request.whitelist import read_whitelist
from edusec.scan.result.finished import Measure, judged
from edusec.scan.result.lines import Line, iso
from edusec.scan.run.join import join
from edusec.scan.run.perform import Done, perform
from edusec.scan.run.source import Source, local
from edusec.scan.store import journal
from edusec.scan.store.journal import Journal
from edusec.scan.store.resume import find, taken_up, written
from probes.kit.machine.neighbours import own_addresses
from probes.kit.reasons import explain
from rules.facts import INTERNET, UNKNOWN
from wire.installed import command_for
from wire.types import Body, Section, TargetKind


@dataclass(frozen=True, slots=True)
class Result:
    """The lines of a scan, and whether the operator ended it before its time."""

    lines: list[Line]
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a scan begins: anew, after a discovery (`first`), or where it was interrupted, with what it `had`."""

    id: str
    had: Sequence[Section] = ()
    first: Ran | None = None


def scan(wanted: Wanted, threshold: str, *, quiet: bool, discover: bool = False, source: Source = local) -> Result:
    """Check what is wanted, do it, judge it and keep it; raises Stop before anything is sent.

    With `discover` only hosts that are there are scanned; of the others the result says what discovery does.
    """
    work, first = prepare(wanted), None
    if discover:
        from edusec.scan.run.discover import discovered

        work, first = discovered(work, quiet=quiet)
    return _carry_out(work, _Start(uuid.uuid4().hex, first=first), threshold, quiet=quiet, source=source)


def resume(
    run: str, scope: Path | None, seconds: float, threshold: str, *, quiet: bool, source: Source = local
) -> Result:
    """Do what an unfinished scan has not covered, and join both; raises Stop before anything is sent."""
    unfinished = find(scans_file(), run)
    work = taken_up(unfinished, scope, seconds)
    had = journal.sections(scans_file(), unfinished.id)
    return _carry_out(work, _Start(unfinished.id, had), threshold, quiet=quiet, source=source)


def imported(file: Path, whitelist: Path | None, threshold: str, vantage: str = UNKNOWN) -> Result:
    """Judge and keep a scan that nmap wrote as XML; raises Stop with every fault as file:line:field: what."""
    from collector.errors import BadFile
    from collector.ingest.nmap_file import read_nmap

    try:
        section = read_nmap(read_input(file), file.name, MAX_INPUT_BYTES)
    except BadFile as error:
        head = t("文件有误，没有导入：", "the file has faults, nothing was imported:")
        raise Stop("\n".join([head, *(problem(current()) for problem in error.problems)])) from None
    except ModuleNotFoundError as error:
        raise Stop(
            t(
                f"导入需要 {error.name}：{command_for('collector')}",
                f"an import needs {error.name}: {command_for('collector')}",
            )
        ) from None
    entries = read_whitelist(whitelist) if whitelist else ()
    names = {
        item.target.name: str(item.values["name"])
        for item in (section.body or Body()).observations
        if item.target.kind is TargetKind.HOST and item.values.get("name")
    }
    # Scans by the same arguments are comparable, whatever their files are called.
    asked = Asked((section.name,), names, "", "", (), str(whitelist or ""), profile="import", vantage=vantage)
    found = judged(uuid.uuid4().hex, section, asked, Measure(entries, datetime.now(UTC).date(), threshold))
    keep(found)
    return Result(found)


def _carry_out(work: Work, start: _Start, threshold: str, *, quiet: bool, source: Source) -> Result:
    first, began = start.first, iso(datetime.now(UTC).timestamp())
    kept = Journal(scans_file(), start.id, began, written(work))
    if kept.fault:
        banner(kept.fault)
    if first is not None:
        kept.keep(first.section)
    if first is not None and (first.interrupted or not work.prefixes):
        done = Done(first.section, first.interrupted, finished=not first.interrupted)
    else:
        try:
            done = perform(work, source, quiet=quiet, had=start.had, keep=kept.keep)
        except KeyboardInterrupt:  # the second one: what is in the journal stays
            _say_how_to_go_on(kept, start.id)
            raise
        if first is not None:
            done = replace(done, section=join([first.section, done.section]))
    if not quiet:
        _say_why(done.section)
    own = {str(item.address.ip) for item in own_addresses()} if work.asked.vantage == INTERNET else ()
    found = judged(start.id, done.section, work.asked, Measure(work.whitelist, work.today, threshold, own))
    keep(found)
    if done.finished:
        kept.close()
    else:
        _say_how_to_go_on(kept, start.id)
    return Result(found, done.interrupted)


def _say_how_to_go_on(kept: Journal, identifier: str) -> None:
    kept.pause()
    banner(
        kept.fault  # which may have come in the middle, as that of a full disk
        or t(
            f"未完成；续扫其余部分：edusec scan --resume --run {identifier[:8]}",
            f"not finished; to do the rest: edusec scan --resume --run {identifier[:8]}",
        )
    )


def _say_why(section: Section) -> None:
    """Say which engine took the place of the one that was to run, what answers could not be heard, and why."""
    said = {
        (item.values.get("engine"), str(item.values["why"])): None
        for item in (section.body or Body()).observations
        if item.target.kind is TargetKind.AGENT and item.values.get("why")
    }
    for engine, reason in said:
        why = explain(reason, current())
        banner(t(f"改用 {engine} 引擎：{why}", f"the {engine} engine took over: {why}") if engine else why)


def keep(found: Sequence[Line]) -> None:
    """Keep lines in the local file; where that cannot be, say so and go on."""
    try:
        from edusec.scan.store import results
    except ModuleNotFoundError as error:
        banner(t(f"没有 {error.name}，结果不保存", f"{error.name} is not installed, so the result is not kept"))
        return
    try:
        results.save(scans_file(), found)
    except Stop as stop:
        banner(str(stop))
