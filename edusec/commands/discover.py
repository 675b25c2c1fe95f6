"""`edusec discover`: which hosts are there, on this machine's networks or on those that are named."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

import typer

from edusec.command import Command, JsonOption, ScopeOption
from edusec.exits import ExitCode, Stop
from edusec.files import write_atomically
from edusec.flags import check_options, given
from edusec.lang import current, t
from edusec.places import scope_file
from edusec.render import json_line, safe, table
from edusec.scan.targets import outside, read_targets
from edusec.words import word
from probes.kit.reasons import explain
from probes.kit.scope import Scope
from probes.kit.scope_file import load_scope
from probes.kit.targets import MAX_ADDRESSES
from wire.codec import to_plain
from wire.types import Body, Observation, RunStatus, Section, Value

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PROBE = "discovery"
SCHEMA = "edusec.discovery/1"
_LEASE = "dhcp_lease"


@app.command(
    cls=Command,
    help=t(
        "发现主机：ARP、ND、IPv6 组询问、mDNS、SSDP、WS-Discovery、NetBIOS、TCP、ICMP 一并使用。"
        "不写网段时看本机各接口所在的网段；只在授权范围内发送。",
        "Find hosts: ARP, ND, questions to all IPv6 hosts, mDNS, SSDP, WS-Discovery, NetBIOS, TCP and ICMP together. "
        "Without a prefix on the networks of this machine's links; sends within the authorised scope only.",
    ),
    epilog=t(
        "示例：\n"
        "  edusec discover\n"
        "  edusec discover 10.20.0.0/22 2001:db8:20::/64\n"
        "  edusec discover 10.20.0.0/24 --methods arp --json | jq -r 'select(.outcome == \"seen\") | .address'",
        "Examples:\n"
        "  edusec discover\n"
        "  edusec discover 10.20.0.0/22 2001:db8:20::/64\n"
        "  edusec discover 10.20.0.0/24 --methods arp --json | jq -r 'select(.outcome == \"seen\") | .address'",
    ),
)
def discover(
    prefixes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PREFIX",
            show_default=False,
            help=t(
                "前缀、地址或范围；IPv6 的 /64 不逐个枚举，只询问其链路上的主机",
                "A prefix, address or range; an IPv6 /64 is never enumerated, those on its link are asked at once",
            ),
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--methods", metavar="METHOD", help=t("只用这些方法", "Use these methods only")),
    ] = None,
    as_json: JsonOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help=t("另把 JSON Lines 写入文件", "Also write JSON Lines into a file")
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help=t("每秒发送的数据包上限", "Most packets a second"))
    ] = None,
    time_limit: Annotated[
        float, typer.Option(metavar="S", min=1, max=86_400, help=t("最长运行秒数", "Longest time it may take"))
    ] = 600,
    scope: ScopeOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help=t("不显示进度", "Show no progress"))] = False,
) -> int:
    """Check everything first, then look."""
    from agent.job import Job
    from edusec.running import run_job

    today = datetime.now(UTC).date()
    allowed = load_scope(scope or scope_file(), today)
    asked = _targets(prefixes or (), allowed, today)
    options = given({"methods": methods, "rate": rate, "link_rate": rate, "targets": asked})
    check_options(PROBE, options)
    if output is not None and not output.resolve().parent.is_dir():
        raise Stop(t(f"-o {output}：没有这个目录", f"-o {output}: there is no such folder"))
    ran = run_job(Job(PROBE, PROBE, time_limit, options, allowed.entries), quiet=quiet)
    section = ran.section
    if section.status in {RunStatus.CANNOT_RUN, RunStatus.CRASHED}:
        raise Stop(f"{PROBE}: {explain(section.reason, current())}", ExitCode.PARTIAL)
    found = _lines(section)
    if output is not None:
        write_atomically(output, "".join(json_line(line) + "\n" for line in found).encode())
    if as_json:
        for line in found:
            print(json_line(line))
    else:
        _show(section)
    if ran.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.CLEAN if section.status is RunStatus.DONE else ExitCode.PARTIAL


def _targets(words: Sequence[str], scope: Scope, today: date) -> list[str]:
    """Check targets against the scope before anything is sent; raises Stop for one that is outside."""
    wide = [network for text in words if (network := _wide(text)) is not None]
    refused = [str(network) for network in wide if not scope.holds(network, None, today)]
    if refused:
        raise Stop(outside(refused, today))
    listed = [text for text in words if _wide(text) is None]
    if not listed:
        return [*map(str, wide)]
    read = read_targets(listed, scope, today)
    if read.domains:
        raise Stop(t(f"{read.domains[0]}：不是网段或地址", f"{read.domains[0]}: is neither a prefix nor an address"))
    return [*map(str, wide), *read.prefixes]


def _wide(text: str) -> IPv6Network | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    return network if isinstance(network, IPv6Network) and network.num_addresses > MAX_ADDRESSES else None


def _lines(section: Section) -> list[dict[str, Any]]:
    """One line for the run, one for each address that was seen and each lease, one for what was left out."""
    body = section.body or Body()
    times = {"started": _time(section.started), "finished": _time(section.finished)}
    coverage = [to_plain(item) for item in body.coverage]
    run = {"schema": SCHEMA, "type": "run", "status": section.status.value, **times, "coverage": coverage}
    hosts = [
        {
            "schema": SCHEMA,
            "type": "lease" if item.method == _LEASE else "host",
            "address": item.target.name,
            "outcome": item.outcome.value,
            "method": item.method,
            **({"expires": _time(item.time + item.duration)} if item.method == _LEASE else {}),
            **{name: to_plain(value) for name, value in item.values.items()},
        }
        for item in body.observations
    ]
    skipped = [{"schema": SCHEMA, "type": "skipped", "what": part.what, "reason": part.reason} for part in body.skipped]
    return [run, *hosts, *skipped]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(min(seconds, 253402300799), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _show(section: Section) -> None:
    body = section.body or Body()
    hosts = [item for item in body.observations if item.method != _LEASE]
    heads = (
        t("地址", "ADDRESS"),
        t("结果", "OUTCOME"),
        "MAC",
        t("名称", "NAME"),
        t("设备", "DEVICE"),
        t("方法", "VIA"),
    )
    if hosts:
        table(heads, [_row(item) for item in hosts])
    else:
        print(t("没有发现主机", "no host was found"))
    present = sum(item.outcome.value == "seen" for item in hosts)
    leases = len(body.observations) - len(hosts)
    print(t(f"主机地址 {present} 个，DHCP 租约 {leases} 条", f"{present} addresses of hosts, {leases} DHCP leases"))
    for covered in body.coverage:
        print(t("已覆盖", "covered"), safe(", ".join(covered.prefixes)))
    for part in body.skipped:
        print(t("未覆盖", "not covered"), safe(f"{part.what}: {explain(part.reason, current())}"))


def _row(item: Observation) -> tuple[str, ...]:
    values: Mapping[str, Value] = item.values
    mac = str(values.get("mac", ""))
    if values.get("local_mac"):
        mac += t("（随机）", " (local)")
    device = " ".join(str(values[name]) for name in ("vendor", "model", "device") if values.get(name))
    via = values.get("via") or ()
    methods = " ".join(via) if isinstance(via, tuple) else str(via)
    return (item.target.name, word(item.outcome.value), mac, str(values.get("name", "")), device, methods)
