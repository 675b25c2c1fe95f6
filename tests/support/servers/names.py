"""Servers of names, time and management."""

from tests.support.servers.model import Command, Place, server
from wire.types import Transport


def _bind(place: Place) -> Command:
    config = place.write(
        "conf",
        f'options {{ directory "{place.folder}"; pid-file none; session-keyfile "{place.folder}/k"; '
        f"listen-on {{ {place.address}; }}; listen-on-v6 {{ none; }}; "
        f'managed-keys-directory "{place.folder}"; recursion no; dnssec-validation no; }}; controls {{ }};\n',
    )
    return ["named", "-g", "-c", config]


@server("BIND", "bind9", 53, "domain")
def bind(place: Place) -> Command:
    """Over TCP."""
    return _bind(place)


@server("BIND", "bind9", 53, "domain", transport=Transport.UDP)
def bind_udp(place: Place) -> Command:
    """Over UDP."""
    return _bind(place)


@server("Unbound", "unbound", 53, "domain", transport=Transport.UDP)
def unbound(place: Place) -> Command:
    """Open to the lab."""
    config = place.write(
        "conf",
        f'server:\n interface: {place.address}\n do-daemonize: no\n username: ""\n chroot: ""\n pidfile: ""\n'
        f' directory: "{place.folder}"\n access-control: 0.0.0.0/0 allow\n use-syslog: no\n'
        "remote-control:\n control-enable: no\n",
    )
    return ["unbound", "-d", "-c", config]


@server("dnsmasq", "dnsmasq-base", 53, "domain", transport=Transport.UDP)
def dnsmasq(place: Place) -> Command:
    """Names alone."""
    return [
        "dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--user=root", "--bind-interfaces",
        f"--listen-address={place.address}", f"--pid-file={place.folder}/pid",
    ]  # fmt: skip


@server("Authoritative Server", "pdns-backend-bind", 53, "domain", transport=Transport.UDP)
def powerdns(place: Place) -> Command:
    """With no zone."""
    config = place.write(
        "pdns.conf",
        f"launch=bind\nbind-config=\nlocal-address={place.address}\nsocket-dir={place.folder}\nguardian=no\n"
        "daemon=no\nsecurity-poll-suffix=\n",
    )
    return ["pdns_server", f"--config-dir={config.parent}"]


@server("NSD", "nsd", 53, "domain", transport=Transport.UDP)
def nsd(place: Place) -> Command:
    """With no zone."""
    config = place.write(
        "conf",
        f'server:\n ip-address: {place.address}\n username: ""\n chroot: ""\n pidfile: ""\n database: ""\n'
        f' zonesdir: "{place.folder}"\n xfrdfile: "{place.folder}/x"\n zonelistfile: "{place.folder}/z"\n'
        f' cookie-secret-file: "{place.folder}/c"\n server-count: 1\nremote-control:\n control-enable: no\n',
    )
    return ["nsd", "-d", "-c", config]


@server("OpenLDAP", "slapd", 389, "ldap", tells=False)
def openldap(place: Place) -> Command:
    """With an empty directory."""
    config = place.write(
        "conf",
        f"include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        f"pidfile {place.folder}/p\nargsfile {place.folder}/a\ndatabase mdb\nsuffix dc=school,dc=example\n"
        f"directory {place.make('data')}\n",
    )
    return ["slapd", "-h", f"ldap://{place.address}:{place.port}", "-f", config, "-d", "0"]


@server("", "chrony", 123, "ntp", transport=Transport.UDP, tells=False)
def chrony(place: Place) -> Command:
    """With its own clock as source, and the clock left alone."""
    config = place.write(
        "conf",
        f"local stratum 8\nallow\nbindaddress {place.address}\ncmdport 0\nuser root\npidfile {place.folder}/pid\n"
        f"bindcmdaddress /\n",
    )
    return ["chronyd", "-d", "-x", "-f", config]


@server("", "ntpsec", 123, "ntp", transport=Transport.UDP, tells=False)
def ntpsec(place: Place) -> Command:
    """With the clock left alone."""
    config = place.write(
        "conf",
        f"interface ignore wildcard\ninterface listen {place.address}\ndisable ntp\ntos orphan 8\nrestrict default\n",
    )
    return ["ntpd", "-n", "-N", "-g", "-c", config]


@server("Net-SNMP", "snmpd", 161, "snmp", transport=Transport.UDP, tells=False)
def snmpd(place: Place) -> Command:
    """With a community that nobody guesses."""
    config = place.write("conf", f"agentaddress udp:{place.address}:{place.port}\nrocommunity not-asked-for\n")
    return ["snmpd", "-f", "-Lo", "-C", "-c", config, "-p", place.folder / "pid"]


@server("", "rpcbind", 111, "sunrpc", transport=Transport.UDP, tells=False)
def rpcbind(place: Place) -> Command:
    """On every address: it fails when it is given one (Debian 12)."""
    return ["sh", "-c", "mkdir -p /run/rpcbind && exec rpcbind -f"]


@server("", "freeradius", 1812, "radius", transport=Transport.UDP, tells=False, answers=False)
def freeradius(place: Place) -> Command:
    """With the lab among its clients, and a secret that nobody is told."""
    config = place.folder / "etc"
    place.write(
        "etc/radiusd.conf",
        f"name = radiusd\nprefix = /usr\nlogdir = {place.folder}\n"
        f"run_dir = {place.folder}\nlibdir = /usr/lib/freeradius\n"
        f"pidfile = {place.folder}/pid\nlog {{\n destination = stdout\n}}\nsecurity {{\n status_server = yes\n}}\n"
        "client lab {\n ipaddr = 0.0.0.0/0\n secret = unguessable-it-is\n}\n"
        "thread pool {\n}\nmodules {\n}\n"
        f"server default {{\n listen {{\n  type = auth\n  ipaddr = {place.address}\n  port = {place.port}\n }}\n"
        " authorize {\n }\n}\n",
    )
    return ["freeradius", "-f", "-l", "stdout", "-d", config, "-D", "/usr/share/freeradius"]


@server("", "libcoap3-bin", 5683, "coap", transport=Transport.UDP, tells=False)
def coap(place: Place) -> Command:
    """The example that comes with the library."""
    return ["coap-server-notls", "-A", place.address, "-p", str(place.port)]


@server("Knot DNS", "knot", 53, "domain", transport=Transport.UDP)
def knot(place: Place) -> Command:
    """With no zone."""
    config = place.write(
        "conf",
        f"server:\n  listen: {place.address}@53\n  rundir: {place.folder}\ndatabase:\n  storage: {place.folder}\n",
    )
    return ["knotd", "-c", config]


@server("Recursor", "pdns-recursor", 53, "domain", transport=Transport.UDP)
def recursor(place: Place) -> Command:
    """Open to the lab."""
    config = place.write(
        "recursor.conf",
        f"local-address={place.address}\nsocket-dir={place.folder}\nallow-from=0.0.0.0/0\ndaemon=no\n"
        "security-poll-suffix=\nwrite-pid=no\n",
    )
    return ["pdns_recursor", f"--config-dir={config.parent}"]


@server("Zabbix agent", "zabbix-agent", 10050, "zabbix-agent")
def zabbix(place: Place) -> Command:
    """With the lab among those who may ask."""
    config = place.write(
        "conf",
        f"LogType=console\nServer=0.0.0.0/0\nListenIP={place.address}\nListenPort={place.port}\nAllowRoot=1\n"
        f"PidFile={place.folder}/pid\nStartAgents=1\n",
    )
    return ["zabbix_agentd", "-f", "-c", config]


@server("", "rpcbind", 111, "sunrpc", tells=False)
def rpcbind_tcp(place: Place) -> Command:
    """The same over TCP."""
    return rpcbind(place)


@server("", "xinetd", 13, "daytime", tells=False, more_ports=(19,))
def xinetd(place: Place) -> Command:
    """Small old services that nobody needs."""
    return _xinetd(place, "stream", "tcp", "no", "daytime", "chargen")


@server("", "xinetd", 19, "chargen", transport=Transport.UDP, tells=False)
def xinetd_chargen(place: Place) -> Command:
    """One that floods others."""
    return _xinetd(place, "dgram", "udp", "yes", "chargen")


@server("", "xinetd", 7, "echo", transport=Transport.UDP, tells=False)
def xinetd_echo(place: Place) -> Command:
    """Another one."""
    return _xinetd(place, "dgram", "udp", "yes", "echo")


def _xinetd(place: Place, kind: str, transport: str, wait: str, *names: str) -> Command:
    lines = (
        f"type = INTERNAL\n socket_type = {kind}\n protocol = {transport}\n wait = {wait}\n bind = {place.address}\n"
    )
    services = (f"service {name}\n{{\n id = {name}\n user = root\n {lines}}}\n" for name in names)
    return ["xinetd", "-dontfork", "-f", place.write("conf", "".join(services))]
