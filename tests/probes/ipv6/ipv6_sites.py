"""The sites of the lab: one that is right in everything, one for each fault, and what the checks must say of it."""

from dataclasses import dataclass, field

from tests.probes.ipv6.ipv6_lab import BROKEN6, DEAD6, DNS64_4, DNS64_6, OLD4, VIEW6, Lab, Site, page, zone_text


@dataclass(frozen=True)
class Fault:
    """A site, the verdicts that its fault must bring (check -> verdict), and those that follow from it."""

    site: Site
    expected: dict[str, str]
    follows: dict[str, str] = field(default_factory=dict)


FAIL, WARN, BLOCKED, PASS = "fail", "warn", "blocked", "pass"
GLUE = "ns1.{0} A 198.18.253.3\nns1.{0} AAAA 3000:5::53:3\nns2.{0} A 198.18.253.4\nns2.{0} AAAA 3000:5::53:4\n"
LINKS = "".join(f"<a href='/a{number}.html'>a</a>" for number in range(4))
DEEP = {f"a{number}.html": page("a", f"<a href='/b{number}.html'>b</a>") for number in range(4)}
DEEP |= {f"b{number}.html": page("b") for number in range(4)}
OLD_LINKS = "".join(f"<a href='http://old{number}.{{0}}.test/'>o</a>" for number in range(3))
OLD_NAMES = "".join(f"old{number} A 198.18.100.1\n" for number in range(3))
ALT = "add_header Alt-Svc 'h3=\":443\"; ma=60';"
CDN = "<script src='https://static.v4host.test/x.js'></script>"


def faults() -> list[Fault]:
    """Give all of them; the first is the site without any."""
    made: list[Fault] = []

    def add(name: str, expected: dict[str, str], follows: dict[str, str] | None = None, **more: object) -> None:
        number = len(made) + 1
        settings: dict[str, object] = {
            "html": page("School", LINKS, "<a href='http://ok.good.test/'>x</a>"),
            "files": DEEP,
            "aaaa": (f"3000:5::80:{number:x}",),
            "records": '@ MX 10 mail.host.test.\n@ TXT "v=spf1 ip4:198.18.0.1 ip6:3000:5::25 -all"\n',
            **more,
        }
        made.append(Fault(Site(name, number, **settings), expected, follows or {}))  # type: ignore[arg-type]

    inside = {"servers": ("ns1.{0}.test", "ns2.{0}.test")}

    def own_servers(name: str) -> tuple[str, ...]:
        return tuple(text.format(name) for text in inside["servers"])

    usual = '@ MX 10 mail.host.test.\n@ TXT "v=spf1 ip4:198.18.0.1 ip6:3000:5::25 -all"\n'
    glue = "ns1 A 198.18.253.3\nns1 AAAA 3000:5::53:3\nns2 A 198.18.253.4\nns2 AAAA 3000:5::53:4\n"
    add("good", {}, records=usual + glue + "ok AAAA 3000:5::80:1\nok A 198.18.100.1\n", servers=own_servers("good"),
        delegation=GLUE.format("good.test."))  # fmt: skip
    add("noaaaa", {"WEB-AAAA": FAIL}, aaaa=())
    add("badaaaa", {"WEB-AAAA": FAIL}, aaaa=("fd00::80", "::ffff:198.18.100.3"))
    add("someaaaa", {"WEB-AAAA": WARN}, aaaa=("3000:5::80:4", "2002:c612:1::1"))
    add("tcpnone", {"WEB-TCP": FAIL}, aaaa=("3000:5::80:5",), ports6=())
    add("tcpsome", {"WEB-TCP": WARN}, aaaa=("3000:5::80:6", DEAD6))
    add("port", {"WEB-PORT": FAIL}, ports6=(443,))
    add("cert", {"WEB-TLS": FAIL}, certificate6="wrong")
    add("http5xx", {"WEB-HTTP": FAIL}, http6="location = / { return 503 busy; }")
    add("http404", {"WEB-HTTP": FAIL}, http6="location = / { return 404 gone; }")
    add("blocked", {"WEB-HTTP": BLOCKED}, http6="location = / { return 403 no; }")

    def counted(name: str, every: int) -> str:
        return f"location = / {{ proxy_pass http://127.0.0.1:8081/{name}/{every}; }}"

    add("flaky", {"WEB-OK": FAIL}, http6=counted("flaky", 2))
    add("seldom", {"WEB-OK": WARN}, http6=counted("seldom", 7))
    add("busy", {"WEB-HTTP": BLOCKED}, http6="location = / { return 429 later; }")
    add("handshake", {"WEB-TLS": FAIL}, tls6=False)
    add("status", {"WEB-SAME": FAIL}, http6="location = / { return 401 no; }")
    more = (
        "<p>"
        + " ".join(f"Another {number} line of words, told to some visitors only." for number in range(50))
        + "</p>"
    )
    add("drift", {"WEB-SAME": WARN}, html6=page("School", LINKS, "<a href='http://ok.good.test/'>x</a>", more))
    add("other", {"WEB-SAME": FAIL}, html6=page("School", LINKS).replace("Notice", "Unrelated words stand here, x")
        .replace("opens its gates at eight", "is a parked domain for sale by its owner"))  # fmt: skip
    add("title", {"WEB-SAME": WARN}, html6=page("Parked", LINKS, "<a href='http://ok.good.test/'>x</a>"))
    add("links2", {"WEB-L2": FAIL}, {"WEB-EXT": WARN, "WEB-V6ONLY": FAIL},
        html=page("School", LINKS, OLD_LINKS.format("links2")), records=usual + OLD_NAMES)  # fmt: skip
    many = "".join(f"<a href='/b0.html?{number}'>b</a>" for number in range(13))
    add("some2", {"WEB-L2": WARN}, {"WEB-EXT": WARN}, records=usual + OLD_NAMES,
        html=page("School", LINKS, many, OLD_LINKS.format("some2")))  # fmt: skip
    add("some3", {"WEB-L3": WARN}, records=usual + OLD_NAMES,
        files=DEEP | {"a0.html": page("a", many, OLD_LINKS.format("some3"))})  # fmt: skip
    deep = DEEP | {f"a{number}.html": page("a", OLD_LINKS.format("links3")) for number in range(4)}
    add("links3", {"WEB-L3": FAIL}, {"WEB-V6ONLY": FAIL}, files=deep, records=usual + OLD_NAMES)
    add("script", {"WEB-EXT": FAIL}, {"WEB-V6ONLY": FAIL}, html=page("School", LINKS, CDN))
    add(
        "image",
        {"WEB-EXT": WARN},
        {"WEB-V6ONLY": WARN},
        html=page("School", LINKS, "<img src='http://static.v4host.test/x.png'>"),
    )
    add("literal", {"WEB-LIT": FAIL}, {"WEB-V6ONLY": FAIL},
        html=page("School", LINKS, "<a href='http://198.18.100.1/'>x</a>"))  # fmt: skip
    add("slow", {"WEB-LAT": FAIL}, http6="location = / { proxy_pass http://127.0.0.1:8081/slow/0/0.2; }")
    add("narrow", {"WEB-PMTU": FAIL}, {"WEB-V6ONLY": FAIL}, aaaa=("3000:14::80",))
    add("redirect", {"WEB-HTTP": FAIL}, http6="location = / { return 302 http://static.v4host.test/; }")
    add("circle", {"WEB-HTTP": FAIL}, http6="location = / { return 302 /; }")
    add("http3", {"WEB-H3": WARN}, http4=ALT)
    add("quic", {"WEB-H3": PASS}, http4=ALT, http6=ALT)
    add("quic4", {"WEB-H3": FAIL}, http4=ALT, http6=ALT)
    add("noquic", {"WEB-H3": WARN}, http4=ALT, http6=ALT)
    add("quiccert", {"WEB-H3": FAIL}, http4=ALT, http6=ALT)
    add("bothbad", {"WEB-TLS": WARN}, certificate6="wrong")
    add("ns0", {"DNS-NSAAAA": FAIL}, {"DNS-CHAIN": FAIL}, servers=("ns4.host.test", "ns5.host.test"))
    add("ns1", {"DNS-NSAAAA": WARN}, servers=("ns1.host.test", "ns4.host.test"))
    add("nsdead", {"DNS-NSREACH": FAIL}, {"DNS-CHAIN": FAIL}, servers=("dead1.host.test", "dead2.host.test"))
    add("nshalf", {"DNS-NSREACH": WARN}, servers=("ns1.host.test", "dead1.host.test"))
    add("noglue", {"DNS-GLUE": FAIL}, records=usual + glue, servers=("ns1.noglue.test", "ns2.host.test"),
        delegation="ns1.noglue.test. A 198.18.253.3\n")  # fmt: skip
    add("oldglue", {"DNS-GLUE": FAIL}, records=usual + glue, servers=("ns1.oldglue.test", "ns2.host.test"),
        delegation="ns1.oldglue.test. A 198.18.253.3\nns1.oldglue.test. AAAA 3000:5::53:4\n")  # fmt: skip
    add("chain.old", {"DNS-CHAIN": FAIL})
    add("serial", {"DNS-CONSIST": FAIL}, servers=("ns6.host.test", "ns7.host.test"), served=False)
    add("data", {"DNS-CONSIST": FAIL}, servers=("ns6.host.test", "ns7.host.test"), served=False)
    add("alias", {"DNS-CNAME": FAIL, "WEB-AAAA": FAIL}, web=False, records=usual + "www CNAME static.v4host.test.\n")
    add("aliasloop", {"DNS-CNAME": FAIL}, web=False, records=usual + "www CNAME two\ntwo CNAME www\n")
    add("broken", {"DNS-BROKEN": FAIL}, servers=("ns1.odd.test", "ns2.odd.test"), served=False)
    add("noptr", {"DNS-PTR": WARN})
    add("mail", {"SVC-MX": WARN}, records=usual.replace("mail.host.test", "static.v4host.test"))
    crowd = "".join(f"<a href='/m{number}.html'>m</a>" for number in range(300))
    add("many", {}, html=page("School", crowd), files={},
        http6="access_log ACCESS; location ~ ^/m { return 200 '<p>m</p>'; }")  # fmt: skip
    # A wildcard makes any number of hosts exist; what is looked at stays bounded, and none of them is a fault.
    hosts = "".join(f"<a href='http://w{number}.wild.test/'>w</a>" for number in range(300))
    wild = f"*.wild.test. AAAA 3000:5::80:{len(made) + 1:x}\n*.wild.test. A 198.18.100.{len(made) + 1}\n"
    add("wild", {}, html=page("School", hosts), files={}, records=usual + wild, http6="access_log ACCESS;")
    add("spf", {"SVC-SPF": WARN}, records=usual.replace("ip6:3000:5::25", ""))
    return made


def start(lab: Lab, made: list[Fault]) -> None:
    """Start every server of the lab."""
    sites = [fault.site for fault in made]
    _names(lab, sites)
    _web(lab, sites)


def _names(lab: Lab, sites: list[Site]) -> None:
    root = (
        "$TTL 60\n. SOA a.rootlab. a.rootlab. 1 3600 600 86400 60\n. NS a.rootlab.\na.rootlab. AAAA 3000:5::53:1\n"
        "a.rootlab. A 198.18.253.1\ntest. NS ns.test.\nns.test. AAAA 3000:5::53:2\nns.test. A 198.18.253.2\n"
        "0.0.0.3.ip6.arpa. NS ns1.host.test.\nipv4only.arpa. A 192.0.0.170\nipv4only.arpa. A 192.0.0.171\n"
    )
    lab.nsd("root", ("3000:5::53:1", "198.18.253.1"), {"": root})
    addresses = {
        "ns1": ("3000:5::53:3", "198.18.253.3"), "ns2": ("3000:5::53:4", "198.18.253.4"),
        "ns4": ("", "198.18.253.3"), "ns5": ("", "198.18.253.4"),
        "ns6": (VIEW6, "198.18.253.5"), "ns7": (VIEW6, "198.18.253.5"),
        "dead1": (DEAD6, "198.18.253.3"), "dead2": (DEAD6, "198.18.253.4"), "mail": ("3000:5::25", ""),
    }  # fmt: skip
    host = "".join(
        (f"{name}.host.test. AAAA {six}\n" if six else "") + (f"{name}.host.test. A {four}\n" if four else "")
        for name, (six, four) in addresses.items()
    )
    delegations = "".join(
        f"{site.name}.test. NS {server}.\n" for site in sites if ".old" not in site.name for server in site.servers
    ) + "".join(site.delegation for site in sites)
    odd = f"ns1.odd.test. AAAA {BROKEN6}\nns1.odd.test. A 198.18.253.6\nns2.odd.test. AAAA {BROKEN6}\n"
    tld = (
        "$ORIGIN .\n$TTL 60\ntest. SOA ns.test. a.test. 1 3600 600 86400 60\ntest. NS ns.test.\n"
        "ns.test. AAAA 3000:5::53:2\n"
        "ns.test. A 198.18.253.2\nhost.test. NS ns1.host.test.\nhost.test. NS ns2.host.test.\n"
        + "\n".join(line for line in host.splitlines() if line.startswith(("ns1", "ns2")))
        + f"\nodd.test. NS ns1.host.test.\nv4host.test. NS ns1.host.test.\nold.test. NS ns8.old.test.\n"
        f"ns8.old.test. A {OLD4}\n{delegations}"
    )
    lab.nsd("tld", ("3000:5::53:2", "198.18.253.2"), {"test": tld})
    old = (
        f"$TTL 60\n@ SOA ns8 a 1 3600 600 86400 60\n@ NS ns8\nns8 A {OLD4}\n"
        "chain NS ns1.host.test.\nchain NS ns2.host.test.\n"
    )
    lab.nsd("old", (OLD4,), {"old.test": old})
    head = (
        "$ORIGIN .\n$TTL 60\n{0} SOA ns1.host.test. a.host.test. 1 3600 600 86400 60\n"
        "{0} NS ns1.host.test.\n{0} NS ns2.host.test.\n"
    )
    pointers = head.format("0.0.0.3.ip6.arpa.") + "".join(
        f"{_pointer(address)} PTR {site.host}.\n"
        for site in sites
        if site.name != "noptr"
        for address in site.aaaa
        if address.startswith("3000")
    )
    leaf = {
        "host.test": head.format("host.test.") + host,
        "odd.test": head.format("odd.test.") + odd,
        "v4host.test": head.format("v4host.test.") + "static.v4host.test. A 198.18.100.1\n",
        "0.0.0.3.ip6.arpa": pointers,
        **{f"{site.name}.test": zone_text(site) for site in sites if site.served},
    }
    for zone, text in leaf.items():
        lab.write(f"leaf/{zone}", text)
    zones = "".join(f'zone "{zone}" {{ type primary; file "{zone}"; }};\n' for zone in leaf)
    lab.named("leaf", ["3000:5::53:3", "3000:5::53:4"], ["198.18.253.3", "198.18.253.4"], zones)
    by_name = {site.name: site for site in sites}
    texts = {
        "serial4": zone_text(by_name["serial"], serial=7), "serial6": zone_text(by_name["serial"], serial=8),
        "data4": zone_text(by_name["data"]), "data6": zone_text(by_name["data"], aaaa=("3000:5::80:1",)),
    }  # fmt: skip
    for name, text in texts.items():
        lab.write(f"views/{name}", text)
    views = "".join(
        f'view "v{side}" {{ match-clients {{ {match}; }};\n'
        + "".join(f'zone "{name}.test" {{ type primary; file "{name}{side}"; }};\n' for name in ("serial", "data"))
        + "};\n"
        for side, match in ((4, "0.0.0.0/0"), (6, "::/0"))
    )
    lab.named("views", [VIEW6], ["198.18.253.5"], views)
    lab.broken_server("broken.test", by_name["broken"].four, by_name["broken"].six)
    lab.unbound()
    lab.unbound("dns64", (DNS64_6, DNS64_4), "dns64-prefix: 3000:64::/96", modules="dns64 iterator")


def _web(lab: Lab, sites: list[Site]) -> None:
    from tests.probes.ipv6.ipv6_lab import Authority

    authority = Authority(lab.folder)
    hosts = [site.host for site in sites] + ["ok.good.test", "static.v4host.test"]
    authority.issue("good", [*hosts, *(f"old{number}.{site.name}.test" for site in sites for number in range(3))])
    authority.issue("wrong", ["elsewhere.test"])
    blocks, far = "", ""
    for site in sites:
        lab.own(lab.server, site.four)
        certificate4 = "wrong" if site.name == "bothbad" else "good"
        blocks += lab.server_block(site, site.four, (80, 443), site.html, site.http4, certificate4)
        narrow = site.name == "narrow"
        listen = "3000:14::80" if narrow else site.six
        lab.own(lab.far if narrow else lab.server, listen)
        if not site.ports6:
            continue
        block = lab.server_block(
            site, listen, site.ports6, site.html6 or site.html, site.http6 + ("gzip off;" if narrow else ""),
            site.certificate6,
        )  # fmt: skip
        if narrow:
            far += block
        else:
            blocks += block
    lab.counting_web()
    by_name = {site.name: site for site in sites}
    quic = [by_name[name].four for name in ("quic", "quic4", "quiccert")] + [by_name["quic"].six]
    lab.quic("good", quic)
    lab.quic("wrong", [by_name["quiccert"].six])
    lab.nginx(lab.server, "web", blocks)
    lab.nginx(lab.far, "far", far)


def _pointer(address: str) -> str:
    import ipaddress

    return ipaddress.ip_address(address).reverse_pointer + "."
