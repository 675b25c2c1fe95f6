"""What the agent's command line says, in both languages."""

from collections.abc import Mapping

from wire.text import Text

DESCRIPTION = Text(
    "学校网关上的代理：按计划探测、落盘缓存、上报采集中心。",
    "The agent on a school's gateway: probes on schedule, spools to disk, reports to the collector.",
)
COMMANDS: Mapping[str, Text] = {
    "enroll": Text("用一次性令牌注册到采集中心", "enrol with a collector, using a one-time token"),
    "run": Text("运行代理（前台；由 systemd 或 procd 管理）", "run the daemon, in the foreground"),
    "status": Text("查看代理状态：最近任务、缓存、策略、上报", "how the daemon is doing: runs, spool, policy, uplink"),
    "check": Text("检查配置文件，不运行", "check the configuration and run nothing"),
}
OPTIONS: Mapping[str, Text] = {
    "lang": Text("语言（默认取自区域设置）", "language (default: from the locale)"),
    "version": Text("显示版本", "show the version"),
    "config": Text("配置文件（默认 /etc/edusec/agent.toml）", "configuration (default /etc/edusec/agent.toml)"),
    "state": Text("状态目录（默认取自配置）", "state folder (default: as configured)"),
    "collector": Text("采集中心地址，如 https://collector.example.edu.cn:8443", "the collector, https://host[:port]"),
    "token": Text("一次性令牌；- 表示从标准输入读取", "one-time token; - reads it from standard input"),
    "name": Text("代理名称（默认为主机名）", "name of this agent (default: the host's name)"),
    "force": Text("替换已有的注册", "replace the enrolment that is there"),
    "now": Text("立即开始所有任务，并随时上报结果", "start every task at once and report each result"),
    "once": Text(
        "所有任务各执行一次，上报后退出（未能上报时退出码为 5）",
        "one round of all tasks, report, exit (5: not delivered)",
    ),
    "json": Text("输出 JSON", "write JSON"),
}
ENROLLED = Text(
    "已注册：{agent}，单位 {unit_name}（{unit}），采集中心 {url}",
    "enrolled as {agent} for {unit_name} ({unit}) at {url}",
)
NEXT = Text("下一步：edusec agent run", "next: edusec agent run")
CONFIG_OK = Text("配置无误：{file}", "no fault found: {file}")
NO_FILE = Text("没有配置文件，使用默认值", "no configuration file, defaults hold")

HEADINGS: Mapping[str, Text] = {
    "agent": Text("代理", "agent"),
    "collector": Text("采集中心", "collector"),
    "process": Text("进程", "process"),
    "last_success": Text("最近上报成功", "last report taken"),
    "problem": Text("上报问题", "uplink problem"),
    "spool": Text("本地缓存", "spool"),
    "policy": Text("策略", "policy"),
    "scope": Text("授权范围", "scope"),
    "tasks": Text("任务", "tasks"),
}
RUNNING = Text("运行中（{pid}）", "runs ({pid})")
STOPPED = Text("未运行", "does not run")
NEVER = Text("从未", "never")
NONE_YET = Text("尚未收到", "none yet")
NOT_RUN = Text("尚未执行", "not run yet")
SPOOL_LINE = Text(
    "{sections} 个待确认段，{bytes} / {limit} 字节，搁置 {aside}，丢弃 {dropped}",
    "{sections} sections not acknowledged, {bytes} of {limit} bytes, {aside} set aside, {dropped} dropped",
)
POLICY_LINE = Text(
    "{digest}，白名单 {whitelist} 条，目标 {targets} 个，任务 {tasks} 个，间隔 {interval} 秒",
    "{digest}: {whitelist} whitelist entries, {targets} targets, {tasks} tasks, every {interval} s",
)
STATUSES: Mapping[str, Text] = {
    "done": Text("完成", "done"),
    "partial": Text("部分完成", "partial"),
    "cannot_run": Text("无法运行", "cannot run"),
    "timed_out": Text("超时", "timed out"),
    "crashed": Text("异常退出", "crashed"),
}
