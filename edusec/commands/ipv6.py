"""`edusec ipv6`: how ready sites are for IPv6, check by check, with what was seen and what mends it."""

from edusec.declare.command import Command, group
from edusec.declare.flags import with_flags
from edusec.lang import t
from edusec.readiness.check import SITE, check
from edusec.readiness.local import VANTAGE, local
from edusec.readiness.report import report
from probes.kit import registry
from probes.kit.options import describe

app = group(t("IPv6 就绪度：逐项检查网站和域名", "IPv6 readiness: sites and zones, check by check"))


@app.callback()
def ipv6() -> None:
    """Hold the subcommands."""


app.command(
    "check",
    cls=Command,
    help=t(
        "检查网站（及其域名区）的 IPv6 就绪度，每项给出结论、证据和处理办法。只在授权范围内发送数据包；"
        "本机 IPv6 须先由三个自检目标证明（--self-targets 或环境变量 EDUSEC_SELF_TARGETS），否则一切为“未知”。",
        "Check how ready sites and their zones are for IPv6: verdict, evidence and fix, check by check. Sends within "
        "the authorised scope only. This machine's own IPv6 must be proven by three targets first (--self-targets or "
        "the variable EDUSEC_SELF_TARGETS), or everything is unknown.",
    ),
    epilog=t(
        "示例：\n"
        "  edusec ipv6 check www.example.edu.cn --self-targets 2001:db8::1 --self-targets 2001:db8:1::1 "
        "--self-targets 2001:db8:2::1\n"
        "  edusec ipv6 check --file sites.txt --json | jq -c 'select(.verdict == \"fail\")'",
        "Examples:\n"
        "  edusec ipv6 check www.example.edu.cn --self-targets 2001:db8::1 --self-targets 2001:db8:1::1 "
        "--self-targets 2001:db8:2::1\n"
        "  edusec ipv6 check --file sites.txt --json | jq -c 'select(.verdict == \"fail\")'",
    ),
)(with_flags(check, (item for item in describe(registry.load(SITE)) if item.name != "targets")))
app.command(
    "local",
    cls=Command,
    help=t(
        "检查本机（探测点）、其局域网和出口流量的 IPv6，每项给出结论、证据和处理办法。对照的目标须配置并在授权范围内，"
        "否则相应的项为“未知”并说明应配置什么。",
        "Check the IPv6 of this machine (the vantage point), of its LAN and of its traffic: verdict, evidence and fix, "
        "check by check. What is compared with must be set and in scope; a check that lacks it is unknown and says "
        "what to set.",
    ),
    epilog=t(
        "示例：\n  edusec ipv6 local --dual-targets www.example.org --independent-resolvers 2001:db8:53::1\n"
        "  edusec ipv6 local --json | jq -c 'select(.verdict == \"fail\")'",
        "Examples:\n  edusec ipv6 local --dual-targets www.example.org --independent-resolvers 2001:db8:53::1\n"
        "  edusec ipv6 local --json | jq -c 'select(.verdict == \"fail\")'",
    ),
)(with_flags(local, describe(registry.load(VANTAGE))))

app.command(
    "report",
    cls=Command,
    help=t(
        "报告一个单位及其下级的 IPv6 就绪度：网络、网站、信息系统三项比例与政策目标对照，未知计入分母；"
        "用 --format 导出未通过项（来源页面、链接、级别、结果、证据、处理办法）。",
        "Report how ready a unit and those below it are for IPv6: the ratios of networks, websites and systems against "
        "the policy target, the unknown counted in. --format exports what fails: source page, link, level, result, "
        "evidence, mend.",
    ),
    epilog=t(
        "示例：\n  edusec ipv6 report --unit 320102 --trend\n"
        "  edusec ipv6 report --unit 320102 --format xlsx -o links.xlsx",
        "Examples:\n  edusec ipv6 report --unit 320102 --trend\n"
        "  edusec ipv6 report --unit 320102 --format xlsx -o links.xlsx",
    ),
)(report)
