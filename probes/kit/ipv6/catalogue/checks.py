"""The check catalogue: what each check is called, where it comes from, and what mends what it finds."""

from collections.abc import Mapping
from typing import NamedTuple

from probes.kit.ipv6.catalogue import lan, vantage
from wire.text import Text


class Entry(NamedTuple):
    """One check: its title and the document that it rests on."""

    title: Text
    source: str


CATALOGUE: Mapping[str, Entry] = {
    **{name: Entry(*facts) for name, facts in vantage.ENTRIES.items() if name.startswith("NET-")},
    "WEB-AAAA": Entry(Text("发布了可用的 AAAA 记录", "usable AAAA records are published"), "RFC 4291, RFC 6890"),
    "WEB-TCP": Entry(Text("每个 IPv6 地址都能连接", "every IPv6 address takes connections"), "RFC 9293"),
    "WEB-PORT": Entry(Text("IPv6 开放的端口不少于 IPv4", "IPv6 opens every port that IPv4 opens"), "RFC 8305"),
    "WEB-TLS": Entry(Text("IPv6 上证书同样有效", "the certificate is as valid on IPv6"), "RFC 9525"),
    "WEB-HTTP": Entry(Text("首页经 IPv6 正常应答", "the home page answers over IPv6"), "RFC 9110"),
    "WEB-OK": Entry(Text("IPv6 访问成功率", "success rate over IPv6"), "RFC 9110"),
    "WEB-SAME": Entry(Text("IPv4 与 IPv6 内容一致", "the same content on both families"), "RFC 9110"),
    "WEB-L2": Entry(Text("二级链接 IPv6 可达率", "second-level links over IPv6"), "RFC 9110"),
    "WEB-L3": Entry(Text("三级链接 IPv6 可达率", "third-level links over IPv6"), "RFC 9110"),
    "WEB-EXT": Entry(Text("无天窗：外链资源支持 IPv6", "sub-resources load over IPv6"), "RFC 6589"),
    "WEB-LIT": Entry(Text("页面和跳转中没有 IPv4 地址", "no IPv4 addresses in pages or redirects"), "RFC 6586"),
    "WEB-LAT": Entry(Text("IPv6 时延不劣于 IPv4", "IPv6 is no slower than IPv4"), "RFC 8305"),
    "WEB-PMTU": Entry(Text("没有 PMTU 黑洞", "no path MTU black hole"), "RFC 8201, RFC 4890"),
    "WEB-H3": Entry(Text("HTTP/3 在 IPv6 上同样提供", "HTTP/3 is offered on IPv6 too"), "RFC 9114, RFC 7838"),
    "WEB-V6ONLY": Entry(Text("IPv6 单栈可用", "works with no IPv4 at all"), "RFC 6586"),
    "DNS-NSAAAA": Entry(Text("域名服务器有 AAAA", "name servers have AAAA records"), "RFC 3901"),
    "DNS-NSREACH": Entry(Text("域名服务器经 IPv6 应答", "name servers answer over IPv6"), "RFC 3901, RFC 7766"),
    "DNS-GLUE": Entry(Text("上级的 IPv6 粘连记录一致", "IPv6 glue is there and equal"), "RFC 1034, RFC 9471"),
    "DNS-CHAIN": Entry(Text("仅用 IPv6 可从根解析到本域", "root to zone over IPv6 alone"), "RFC 3901"),
    "DNS-CONSIST": Entry(Text("两族域名数据一致", "the same zone data on both families"), "RFC 1034"),
    "DNS-CNAME": Entry(Text("别名链每一环都支持 IPv6", "each link of the alias chain has IPv6"), "RFC 1034"),
    "DNS-BROKEN": Entry(Text("AAAA 查询应答正常", "AAAA questions are answered properly"), "RFC 4074"),
    "DNS-PTR": Entry(Text("IPv6 地址有反向记录", "IPv6 addresses have reverse records"), "RFC 1912 section 2.1"),
    "DNS-SEC": Entry(Text("DNSSEC 签名（信息）", "DNSSEC signatures (information)"), "RFC 4033"),
    "SVC-MX": Entry(Text("邮件服务器有 AAAA", "mail servers have AAAA records"), "RFC 3974"),
    "SVC-SPF": Entry(Text("SPF 含 IPv6", "SPF names IPv6 senders"), "RFC 7208"),
    **{name: Entry(*facts) for name, facts in lan.ENTRIES.items()},
    **{name: Entry(*facts) for name, facts in vantage.ENTRIES.items() if name.startswith("TRF-")},
}

WHY: Mapping[str, Text] = {
    **vantage.WHY,
    **lan.WHY,
    # What keeps a verdict open.
    "no_ipv6": Text(
        "探测点自身没有可用的 IPv6，不能评判他人；先修复本机 IPv6",
        "the vantage point itself has no working IPv6 and cannot judge others; mend it first",
    ),
    "depends": Text("前置检查未通过，无法判断；先处理前项", "an earlier check did not pass; mend that one first"),
    "dns_unclear": Text(
        "解析器没有给出可用的答复；检查解析器后重试", "the resolver gave no usable answer; look at it, then try again"
    ),
    "out_of_scope": Text(
        "不在授权范围内，未发送；用 edusec scope add 授权后重试",
        "outside the authorised scope, nothing was sent; authorise it with edusec scope add",
    ),
    "no_time": Text("时限已到；延长时限或减少目标", "time was over; allow more time or fewer targets"),
    "http_blocked": Text(
        "对方拒绝了我们（403/429），不是 IPv6 故障；请对方放行探测地址或降低频率",
        "the server refused us (403/429), which is no fault of IPv6; have it admit the probe, or go slower",
    ),
    "nothing_large": Text(
        "没有足够大的页面来证明大包能通过", "no page is large enough to prove that full-size packets come through"
    ),
    "no_links": Text("页面上没有内部链接", "the page has no inner links"),
    "no_page": Text("没有取得可分析的页面", "no page was fetched that could be read"),
    "no_ipv4": Text("该站点没有 IPv4，无需比较", "the site has no IPv4 to compare with"),
    "ipv4_down": Text("IPv4 一侧无法访问，无法比较", "the IPv4 side does not answer, nothing to compare with"),
    "no_https": Text("该站点不提供 HTTPS", "the site has no HTTPS"),
    "no_h3": Text("IPv4 未提供 HTTP/3，无需比较", "IPv4 offers no HTTP/3"),
    "h3_unproven": Text(
        "两族都声明了 HTTP/3，但未能做 QUIC 握手；安装 edusec[http3] 或检查授权范围",
        "both announce HTTP/3, but no QUIC handshake could be made; install edusec[http3], or see the scope",
    ),
    # Sites.
    "no_aaaa": Text("为网站添加 AAAA 记录", "publish AAAA records for the site"),
    "bad_aaaa": Text(
        "AAAA 不是可用的全球地址（映射、本地、文档、6to4 或 DNS64 合成）；改为真实的全球单播地址",
        "the AAAA is no usable global address (mapped, local, documentation, 6to4, DNS64); publish a real one",
    ),
    "tcp_none": Text(
        "IPv6 地址都连不上；检查服务器是否监听 IPv6（listen [::]）和防火墙",
        "no IPv6 address takes connections; check that the server listens on [::] and the firewall lets it",
    ),
    "tcp_some": Text(
        "部分 IPv6 地址连不上；修复或撤下这些 AAAA", "some IPv6 addresses are dead; mend or withdraw them"
    ),
    "port_missing": Text(
        "这些端口只在 IPv4 上开放；在 IPv6 上同样监听并放行", "these ports are open on IPv4 only; open them on IPv6 too"
    ),
    "tls_invalid": Text(
        "IPv6 上的证书无效而 IPv4 上有效；在 IPv6 的虚拟主机上部署同一证书",
        "the certificate is invalid on IPv6 but valid on IPv4; install the same one for the IPv6 host",
    ),
    "tls_both": Text("证书在两族上都无效；更换证书", "the certificate is invalid on both families; replace it"),
    "tls_failed": Text("IPv6 上 TLS 握手失败；检查 IPv6 虚拟主机的 TLS 配置", "the TLS handshake fails on IPv6 only"),
    "http_failed": Text(
        "IPv6 上没有得到正常应答而 IPv4 正常；检查 IPv6 虚拟主机和反向代理",
        "no proper answer over IPv6 while IPv4 is fine; check the IPv6 virtual host and reverse proxy",
    ),
    "http_both": Text("两族都没有正常应答；修复网站本身", "neither family gets a proper answer; mend the site itself"),
    "http_5xx": Text("服务器内部错误（5xx）；查看服务器日志", "server error (5xx); see the server's log"),
    "redirect_v4_only": Text(
        "跳转到只有 IPv4 的主机；为跳转目标添加 AAAA", "redirects to a host with IPv4 only; give that host AAAA records"
    ),
    "redirect_loop": Text("跳转循环或过长；修正跳转规则", "redirects in a circle or without end; mend the rules"),
    "redirect_bad": Text("跳转到无法识别的网址；修正 Location", "redirects to something that is no URL; mend Location"),
    "ok_low": Text("IPv6 访问时好时坏；检查链路和负载均衡后端", "IPv6 works now and then; check the line and backends"),
    "same_status": Text("两族返回的状态码不同；统一后端", "the families answer with different status codes"),
    "same_title": Text("两族页面标题不同；核对虚拟主机", "the families show different titles; compare the hosts"),
    "same_text": Text("两族页面内容不同；让两族使用同一后端", "the families show different pages; use one backend"),
    "links_low": Text(
        "部分内链在 IPv6 上打不开；为所列主机添加 AAAA 或修复页面",
        "inner links do not load over IPv6; give their hosts AAAA records or mend the pages",
    ),
    "ext_active": Text(
        "样式或脚本所在主机只有 IPv4；改用支持 IPv6 的主机或放到本站",
        "styles or scripts come from hosts with IPv4 only; use hosts with IPv6 or serve them yourself",
    ),
    "ext_passive": Text(
        "图片或外部链接的主机只有 IPv4；逐步替换", "images or outlinks lead to hosts with IPv4 only; replace them"
    ),
    "literal": Text("页面或跳转中写死了 IPv4 地址；改用域名", "IPv4 addresses are written into pages; use names"),
    "slow": Text("IPv6 明显慢于 IPv4；检查路由和隧道", "IPv6 is clearly slower than IPv4; check routes and tunnels"),
    "pmtu": Text(
        "大包丢失、减小 MSS 后恢复：PMTU 黑洞；放行 ICMPv6 Packet Too Big，或在出口钳制 MSS",
        "large packets vanish, a smaller MSS mends it: let ICMPv6 Packet Too Big through, or clamp the MSS",
    ),
    "h3_missing": Text("HTTP/3 只在 IPv4 上声明；统一配置", "HTTP/3 is announced on IPv4 only; use one configuration"),
    "h3_broken": Text(
        "声明了 HTTP/3，但 IPv6 上 QUIC 握手失败而 IPv4 成功；放行 IPv6 的 UDP 443，并让 QUIC 监听 [::]",
        "HTTP/3 is announced, but QUIC fails on IPv6 and works on IPv4; let UDP port 443 through, listen on [::]",
    ),
    "h3_dead": Text(
        "声明了 HTTP/3，但两族的 QUIC 握手都失败；修复 QUIC 或撤下 Alt-Svc",
        "HTTP/3 is announced, but QUIC works on neither family; mend it or withdraw Alt-Svc",
    ),
    "v6only_partly": Text(
        "没有 IPv4 时部分图片等资源打不开；为其主机添加 AAAA",
        "without IPv4 images and the like are missing; give their hosts AAAA records",
    ),
    "v6only_resolver": Text(
        "没有 IPv6 地址的解析器，无法在完全没有 IPv4 的条件下访问；用 resolvers 配置",
        "no resolver with an IPv6 address, so no visit without any IPv4; set resolvers",
    ),
    "v6only": Text("没有 IPv4 时网站不可用；处理所列检查项", "the site fails without IPv4; mend the checks listed"),
    # Zones.
    "no_zone": Text("找不到该域名所在的区", "no zone was found for the name"),
    "ns_none": Text("域名服务器都没有 AAAA；至少给两台加上", "no name server has AAAA; give it to at least two"),
    "ns_one": Text("只有一台域名服务器有 AAAA；再加一台", "only one name server has AAAA; add another"),
    "ns_silent": Text(
        "域名服务器经 IPv6 不应答或不权威；检查监听地址、UDP 与 TCP 53 端口",
        "name servers do not answer with authority over IPv6; check listening addresses, UDP and TCP port 53",
    ),
    "ns_partly": Text("部分域名服务器经 IPv6 不应答", "some name servers do not answer over IPv6"),
    "glue_missing": Text("上级缺少 IPv6 粘连记录；在注册商处添加", "the parent lacks IPv6 glue; add it there"),
    "glue_differs": Text("上级的 IPv6 粘连记录与本区不同；更新", "the parent's IPv6 glue differs from the zone's"),
    "chain_broken": Text("仅用 IPv6 解析在此处中断", "resolution over IPv6 alone breaks off at the place named"),
    "consist_serial": Text("两族看到的区序列号不同；检查同步", "the families see different serials; check transfers"),
    "consist_data": Text("两族看到的 AAAA 不同；检查视图配置", "the families see different AAAA; check the views"),
    "cname_v4_only": Text("别名链末端没有 AAAA；联系该服务商", "the alias chain ends without AAAA; ask that provider"),
    "cname_loop": Text("别名链循环或过长；修正", "the alias chain is a circle or has no end; mend it"),
    "aaaa_broken": Text(
        "A 查询正常而 AAAA 查询出错或超时；升级域名服务器或负载均衡",
        "A is answered but AAAA fails or times out; upgrade the name server or load balancer",
    ),
    "ptr_missing": Text("IPv6 地址没有反向记录；添加 PTR", "IPv6 addresses have no PTR; add them"),
    "signed": Text("已签名", "signed"),
    "unsigned": Text("未签名", "not signed"),
    "mx_v4_only": Text("邮件服务器没有 AAAA", "the mail servers have no AAAA"),
    "spf_v4_only": Text("SPF 只列了 IPv4 发信地址", "SPF names IPv4 senders only"),
    "no_mail": Text("没有邮件服务", "no mail service"),
}


def why(code: str) -> Text:
    """Give what a code means and what mends it; a code that is not known stands for itself."""
    return WHY.get(code, Text(code, code))
