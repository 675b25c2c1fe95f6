"""Why something was skipped or could not run: `code` or `code: detail`, so that both languages can be shown.

The text is part of a section's digest, so a detail never holds a time or a count that changes from run to run.
"""

from collections.abc import Mapping

from probes.kit.phrases.lookup import in_chinese
from wire.text import Lang, Text, within

MAX_REASON = 1024
"""Bound of a reason on the wire, in characters."""

REASONS: Mapping[str, Text] = {
    "out_of_scope": Text("不在授权范围内；授权命令", "outside the authorised scope; to authorise it"),
    "quiet_hours": Text("静默时段，不发送任何数据包", "quiet hours, nothing is sent"),
    "printer_port": Text("打印机端口，从不发送数据", "a printer's port never gets a payload"),
    "no_host": Text("网络地址或广播地址，不是主机", "the address of a network or of all its hosts, which no host has"),
    "denied": Text("本机系统或防火墙不允许发送", "this machine's system or firewall does not let it out"),
    "unreachable": Text("本机到目标没有可用路由", "this machine has no working route to it"),
    "resources": Text("本机套接字或端口耗尽", "this machine ran out of sockets or ports"),
    "deadline": Text("时限已到，未完成", "time was over before it was done"),
    "not_identified": Text("端口开放，但尚未询问是什么服务", "open, and not asked yet who it is"),
    "identifying": Text("正在询问是什么服务", "asking services who they are"),
    "not_read": Text(
        "应答使我们的解析程序出错；这是缺陷，请报告",
        "an answer met a defect of ours when it was read; please report it",
    ),
    "no_answer": Text("整段无任何应答，可能是线路中断", "nothing there answered at all, the path may be down"),
    "loss": Text("丢包，沉默不能说明问题", "packets got lost on the way, so silence proves nothing"),
    "no_raw_packets": Text(
        "不能发送原始数据包（connect 引擎不需要）；以 root 运行，或授予 agent 的服务",
        "raw packets cannot be sent (the connect engine needs none); run as root, or grant",
    ),
    "engine_failed": Text("收发原始报文的辅助进程失败", "the helper for raw packets failed"),
    "not_accepted": Text(
        "网关的配置不接受；请在网关的 agent.toml 中设置",
        "the gateway's configuration does not accept this; set in its agent.toml",
    ),
    "agent_silent": Text(
        "代理没有回应；若之后有结果，会进入台账", "the agent did not answer; what may come later enters the inventory"
    ),
    "interrupted": Text(
        "代理在执行中途重启，此指令不再执行", "the agent was restarted in the middle of it and does not run it again"
    ),
    "answers_lost": Text(
        "询问或应答丢失（交换机可能限制 ARP 速率），或应答过多，沉默不能说明问题",
        "questions or answers got lost (a switch may limit ARP), or were too many: silence proves nothing",
    ),
    "interface_down": Text("接口未连通", "the interface is down"),
    "no_raw_links": Text(
        "没有 CAP_NET_RAW：链路由内核代为询问，IPv6 组询问与 ICMP 从略",
        "without CAP_NET_RAW the kernel asks on the links; questions to all IPv6 hosts and ICMP are left out",
    ),
    "no_listening": Text(
        "不能在链路上监听；以 root 运行，或把 CAP_NET_RAW 授予 agent 的服务",
        "nothing can be heard on the links; run as root, or grant CAP_NET_RAW to the agent's service",
    ),
    "no_replies": Text(
        "DHCP 服务器的应答发往本机 68 端口，没有 CAP_NET_RAW 收不到",
        "DHCP servers answer to port 68 of this machine, which cannot be heard without CAP_NET_RAW",
    ),
    "unreadable": Text("无法读取文件", "the file cannot be read"),
    "stopped": Text("运行被中止", "the run was stopped"),
    "memory_limit": Text("超出内存限制（字节）", "it needed more memory than it may have, in bytes"),
    "crashed": Text("探测程序异常退出", "the probe failed"),
    "bad_output": Text("探测程序输出无法识别", "the probe said something that is not a result"),
    "cannot_load": Text("无法加载探测程序", "the probe could not be loaded"),
    "bad_options": Text("任务选项有误", "the task's options cannot be used"),
    "not_installed": Text("缺少可选组件", "an optional part is not installed"),
    "too_large": Text("范围过大", "too large"),
    "no_ipv6": Text("探测点自身没有可用的 IPv6", "the vantage point has no working IPv6 itself"),
    "no_resolver": Text("没有可用的 DNS 解析器", "no usable DNS resolver"),
    "not_resolved": Text("域名无法解析", "the name could not be resolved"),
    "no_responder": Text(
        "没有可用的带宽响应端；它由采集中心下发，见 edusec doctor",
        "no responder to measure bandwidth against; the collector hands it down, see edusec doctor",
    ),
    "responder_refused": Text("响应端拒绝测试", "the responder refused the test"),
    "responder_failed": Text("无法与响应端完成测试", "the test with the responder failed"),
    "no_accounting": Text("无法读取系统统计", "the system's accounting cannot be read"),
    "no_neighbours": Text("无法读取邻居表", "the neighbour table cannot be read"),
    "only_local_addresses": Text(
        "只有唯一本地地址（ULA），没有全球 IPv6 地址", "only unique local addresses, no global one"
    ),
    "no_global_address": Text("没有全球 IPv6 地址", "no global IPv6 address"),
    "no_default_route": Text("没有 IPv6 默认路由", "no default route for IPv6"),
    "no_link": Text("没有可监听的以太网接口", "there is no Ethernet link to listen on"),
    "link_down": Text("默认路由的接口未连通", "the interface of the default route is down"),
    "gateway_silent": Text("下一跳无应答", "the next hop does not answer"),
    "gateway_not_heard": Text("尚未与下一跳通信，无法判断", "the next hop was not talked to yet"),
    "local_resolver": Text("经本机转发解析，无法判断上游", "a local forwarder hides the resolvers behind it"),
    "no_ipv6_resolver": Text("解析器都没有 IPv6 地址", "no resolver has an IPv6 address"),
    "resolver_silent": Text("IPv6 解析器无应答", "the IPv6 resolvers do not answer"),
    "no_gate_targets": Text("未配置自检目标，无法判断；需配置", "no targets to check itself against; set"),
    "gate_silent": Text("自检目标不可达", "the targets to check itself against are not reachable"),
    "no_credentials": Text(
        "没有可用的 SNMP 凭据；请设置目标和凭据",
        "no credential for SNMP that can be used; set targets and credentials",
    ),
    "snmp_silent": Text(
        "SNMP 无应答（未启用、凭据不符或被过滤）", "no answer to SNMP (not there, or not with this credential)"
    ),
    "snmp_refused": Text("SNMP 代理拒绝", "the SNMP agent refuses"),
    "snmp_bad_answer": Text("SNMP 应答不合规，已放弃", "the SNMP agent gave answers that are none, it was given up"),
    "not_http": Text("既不是域名也不是网址", "neither a domain nor a URL"),
}


def because(code: str, detail: str = "") -> str:
    """Write a reason; `code` must be a known one."""
    if code not in REASONS:
        raise KeyError(code)
    return f"{code}: {detail}"[:MAX_REASON] if detail else code


def explain(reason: str, lang: Lang) -> str:
    """Give a reason, or a line of evidence, in one language; what is not known is given as it is."""
    code, colon, detail = reason.partition(": ")
    known = REASONS.get(code)
    if known is None:
        return Text(in_chinese(reason), reason)(lang)
    if not colon:
        return known(lang)
    return within(known(lang), Text(in_chinese(detail), detail))(lang)
