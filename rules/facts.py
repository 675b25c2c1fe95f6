"""The words that rules may use: the facts of each kind of subject.

Whoever judges (the collector from its inventory, `edusec scan` from one run) builds a Subject from these names. A fact
that is not known is left out, None or the word UNKNOWN: a condition on it is then unknown, and an unknown verdict
neither raises nor resolves anything. `rules.derive` fills in what follows from other facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wire.text import Text

UNKNOWN = "unknown"
"""The value of a fact that was asked for and is not known; the same as leaving the fact out."""

FactValue = str | int | float | bool | None | tuple[str, ...]


class SubjectKind(StrEnum):
    """What a rule can be about."""

    SERVICE = "service"
    ASSET = "asset"
    SITE = "site"
    SYSTEM = "system"
    MEASUREMENT = "measurement"
    UNIT = "unit"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing to judge: its opaque id, the unit it belongs to, how people call it, and what is known of it."""

    kind: SubjectKind
    id: str
    unit: str
    label: str
    facts: Mapping[str, FactValue]


@dataclass(frozen=True, slots=True)
class Fact:
    """A word of the vocabulary: its type, what it means, and (for words) which values it can take."""

    type: type
    meaning: Text
    values: tuple[str, ...] = ()


PORT_STATES = ("open", "closed", "filtered", "open_filtered", "unknown")
STANDINGS = ("listed", "expired", "unlisted", "no_list")
PORT_RISKS = ("none", "medium", "high", "critical")
CONFIDENCES = ("verified", "common")
EXPOSURES = ("isolated_or_source_limited", "campus_lan", "edu_private_net", "internet")
VANTAGES = EXPOSURES[1:]
"""Where an agent, or a person who scans, may stand: what is open from there is exposed at least so far."""
INTERNET = "internet"
NOT_INTERNET = "not_internet"
"""What a fact `exposure` may be beside EXPOSURES: not the internet, and it is open how far else it reaches."""
ONVIF_ANSWERS = ("open", "password", "fault")
TLS_VERSIONS = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
RDP_SECURITY = ("standard", "tls", "credssp")

CHECK_VERDICTS = ("pass", "warn", "fail", "info", "unknown")
AGENT_CHECKS: Mapping[str, Text] = {
    "NET-PMTU": Text("上联 PMTU 黑洞", "path MTU black hole on the uplink"),
    "NET-RES6": Text("解析器的 IPv6 与 AAAA", "IPv6 and AAAA of the resolver"),
    "NET-FW6": Text("IPv6 入站策略不弱于 IPv4", "inbound policy of IPv6 no weaker than IPv4's"),
    "LAN-RA": Text("内网路由通告", "router advertisements on the LAN"),
    "LAN-MODE": Text("内网地址分配方式", "how LAN hosts get addresses"),
    "LAN-RDNSS": Text("下发的 DNS 服务器应答", "the DNS servers announced on the LAN answer"),
    "LAN-ROGUERA": Text("允许列表外的路由通告", "router advertisements from outside the allow list"),
    "LAN-RAEXT": Text("带扩展头或分片的路由通告", "router advertisements behind extension headers or fragments"),
    "LAN-ROGUEDHCP6": Text("允许列表外的 DHCPv6 服务器", "DHCPv6 servers outside the allow list"),
    "LAN-RAGUARD": Text("接入口的 RA 防护", "RA guard on access ports"),
    "LAN-NDCACHE": Text("IPv6 邻居表占用", "use of the IPv6 neighbour table"),
}
"""Single checks of the IPv6 catalogue that rules may ask an agent for; `check_fact` names their facts.

Beside each verdict stand `..._code` (why, a word of the catalogue) and `..._seen` (the lines of evidence).
"""


def check_fact(check: str) -> str:
    """Name the fact that holds the verdict of a check of the catalogue: LAN-RA is `lan_ra`."""
    return check.lower().replace("-", "_")


def _check_facts() -> dict[str, "Fact"]:
    found: dict[str, Fact] = {}
    for check, meaning in AGENT_CHECKS.items():
        name = check_fact(check)
        found[name] = Fact(str, Text(f"{check}：{meaning.zh}", f"{check}: {meaning.en}"), CHECK_VERDICTS)
        found[f"{name}_code"] = Fact(str, Text(f"{check} 的原因代码", f"why, of {check}"))
        found[f"{name}_seen"] = Fact(tuple, Text(f"{check} 的证据", f"evidence of {check}"))
    return found


# Facts that every subject may carry; they decide the colour of an alert, and rules may use them too.
COMMON: Mapping[str, Fact] = {
    "unit_kind": Fact(str, Text("单位类别", "kind of unit"), ("province", "city", "county", "school", "university")),
    "mlps_level": Fact(int, Text("所属系统的等保级别（1-5）", "protection level of its system, 1-5")),
    "exposure": Fact(str, Text("暴露面", "where it can be reached from"), EXPOSURES),
    "baseline": Fact(bool, Text("首次扫描即存在", "was there at the unit's first covering scan")),
    "children_data": Fact(bool, Text("涉及未成年人个人信息", "personal data of children is involved")),
    "maintenance": Fact(bool, Text("处于已批准的维护时段", "is in an approved maintenance window")),
    "mitigated": Fact(
        bool, Text("有经核实且未过期的缓解措施", "a verified mitigation is recorded and has not expired")
    ),
}

_LEVEL_FACTS: Mapping[str, Fact] = {
    "ipv6_level": Fact(int, Text("IPv6 等级（0-4，已确定）", "IPv6 level, 0-4, where it is certain")),
    "ipv6_level_gap": Fact(
        int,
        Text(
            "比已生效政策要求至少低几级", "levels by which it certainly stays below what the policy in force asks for"
        ),
    ),
    "ipv6_level_lost": Fact(
        int, Text("比曾达到的等级至少低几级", "levels by which it certainly fell below what it had reached")
    ),
}

# What a service said of itself when it was identified; `rules.heard` reads it. What it did not say is not known.
_HEARD_FACTS: Mapping[str, Fact] = {
    "service": Fact(str, Text("应用协议（IANA 名称）", "the protocol that it speaks, by its IANA name")),
    "system": Fact(str, Text("识别出的操作系统", "identified operating system")),
    "device": Fact(str, Text("识别出的设备", "identified kind of device")),
    "confidence": Fact(float, Text("识别的把握（0-1）", "how sure the identification is, 0-1")),
    "login": Fact(str, Text("是否要求登录", "whether one has to log in"), ("none", "required")),
    "clear_text_login": Fact(bool, Text("在此登录，口令明文传输", "a login here travels in clear text")),
    "onvif": Fact(str, Text("摄像头对匿名 ONVIF 询问的回答", "answer to an anonymous ONVIF question"), ONVIF_ANSWERS),
    "tls_version": Fact(str, Text("协商出的最高 TLS 版本", "best version of TLS that it agreed to"), TLS_VERSIONS),
    "tls_outdated": Fact(bool, Text("仍接受 TLS 1.1 或更早版本", "agrees to TLS 1.1 or older as well")),
    "cert_days_left": Fact(
        int, Text("证书剩余天数，已过期为负", "days until its certificate expires, negative once it has")
    ),
    "cert_lifetime_days": Fact(int, Text("证书的有效期天数", "days for which its certificate was made")),
    "baseline_expired": Fact(
        bool, Text("首次扫描时证书已过期", "its certificate had expired at the unit's first covering scan")
    ),
    "cert_self_signed": Fact(bool, Text("证书为自签名", "its certificate is signed by itself")),
    "cert_signature": Fact(str, Text("证书签名的摘要算法", "hash that its certificate is signed with")),
    "cert_key": Fact(str, Text("证书密钥类型（RSA、EC 等）", "type of the certificate's key: RSA, EC and so on")),
    "cert_key_bits": Fact(int, Text("证书密钥位数", "bits of the certificate's key")),
    "cert_subject": Fact(str, Text("证书主体", "subject of its certificate")),
    "smb_signing": Fact(str, Text("SMB 签名", "signing of SMB messages"), ("required", "optional")),
    "smb1": Fact(bool, Text("仍支持 SMB 1", "still speaks SMB 1")),
    "rdp_security": Fact(
        str, Text("远程桌面协商出的最高安全方式", "best security that a remote desktop agreed to"), RDP_SECURITY
    ),
    "ssh_protocol": Fact(str, Text("SSH 协议版本（1.99 表示兼容 1）", "version of SSH; 1.99 is 2 that speaks 1 too")),
    "dns_recursion": Fact(bool, Text("提供递归解析", "resolves names for whoever asks")),
    "http_title": Fact(str, Text("网页标题", "title of its page")),
}

VOCABULARY: Mapping[SubjectKind, Mapping[str, Fact]] = {
    SubjectKind.SERVICE: {
        "address": Fact(str, Text("地址", "address")),
        "family": Fact(int, Text("地址族（4 或 6）", "address family, 4 or 6")),
        "transport": Fact(str, Text("传输协议", "transport protocol"), ("tcp", "udp")),
        "port": Fact(int, Text("端口", "port")),
        "state": Fact(str, Text("端口状态", "state of the port"), PORT_STATES),
        "standing": Fact(str, Text("白名单判定", "what the whitelist says"), STANDINGS),
        "whitelist_expired_days": Fact(int, Text("白名单过期天数", "days since its approval expired")),
        "state_v4": Fact(
            str, Text("同一设备同端口的 IPv4 状态", "state of the same port on the asset's IPv4"), PORT_STATES
        ),
        "state_v6": Fact(
            str, Text("同一设备同端口的 IPv6 状态", "state of the same port on the asset's IPv6"), PORT_STATES
        ),
        "product": Fact(str, Text("识别出的产品", "identified product")),
        "exposure_by": Fact(str, Text("暴露面由哪个代理看到", "agent that saw where it can be reached from")),
        **_HEARD_FACTS,
        "port_risk": Fact(str, Text("端口风险（由端口表得出）", "risk of the port, from the port table"), PORT_RISKS),
        "port_confidence": Fact(str, Text("端口风险的依据", "what that risk rests on"), CONFIDENCES),
        "port_clear_text": Fact(bool, Text("登录信息明文传输的端口", "a port whose login travels in clear text")),
        "port_never_internet": Fact(bool, Text("不得对互联网开放的端口", "a port never to be open to the internet")),
    },
    SubjectKind.ASSET: {
        "standing": Fact(str, Text("主机白名单判定", "what the host whitelist says"), STANDINGS),
        "presence": Fact(str, Text("在线判定", "whether it is there"), ("present", "absent", "unknown")),
        "missed_scans": Fact(int, Text("连续未见的覆盖扫描次数", "covering scans in a row that did not see it")),
        "addresses": Fact(tuple, Text("地址", "addresses")),
        "has_ipv6": Fact(bool, Text("有全球 IPv6 地址", "has a global IPv6 address")),
        "local_mac": Fact(bool, Text("本地管理（随机）MAC", "its MAC is locally administered")),
        "address_claimed_twice": Fact(bool, Text("另有网卡争用其地址", "another card answers for its address as well")),
        "other_cards": Fact(tuple, Text("争用其地址的 MAC", "MACs that answer for its address as well")),
        "card_shown_twice": Fact(
            bool, Text("两个地址以其 MAC 应答，却是两台机器", "two addresses show its MAC and are two machines")
        ),
        "card_shown_at": Fact(tuple, Text("这两个地址", "those two addresses")),
    },
    SubjectKind.SITE: {
        "name": Fact(str, Text("域名或网址", "domain or URL")),
        "standing": Fact(str, Text("域名白名单判定", "what the domain whitelist says"), STANDINGS),
        "aaaa": Fact(bool, Text("有 AAAA 记录", "has an AAAA record")),
        "ipv4": Fact(str, Text("IPv4 访问结果", "result over IPv4"), ("pass", "fail", "unknown")),
        "ipv6": Fact(str, Text("IPv6 访问结果", "result over IPv6"), ("pass", "fail", "unknown")),
        "registered": Fact(bool, Text("已登记", "is registered")),
        **_LEVEL_FACTS,
        "pmtu": Fact(str, Text("IPv6 大包能否通过", "full-size packets come through"), ("pass", "fail", "unknown")),
    },
    SubjectKind.SYSTEM: {
        "addresses": Fact(tuple, Text("登记的地址", "registered addresses")),
        **_LEVEL_FACTS,
    },
    SubjectKind.MEASUREMENT: {
        "probe": Fact(str, Text("探测项", "probe")),
        "download_bps": Fact(float, Text("下载速率（bit/s）", "download rate in bit/s")),
        "upload_bps": Fact(float, Text("上传速率（bit/s）", "upload rate in bit/s")),
        "target_bps": Fact(float, Text("政策目标（bit/s）", "policy target in bit/s")),
        "target_ratio": Fact(float, Text("较低方向速率与政策目标之比", "slower direction over the policy target")),
        "v6_share": Fact(float, Text("出口流量中 IPv6 占比（0-1）", "share of IPv6 in the uplink's traffic, 0-1")),
        "v6_share_target": Fact(float, Text("占比目标（0-1）", "share to be reached, 0-1")),
        "v6_share_ratio": Fact(float, Text("占比与目标之比", "that share over its target")),
        "v6_confidence": Fact(
            str, Text("计数的可信度", "how far the counters can be trusted"), ("high", "medium", "low")
        ),
        "limited_by": Fact(str, Text("瓶颈", "what limited the test"), ("line", "cpu", "cap", "unknown")),
    },
    SubjectKind.UNIT: {
        "agents": Fact(int, Text("已注册代理数", "enrolled agents")),
        "assets_unlisted": Fact(int, Text("白名单外设备数", "assets outside the whitelist")),
        "ipv6_target_ratio": Fact(
            float, Text("已生效的 IPv6 支持比例目标（0-1）", "IPv6 ratio that the policy in force asks for, 0-1")
        ),
        "ipv6_target_source": Fact(str, Text("该目标的出处", "what sets that target")),
        "ipv6_networks": Fact(str, Text("支持 IPv6 的网络", "networks with IPv6, of those registered")),
        "ipv6_networks_gap": Fact(float, Text("网络比例至少差多少", "by how much networks certainly miss that ratio")),
        "ipv6_websites": Fact(str, Text("支持 IPv6 的网站", "websites with IPv6, of those registered")),
        "ipv6_websites_gap": Fact(float, Text("网站比例至少差多少", "by how much websites certainly miss that ratio")),
        "ipv6_systems": Fact(str, Text("支持 IPv6 的信息系统", "systems with IPv6, of those registered")),
        "ipv6_systems_gap": Fact(
            float, Text("信息系统比例至少差多少", "by how much systems certainly miss that ratio")
        ),
        "v6_traffic_share": Fact(
            float, Text("昨日出口流量中 IPv6 占比（0-1）", "share of IPv6 in the unit's own traffic yesterday, 0-1")
        ),
        "v6_traffic_share_before": Fact(float, Text("一周前同日的占比（0-1）", "that share a week before, 0-1")),
        "v6_traffic_dropped": Fact(
            bool, Text("占比较上周同日骤降", "it fell by more than is allowed against the same weekday")
        ),
        "v6_traffic_confidence": Fact(
            str, Text("这些计数的可信度", "how far those counters can be trusted"), ("high", "medium", "low", "unknown")
        ),
    },
    SubjectKind.AGENT: {
        "silent_seconds": Fact(float, Text("距上次报告的秒数", "seconds since the last report")),
        "report_interval": Fact(float, Text("约定报告间隔（秒）", "agreed seconds between reports")),
        "silent_intervals": Fact(float, Text("错过的报告间隔数", "report intervals since the last report")),
        "clock_skew_seconds": Fact(float, Text("时钟偏差（秒，绝对值）", "absolute clock difference in seconds")),
        "held_ratio": Fact(
            float,
            Text(
                "已存主机、服务和网站占上限的比例（1：超出的被拒收）",
                "part of what the collector keeps for it at most; from 1 on more is refused",
            ),
        ),
        "dropped": Fact(int, Text("缓存满而丢弃的观测数", "observations that a full spool had to drop")),
        "ipv6": Fact(str, Text("网关自身的 IPv6", "IPv6 of the gateway itself"), ("pass", "fail", "unknown")),
        "ipv6_reason": Fact(str, Text("IPv6 判定依据", "why")),
        "cpu_ratio": Fact(float, Text("CPU 占用（0-1）", "CPU in use, 0-1")),
        "memory_ratio": Fact(float, Text("内存占用（0-1）", "memory in use, 0-1")),
        "disk_ratio": Fact(float, Text("磁盘占用（0-1）", "disk in use, 0-1")),
        **_check_facts(),
    },
}


def facts_of(kind: SubjectKind) -> Mapping[str, Fact]:
    """Give every fact that a subject of this kind may carry, the common ones included."""
    return {**COMMON, **VOCABULARY[kind]}
