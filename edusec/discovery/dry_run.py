"""`edusec discover --dry-run`: whom a discovery would ask, in which ways, worked out by the probe. Sends nothing."""

from collections.abc import Iterator

from agent.probing.job import Job
from agent.probing.preview import preview
from edusec.exits import Stop
from edusec.lang import current, t
from edusec.terminal.render import json_line, safe
from probes.kit.contract import CannotRun, Preview, Step
from probes.kit.discovery.told import DESCRIPTION
from probes.kit.reasons import explain
from wire.codec import to_plain

SCHEMA = "edusec.discovery-preview/1"
_MOST_REFUSED = 20


def dry_run(job: Job, *, as_json: bool) -> None:
    """Print what a discovery would send; raises Stop where the probe could not run at all."""
    show(job, as_json=as_json)
    if not as_json:
        print(t("没有发送任何数据包。", "Nothing was sent."))


def show(job: Job, *, as_json: bool) -> None:
    """Print the preview alone."""
    try:
        found = preview(job)
    except CannotRun as error:
        raise Stop(explain(str(error), current())) from None
    if found is None:
        raise Stop(job.probe)
    if as_json:
        print(json_line({"schema": SCHEMA, "probe": job.probe, **dict(to_plain(found))}))
        return
    print("\n".join(safe(line) for line in _lines(found)))


def _lines(found: Preview) -> Iterator[str]:
    yield f"{found.method} ({explain(found.why, current())})" if found.why else found.method
    for step in found.steps:
        yield f"  {_step(step)}"
    for item in found.refused[:_MOST_REFUSED]:
        yield t(f"  不发送：{item.what}：", f"  not sent: {item.what}: ") + explain(item.reason, current())
    if (more := len(found.refused) - _MOST_REFUSED) > 0:
        yield t(f"  不发送：另有 {more} 项，见 --json", f"  not sent: {more} more, see --json")
    fast, slow = found.seconds
    yield t(
        f"  无应答时数据包至多 {found.packets} 个；链路上的询问至多 {found.rate:g}/s；约 {fast:.0f} 至 {slow:.0f} 秒，"
        "对应答者的后续询问另计",
        f"  at most {found.packets} packets when nobody answers; at most {found.rate:g}/s on links; about {fast:.0f} "
        f"to {slow:.0f} s, what those who answer are asked further not counted",
    )


def _step(step: Step) -> str:
    where = f"{step.method} {step.interface}".rstrip()
    to, ports = ", ".join(step.to), step.ports
    if step.method == DESCRIPTION:
        return t(
            f"{where}：SSDP、WS-Discovery 应答者在其自身地址上公布的描述页（{ports}），每页一次 HTTP 请求",
            f"{where}: pages that those who answer to SSDP and WS-Discovery announce at their own address ({ports}), "
            "one HTTP request each",
        )
    whom = f"{to} ({ports})" if ports else to
    if step.found:
        return t(f"{where}：已发现的主机中属于 {whom} 的", f"{where}: those of {whom} that were found")
    if step.addresses:
        return t(
            f"{where}：{whom}，{step.addresses} 个地址，数据包至多 {step.packets} 个",
            f"{where}: {whom}: {step.addresses} addresses, {step.packets} packets at most",
        )
    return t(
        f"{where}：组播 {whom}，{step.packets} 个数据包",
        f"{where}: everybody on the link by {whom}, {step.packets} packets",
    )
