"""The catalogue of the first hop (LAN-*): titles, sources, causes and mends."""

from collections.abc import Mapping

from wire.text import Text

ENTRIES: Mapping[str, tuple[Text, str]] = {
    "LAN-RA": (Text("内网有正确的路由通告", "proper router advertisements on the LAN"), "RFC 4861, RFC 4862"),
    "LAN-MODE": (Text("地址分配方式符合规定", "addresses are assigned as the policy says"), "RFC 4861, RFC 8415"),
    "LAN-RDNSS": (Text("下发的 DNS 服务器有应答", "the DNS servers announced on the LAN answer"), "RFC 8106, RFC 8415"),
    "LAN-ROGUERA": (Text("没有未登记的路由器", "no unknown router"), "RFC 6104"),
    "LAN-RAEXT": (Text("路由通告没有扩展头或分片", "no advertisements behind extension headers"), "RFC 6980, RFC 7113"),
    "LAN-ROGUEDHCP6": (Text("没有未登记的 DHCPv6 服务器", "no unknown DHCPv6 server"), "RFC 7610"),
    "LAN-RAGUARD": (Text("接入口拦截伪造的路由通告", "access ports stop forged advertisements"), "RFC 6105, RFC 7113"),
    "LAN-ULA": (Text("下发了全球前缀", "a global prefix is announced"), "RFC 4193"),
    "LAN-PRIV": (Text("终端地址不含 MAC（EUI-64）", "addresses do not show the MAC (EUI-64)"), "RFC 8064, RFC 8981"),
    "LAN-NDCACHE": (Text("邻居表有余量", "the neighbour table has room"), "RFC 6583"),
    "LAN-MLD": (Text("有组播查询器", "a multicast querier is there"), "RFC 3810, RFC 4541"),
    "LAN-HOSTS": (Text("内网 IPv6 设备数", "IPv6 hosts of the LAN"), "RFC 7707"),
    "LAN-COVER": (Text("终端 IPv6 覆盖率", "share of clients that use IPv6"), "RFC 4861"),
}  # fmt: skip

WHY: Mapping[str, Text] = {
    # What keeps a verdict open.
    "no_ipv6_link": Text("该链路上没有 IPv6，无从判断", "nobody speaks IPv6 on this link; there is nothing to judge"),
    "ra_unasked": Text(
        "只被动监听，期间没有听到；把该网段加入授权范围后会主动询问",
        "only listened, and heard none; with the link's prefix in scope it asks (edusec scope add)",
    ),
    "ra_silent": Text(
        "询问后没有路由器应答；如应有 IPv6，检查路由器的 RA 设置",
        "no router answered when asked; where there should be IPv6, look at the router's settings for RA",
    ),
    "ra_listened": Text(
        "听到的都在允许列表内，但没有询问，静默不能证明没有别的；把该网段加入授权范围",
        "all that was heard is on the allow list, but nobody was asked; put the link's prefix into the scope",
    ),
    "flooded": Text(
        "收到的报文超出上限，结论不完整；可能有人在泛洪，按证据排查",
        "more came than is kept, so the picture is not complete; somebody may be flooding the link",
    ),
    "no_router_list": Text(
        "未配置允许的路由器；核对证据后写入选项 routers（“地址 MAC”）",
        "no allow list of routers; check the evidence and write it into the option routers (address and MAC)",
    ),
    "no_dhcp_list": Text(
        "未配置允许的 DHCPv6 服务器；核对证据后把 DUID 写入选项 dhcp_servers",
        "no allow list of DHCPv6 servers; check the evidence and write the DUIDs into the option dhcp_servers",
    ),
    "dhcp_unasked": Text(
        "只被动监听，DHCPv6 应答是单播，听不到；把该网段加入授权范围",
        "only listened; answers of DHCPv6 go to one client each. Put the link's prefix into the scope",
    ),
    "dhcp_silent": Text(
        "询问后没有 DHCPv6 服务器应答；没有应答不能证明没有",
        "no DHCPv6 server answered when asked, which proves nothing",
    ),
    "guard_off": Text(
        "主动测试，需用选项 ra_guard 明确授权", "an active test; it has to be authorised with the option ra_guard"
    ),
    "guard_no_path": Text(
        "对照报文也没有到达；两个接口须接在同一网段的接入口",
        "not even the control packet arrived; both interfaces must be on access ports of one segment",
    ),
    "mld_short": Text(
        "监听时间短于查询间隔，没有听到不能证明没有；延长 listen",
        "listened for less than a querier may be silent; set listen to more than twice the query interval",
    ),
    "few_hosts": Text("看到的终端太少，比例没有意义", "too few hosts were seen for a share"),
    "no_hosts": Text("没有看到其他 IPv6 设备", "no other IPv6 host was seen"),
    "no_ipv4_hosts": Text("没有看到 IPv4 终端，没有分母", "no IPv4 clients were seen to compare with"),
    "cover_passive": Text(
        "只被动观察，空闲终端看不到，低覆盖率不能作数；启用选项 ask_hosts 并授权网段",
        "only watched, and idle clients are not seen; set ask_hosts with the prefix in scope before a low share counts",
    ),
    "cover_unclear": Text(
        "部分终端只看到链路本地地址，无法判断是否使用 IPv6", "some clients showed link-local addresses only"
    ),
    "no_table": Text("无法读取邻居表上限", "the limit of the neighbour table cannot be read"),
    # What is wrong.
    "ra_hops": Text(
        "路由通告的跳数不是 255，终端会丢弃；检查中间是否有设备转发了它",
        "the hop limit of the advertisement is not 255, so hosts drop it; see what forwards it on the way",
    ),
    "ra_malformed": Text(
        "路由通告有错误，终端会丢弃；更新或修正路由器", "the advertisement is faulty, so hosts drop it; mend the router"
    ),
    "ra_lifetime": Text(
        "路由器生存期为 0，终端没有默认路由；检查路由器上联或 RA 设置",
        "the router lifetime is 0, so hosts get no default route; see the router's uplink and its settings for RA",
    ),
    "ra_prefix": Text(
        "用于自动配置的前缀不是 /64，终端无法生成地址；改为 /64",
        "the prefix for autoconfiguration is no /64, so hosts make no address of it; announce a /64",
    ),
    "ra_no_prefix": Text(
        "没有下发前缀；在路由器上配置 /64 前缀", "no prefix is announced; configure a /64 on the router"
    ),
    "mode_differs": Text(
        "M/O/A 标志与规定不同；修改路由器的 RA 设置",
        "the flags M, O, A are not those of the policy; set the router's RA",
    ),
    "mode_none": Text(
        "M 和 A 都未置位，终端得不到地址；启用 SLAAC 或 DHCPv6", "neither M nor A is set, so hosts get no address"
    ),
    "mode_no_policy": Text("未规定分配方式，仅列出", "no policy is set; what was seen is listed only"),
    "rdnss_none": Text(
        "没有下发 IPv6 DNS 服务器；在 RA 中配置 RDNSS",
        "no DNS server is announced over IPv6; configure RDNSS in the RA",
    ),
    "rdnss_silent": Text(
        "下发的 DNS 服务器都不应答；启动服务、放行 53 端口或改为可用的地址",
        "none of the DNS servers announced answers; start them, let port 53 in, or announce others",
    ),
    "rdnss_partly": Text("部分下发的 DNS 服务器不应答；修复或撤下", "some of the DNS servers announced do not answer"),
    "rogue_ra": Text(
        "路由通告来自允许列表之外；按 MAC 找到接入口并断开，或登记该路由器",
        "an advertisement from outside the allow list; find the port by the MAC and shut it, or list the router",
    ),
    "ra_ext": Text(
        "路由通告带扩展头或分片，这是绕过 RA Guard 的手法；按 MAC 找到接入口并断开",
        "an advertisement behind extension headers or in fragments, which evades RA guard; find the port by the MAC",
    ),
    "ra_hidden": Text(
        "有报文的首个分片不含完整头链（RFC 7112），可能在隐藏路由通告；按 MAC 查明",
        "packets whose first fragment lacks the header chain (RFC 7112) may hide advertisements; look by the MAC",
    ),
    "rogue_dhcp6": Text(
        "DHCPv6 服务器的 DUID 不在允许列表；按 MAC 找到接入口并断开，或登记其 DUID",
        "a DHCPv6 server whose DUID is not on the list; find the port by the MAC and shut it, or list the DUID",
    ),
    "guard_missing": Text(
        "伪造的路由通告通过了接入口；在交换机用户口启用 RA Guard",
        "a forged advertisement came through; turn RA guard on",
    ),
    "guard_evaded": Text(
        "RA Guard 可被扩展头或分片绕过；升级交换机或启用头链检查（RFC 7113）",
        "extension headers or fragments evade the RA guard; upgrade the switch or have it read the chain (RFC 7113)",
    ),
    "ula_only": Text(
        "只下发了唯一本地前缀（ULA）；另外下发全球前缀", "only unique local prefixes; announce a global one too"
    ),
    "eui64": Text(
        "较多地址由 MAC 生成，可被跟踪；在终端启用隐私地址（RFC 8981）",
        "many addresses are made of the MAC and can be tracked; turn privacy addresses on (RFC 8981)",
    ),
    "ndcache_full": Text(
        "邻居表将满，新终端会上不了网；提高 gc_thresh1-3 并排查扫描",
        "the neighbour table is nearly full, new hosts will get no service; raise gc_thresh1-3 and look for scans",
    ),
    "mld_none": Text(
        "没有组播查询器，交换机的 MLD 侦听会丢失组播；在路由器或交换机上启用查询器",
        "no multicast querier: MLD snooping will lose groups; turn the querier on at the router or a switch",
    ),
    "cover_low": Text(
        "使用 IPv6 的终端不足；检查所列 MAC 的终端是否关闭了 IPv6 或不在同一 VLAN",
        "too few clients use IPv6; see whether those listed have it turned off or are on another VLAN",
    ),
}
