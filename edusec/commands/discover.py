"""`edusec discover`: which devices are there, on this machine's networks or on those that are named."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

import typer

from edusec.declare.command import Command
from edusec.declare.flags import check_options, given
from edusec.declare.options import JsonOption, QuietOption, ScopeOption, TimeLimitOption
from edusec.discovery.devices import devices
from edusec.discovery.lines import lines
from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.local.files import followed, write_atomically
from edusec.local.makers import makers_of
from edusec.local.scopes import scope_of
from edusec.scan.request.flags import DryRun
from edusec.scan.request.targets import outside, read_targets
from edusec.terminal.listing import hand_out
from probes.kit.evidence import MAC
from probes.kit.reasons import explain
from probes.kit.scope.model import Scope
from probes.kit.scope.targets import MAX_ADDRESSES
from wire.types import Body, RunStatus

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PROBE = "discovery"


@app.command(
    cls=Command,
    help=t(
        "发现设备及其全部地址：ARP、ND、IPv6 组询问、mDNS、SSDP、WS-Discovery、NetBIOS、TCP、ICMP 一并使用。"
        "设备以 SSDP、WS-Discovery 公布的描述页各读取一次。不写网段时看本机各接口所在的网段；只在授权范围内发送。",
        "Find devices, each with all its addresses: ARP, ND, questions to all IPv6 hosts, mDNS, SSDP, WS-Discovery, "
        "NetBIOS, TCP and ICMP together. "
        "Pages about themselves that devices announce by SSDP and WS-Discovery are read once each. "
        "Without a prefix on the networks of this machine's links; sends within the authorised scope only.",
    ),
    epilog=t(
        "示例：\n"
        "  edusec discover\n"
        "  edusec discover 10.20.0.0/22 2001:db8:20::/64 -o found.csv\n"
        "  edusec discover 10.20.0.0/24 --methods arp --json | jq -r 'select(.outcome == \"seen\") | .address'",
        "Examples:\n"
        "  edusec discover\n"
        "  edusec discover 10.20.0.0/22 2001:db8:20::/64 -o found.csv\n"
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
            "--output",
            "-o",
            metavar="FILE",
            help=t(
                "另写入文件：后缀为 .csv 则每个地址一行，否则为 JSON Lines",
                "Also write a file: CSV with a row for each address if its suffix is .csv, else JSON Lines",
            ),
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help=t("每秒发送的数据包上限", "Most packets a second"))
    ] = None,
    time_limit: TimeLimitOption = 600,
    scope: ScopeOption = None,
    dry_run: DryRun = False,
    quiet: QuietOption = False,
) -> int:
    """Check everything first, then look."""
    from agent.probing.job import Job
    from edusec.running import run_job

    today = datetime.now(UTC).date()
    allowed = scope_of(scope, today)
    asked = _targets(prefixes or (), allowed, today)
    options = given({"methods": methods, "rate": rate, "link_rate": rate, "targets": asked})
    check_options(PROBE, options)
    if output is not None and not followed(output).parent.is_dir():
        raise Stop(t(f"-o {output}：没有这个目录", f"-o {output}: there is no such folder"))
    job = Job(PROBE, PROBE, time_limit, options, allowed.entries, scope_file=allowed.file)
    if dry_run:
        from edusec.discovery.dry_run import dry_run as preview

        preview(job, as_json=as_json)
        return ExitCode.CLEAN
    ran = run_job(job, quiet=quiet)
    section = ran.section
    if section.status in {RunStatus.CANNOT_RUN, RunStatus.CRASHED}:
        raise Stop(f"{PROBE}: {explain(section.reason, current())}", ExitCode.PARTIAL)
    observations = (section.body or Body()).observations
    found = devices(observations)
    makers = makers_of(str(item.values[MAC]) for item in observations if item.values.get(MAC))
    told = list(lines(section, found, makers))
    if output is not None and output.suffix.lower() == ".csv":
        from edusec.discovery.sheet import as_csv

        write_atomically(output, as_csv(told))
        output = None
    hand_out(told, output, as_json=as_json)
    if not as_json:
        from edusec.discovery.show import show

        show(section, found, makers)
    if ran.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.CLEAN if section.status is RunStatus.DONE else ExitCode.PARTIAL


def _targets(words: Sequence[str], scope: Scope, today: date) -> list[str]:
    """Check targets against the scope before anything is sent; raises Stop for one that is outside."""
    wide = [network for text in words if (network := _wide(text)) is not None]
    refused = [str(network) for network in wide if not scope.holds(network, None, today)]
    if refused:
        raise Stop(outside(refused, scope, today))
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
