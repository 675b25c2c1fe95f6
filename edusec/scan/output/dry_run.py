"""`edusec scan --dry-run`: exactly what would be sent, and what would not, worked out by the probes. Sends nothing."""

from collections.abc import Iterator
from typing import Any

from agent.probing.preview import preview
from edusec.exits import Stop
from edusec.lang import current, t
from edusec.scan.output.said import port_set, some
from edusec.scan.request.wanted import Part, Work
from edusec.scan.run.batches import Batch, areas
from edusec.terminal.render import json_line, safe
from probes.kit.contract import CannotRun, Preview
from probes.kit.reasons import explain
from probes.kit.scope.targets import parse_targets
from wire.codec import to_plain

SCHEMA = "edusec.scan-preview/1"


def dry_run(work: Work, *, as_json: bool) -> None:
    """Print what a scan would send; raises Stop for what a probe could not do at all."""
    for part in work.parts:
        try:
            found = _preview(work, part)
        except CannotRun as error:
            raise Stop(explain(str(error), current())) from None
        if as_json:
            print(json_line({"schema": SCHEMA, "probe": part.probe, **_plain(found)}))
        else:
            print("\n".join(safe(line) for line in _lines(part, found)))
    if not as_json:
        print(t("没有发送任何数据包。", "Nothing was sent."))


def _preview(work: Work, part: Part) -> Preview:
    found = preview(work.job(part, _targets(work, part), part.ports, work.seconds))
    if found is None:
        raise CannotRun(part.probe)
    return found


def _targets(work: Work, part: Part) -> tuple[str, ...]:
    """Write all addresses in as few words as can be: a probe's option holds 1,000."""
    (area,) = areas([part], parse_targets(work.prefixes), ())
    return Batch(area, 0).targets


def _plain(found: Preview) -> dict[str, Any]:
    return dict(to_plain(found))


def _lines(part: Part, found: Preview) -> Iterator[str]:
    method = f"{found.method} ({explain(found.why, current())})" if found.why else found.method
    yield f"{part.probe}: {method}"
    for portion in found.portions:
        ports = port_set(part.transport, portion.ports)
        count = f"{portion.addresses} addresses" if portion.addresses != 1 else "1 address"
        local = t("（本机）", " (this machine)") if portion.local else ""
        yield t(
            f"  发送：{', '.join(portion.prefixes)}{local}：{portion.addresses} 个地址 × {ports} = {portion.pairs} 对",
            f"  send: {', '.join(portion.prefixes)}{local}: {count} x {ports} = {portion.pairs} pairs",
        )
        if portion.on_link:
            yield t(
                f"    其中 {portion.on_link} 个在本机链路上，先查询其硬件地址（ARP、ND），"
                f"每个 1 至 {found.link_questions} 次",
                f"    {portion.on_link} of them are on a link of this machine, which asks for them first (ARP, ND), "
                f"1 to {found.link_questions} times each",
            )
    refused = [f"{item.what}{t('：', ': ')}{explain(item.reason, current())}" for item in found.refused]
    yield from some(t("  不发送：", "  not sent: "), refused)
    yield t(
        f"  数据包至多 {found.packets} 个，证实有丢包时至多 {found.most_packets} 个",
        f"  at most {found.packets} packets, {found.most_packets} where loss is proven",
    )
    if found.per_open or found.conversations:
        yield t(
            f"  每个开放端口另有数据包至多 {found.per_open} 个，询问服务的连接至多 {found.conversations} 个",
            f"  for each open port {found.per_open} more, and {found.conversations} connections to ask who it is",
        )
    if found.no_payload:
        yield t(f"  从不写入数据的端口：{found.no_payload}", f"  ports that are never written to: {found.no_payload}")
    fast, slow = found.seconds
    yield t(
        f"  速率至多 {found.rate:g}/s；全部应答约 {fast:.0f} 秒，全无应答约 {slow:.0f} 秒",
        f"  at most {found.rate:g}/s; about {fast:.0f} s when all answer, {slow:.0f} s when none does",
    )
