"""The catalogue of the vantage point (NET-*) and of its traffic (TRF-*): titles, sources, causes and mends."""

from collections.abc import Mapping

from wire.text import Text

ENTRIES: Mapping[str, tuple[Text, str]] = {
    "NET-SELF": (Text("探测点自身 IPv6 可用", "the vantage point itself has IPv6"), "RFC 4443"),
    "NET-ADDR": (Text("有全球单播地址", "a global unicast address"), "RFC 4193, RFC 4291"),
    "NET-TUNNEL": (Text("原生 IPv6，不经隧道", "native IPv6, no tunnel"), "RFC 7526, RFC 4380"),
    "NET-ROUTE": (Text("默认路由的下一跳有效", "a default route with a live next hop"), "RFC 4861"),
    "NET-PD": (Text("获得足够大的委派前缀", "a delegated prefix that is large enough"), "RFC 8415, RFC 6177"),
    "NET-PERF": (Text("IPv6 时延和丢包不劣于 IPv4", "IPv6 delays and loses no more than IPv4"), "RFC 8305"),
    "NET-PMTU": (Text("没有 PMTU 黑洞", "no path MTU black hole"), "RFC 8201"),
    "NET-ICMP6": (
        Text("必要的 ICMPv6 差错能返回", "the ICMPv6 errors that are needed come back"),
        "RFC 4890 section 4.3.1",
    ),
    "NET-RES6": (
        Text("解析器经 IPv6 应答且不剥离 AAAA", "the resolver answers over IPv6 and strips no AAAA"),
        "RFC 3901, RFC 4074",
    ),
    "NET-EDNS": (
        Text("DNS 大应答：1232 字节 UDP 与 TCP", "large DNS answers: 1232 bytes by UDP, and TCP"),
        "RFC 6891, RFC 7766",
    ),
    "NET-NAT64": (Text("NAT64 前缀一致且可用", "NAT64 prefixes agree and work"), "RFC 7050, RFC 8781"),
    "NET-HE": (Text("浏览器竞速中 IPv6 胜出", "IPv6 wins a browser's race"), "RFC 8305"),
    "NET-FW6": (
        Text("IPv6 入站策略不弱于 IPv4", "the inbound policy of IPv6 is no weaker than IPv4's"),
        "RFC 4890, RFC 6092",
    ),
    "TRF-SHARE": (Text("出口流量的 IPv6 占比", "share of IPv6 in the traffic of the uplink"), "RFC 4293"),
    "TRF-USERS": (Text("有 IPv6 流量的设备占比", "share of devices with IPv6 traffic"), "RFC 4861"),
    "TRF-TREND": (Text("IPv6 流量的周趋势", "weekly trend of the IPv6 share"), "RFC 4293"),
}

WHY: Mapping[str, Text] = {
    # The machine itself.
    "no_gate_targets": Text(
        "未配置自检目标；用 self_targets 配置至少三个互不相关的外部 IPv6 地址",
        "no targets to check itself against; set self_targets to three or more unrelated outside IPv6 addresses",
    ),
    "gate_silent": Text(
        "自检目标大多不可达；检查 IPv6 上联、路由和防火墙",
        "most gate targets are silent; check the uplink, routes and firewall",
    ),
    "quiet_hours": Text("静默时段，未发送；稍后重试", "quiet hours, nothing was sent; try again later"),
    "no_global_address": Text(
        "没有全球 IPv6 地址；向运营商申请并在上联启用 IPv6",
        "no global IPv6 address; have the provider enable IPv6 on the uplink",
    ),
    "only_local_addresses": Text(
        "只有唯一本地地址（ULA）；另外分配全球地址", "only unique local addresses; assign global ones beside them"
    ),
    "transition": Text(
        "地址来自 6to4 或 Teredo，这两种机制已废弃；改用原生 IPv6",
        "the addresses are 6to4 or Teredo, both obsolete; move to native IPv6",
    ),
    "tunnel": Text("IPv6 经隧道接入；请运营商提供原生 IPv6", "IPv6 comes through a tunnel; ask for native IPv6"),
    "no_default_route": Text(
        "没有 IPv6 默认路由；检查上联是否收到路由通告（accept_ra）或配置静态路由",
        "no IPv6 default route; see whether router advertisements arrive (accept_ra), or set one",
    ),
    "link_down": Text("默认路由的接口未连通；检查线路", "the interface of the default route is down; check the line"),
    "gateway_silent": Text("下一跳不应答邻居请求；检查上级路由器", "the next hop does not answer; check that router"),
    "gateway_not_heard": Text("尚未与下一跳通信；稍后重试", "the next hop was not talked to yet; try again later"),
    "not_router": Text(
        "本机不转发 IPv6，不需要委派前缀", "this machine forwards no IPv6 and needs no delegated prefix"
    ),
    "pd_none": Text(
        "没有委派前缀；在上联启用 DHCPv6-PD，静态分配的前缀用 delegated 选项说明",
        "no delegated prefix; enable DHCPv6-PD on the uplink; name a static one with the option delegated",
    ),
    "pd_small": Text(
        "委派前缀小于要求，难以划分子网；向运营商申请 /56 或更大",
        "the delegated prefix is too small to number several subnets; ask for a /56 or larger",
    ),
    # What the path and the resolver do.
    "no_dual_targets": Text(
        "未配置双栈对照站点；用 dual_targets 配置", "no site with both families to compare with; set dual_targets"
    ),
    "dual_unclear": Text(
        "对照站点没有在两族都应答；检查 dual_targets",
        "the sites to compare with did not answer on both families; see dual_targets",
    ),
    "perf_worse": Text(
        "IPv6 的时延或丢包明显高于 IPv4；检查路由、隧道和上联队列",
        "IPv6 delays or loses clearly more than IPv4; check routes, tunnels and the uplink's queues",
    ),
    "no_large_targets": Text(
        "未配置大页面；用 large_targets 配置不小于 100 kB 的页面",
        "no large page to fetch; set large_targets to one of 100 kB or more",
    ),
    "large_failed": Text(
        "大页面没有取全，原因不是 PMTU；检查 large_targets",
        "the large page did not come, for another reason; see large_targets",
    ),
    "no_ping": Text(
        "本机不允许普通用户发送回显请求；设置 net.ipv4.ping_group_range 后重试",
        "this machine lets no user send echo requests; set net.ipv4.ping_group_range",
    ),
    "icmp_lost": Text(
        "ICMPv6 差错报文未返回；在防火墙放行 Packet Too Big、Time Exceeded、Parameter Problem",
        "ICMPv6 errors do not come back; let Packet Too Big, Time Exceeded and Parameter Problem through the firewall",
    ),
    "icmp_partly": Text(
        "部分 ICMPv6 差错报文未返回；检查沿途防火墙",
        "some ICMPv6 errors do not come back; check the firewalls on the way",
    ),
    "no_resolver": Text("没有可用的解析器；检查 /etc/resolv.conf", "no usable resolver; check /etc/resolv.conf"),
    "local_resolver": Text(
        "经本机转发解析，看不到上游；用 resolvers 指明上游解析器",
        "a local forwarder hides what is behind it; name that with resolvers",
    ),
    "no_ipv6_resolver": Text(
        "解析器都没有 IPv6 地址；为解析器配置 IPv6 并下发",
        "no resolver has an IPv6 address; give it one and announce it",
    ),
    "resolver_silent": Text(
        "IPv6 解析器不应答；检查其监听地址和防火墙", "the IPv6 resolvers do not answer; check what they listen on"
    ),
    "no_independent": Text(
        "未配置独立解析器，无法判断 AAAA 是否被剥离；用 independent_resolvers 配置",
        "no independent resolver to compare with; set independent_resolvers",
    ),
    "no_aaaa_names": Text(
        "没有可对照的域名；用 aaaa_names 或 dual_targets 配置", "no names to compare; set aaaa_names or dual_targets"
    ),
    "aaaa_stripped": Text(
        "解析器剥离了 AAAA；关闭其“过滤 AAAA”功能", "the resolver strips AAAA records; turn its AAAA filter off"
    ),
    "edns_small": Text(
        "应答太小，不能证明大应答可达；用 edns_name 另选",
        "the answer is too small to prove anything; choose another with edns_name",
    ),
    "edns_udp": Text(
        "较大的 UDP 应答丢失或不支持 EDNS；放行分片以下的大 UDP 包，升级解析器",
        "larger UDP answers get lost or EDNS is not spoken; let UDP of 1232 bytes through, upgrade the resolver",
    ),
    "edns_tcp": Text("截断后不能改用 TCP；放行 TCP 53", "no fallback to TCP after truncation; let TCP port 53 through"),
    "no_nat64": Text("没有使用 NAT64", "no NAT64 in use"),
    "nat64_differs": Text(
        "DNS64 前缀与路由通告的 PREF64 不同；统一配置", "the prefix of DNS64 is not the announced PREF64; configure one"
    ),
    "nat64_silent": Text(
        "有 DNS64 但 NAT64 转换不通；检查 NAT64 网关和到前缀的路由",
        "DNS64 answers but its NAT64 does not translate; check the gateway and the route to the prefix",
    ),
    "nat64_unheard": Text("未收到 PREF64，只能确认 DNS64", "no PREF64 was heard; only DNS64 is known"),
    "he_slow": Text(
        "IPv4 领先 IPv6 超过 250 毫秒，浏览器会选 IPv4；检查 IPv6 路由",
        "IPv4 wins by more than 250 ms, so browsers choose it; check the IPv6 routes",
    ),
    "he_error": Text(
        "IPv6 连接失败，浏览器退回 IPv4；检查 IPv6 路由和对端", "IPv6 fails and browsers fall back; check the routes"
    ),
    "no_fw_source": Text(
        "没有可读的规则也没有可对照的主机；用 nft_file 或 firewall_hosts 配置",
        "neither readable rules nor hosts to compare; set nft_file or firewall_hosts",
    ),
    "fw_weaker": Text(
        "IPv6 入站比 IPv4 更开放；在 IPv6 上采用同样的规则",
        "IPv6 is more open to the inside than IPv4; apply the same rules to it",
    ),
    "fw_unclear": Text("规则中有无法判读的部分", "the rules have parts that cannot be judged from outside"),
    # Traffic.
    "no_counters": Text(
        "没有可用的分族计数；按文档安装 nft 计数表，或启用 SNMP",
        "no counters by family; install the nft table of the docs, or SNMP",
    ),
    "no_traffic": Text("尚无流量可统计", "no traffic was counted yet"),
    "share_low": Text(
        "IPv6 流量占比低于目标；先让流量最大的网站支持 IPv6",
        "the share is below the target; move the largest sites first",
    ),
    "no_flow_data": Text(
        "没有按设备的流量数据；按文档安装 nft 集合，或启用 nf_conntrack_acct",
        "no traffic by device; install the nft sets of the docs, or turn nf_conntrack_acct on",
    ),
    "users_low": Text(
        "多数设备没有 IPv6 流量；检查终端是否获得地址", "most devices have no IPv6 traffic; check their addresses"
    ),
    "users_unclear": Text(
        "有流量的部分地址已不在邻居表中，占比无法确定；请在使用高峰时再测",
        "some addresses with traffic are in no neighbour table any more, so the share is not certain; look again when "
        "the devices are in use",
    ),
    "trend_elsewhere": Text("趋势由采集中心按周计算", "the trend is computed by the collector, week by week"),
    "trend_drop": Text(
        "比上周同日下降过多；检查最近的变更", "it fell too far below the same weekday; look at recent changes"
    ),
}
