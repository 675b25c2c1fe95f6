"""Servers of an office's infrastructure: messages, jobs, measurements, version control."""

from tests.support.servers.model import Command, Place, server


@server("Prosody", "prosody", 5222, "xmpp-client", tells=False)
def prosody(place: Place) -> Command:
    """With one domain and nobody in it."""
    config = place.write(
        "prosody.cfg.lua",
        'daemonize = false\nrun_as_root = true\nmodules_enabled = { "roster", "saslauth", "disco" }\n'
        'modules_disabled = { "s2s" }\nlog = { error = "*console" }\n'
        f'interfaces = {{ "{place.address}" }}\nc2s_ports = {{ {place.port} }}\n'
        f'pidfile = "{place.folder}/pid"\ndata_path = "{place.folder}"\n'
        'VirtualHost "chat.school.example"\n',
    )
    return ["prosody", "-F", "--config", config]


@server("NRPE", "nagios-nrpe-server", 5666, "nrpe")
def nrpe(place: Place) -> Command:
    """Which anybody may ask."""
    config = place.write(
        "conf",
        f"server_address={place.address}\nserver_port={place.port}\nnrpe_user=nobody\nnrpe_group=nogroup\n"
        f"pid_file={place.folder}/pid\ndont_blame_nrpe=0\n",
    )
    return ["nrpe", "-f", "-c", config]


@server("beanstalkd", "beanstalkd", 11300, "beanstalkd")
def beanstalkd(place: Place) -> Command:
    """With no job."""
    return ["beanstalkd", "-l", place.address, "-p", str(place.port)]


@server("InfluxDB", "influxdb", 8086, "http")
def influxdb(place: Place) -> Command:
    """Open to everybody, as it comes."""
    config = place.write(
        "conf",
        f'reporting-disabled = true\nbind-address = "127.0.0.1:8088"\n[meta]\ndir = "{place.folder}/meta"\n'
        f'[data]\ndir = "{place.folder}/data"\nwal-dir = "{place.folder}/wal"\n[monitor]\nstore-enabled = false\n'
        f'[http]\nbind-address = "{place.address}:{place.port}"\n',
    )
    return ["influxd", "-config", config]


@server("Subversion", "subversion", 3690, "svn", tells=False)
def svnserve(place: Place) -> Command:
    """With no repository."""
    return ["svnserve", "-d", "--foreground", "--listen-host", place.address, "--listen-port", str(place.port)]


@server("Git", "git", 9418, "git", tells=False)
def git_daemon(place: Place) -> Command:
    """With no repository."""
    return [
        "/usr/lib/git-core/git-daemon", "--reuseaddr", f"--listen={place.address}", f"--port={place.port}",
        f"--base-path={place.make('empty')}",
    ]  # fmt: skip


@server("node_exporter", "prometheus-node-exporter", 9110, "http", tells=False)
def node_exporter(place: Place) -> Command:
    """The figures of this machine; not on 9100, its usual port, which may be a printer's and gets no question."""
    return ["prometheus-node-exporter", f"--web.listen-address={place.address}:{place.port}"]


@server("Prometheus", "prometheus", 9090, "http", tells=False)
def prometheus(place: Place) -> Command:
    """With nothing to ask."""
    config = place.write("conf.yml", "global: {}\n")
    return [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={place.folder}/data",
        f"--web.listen-address={place.address}:{place.port}",
    ]  # fmt: skip


@server("Monit", "monit", 2812, "http")
def monit(place: Place) -> Command:
    """With a password that nobody guesses."""
    config = place.write(
        "conf",
        f"set daemon 60\nset log /dev/stdout\nset pidfile {place.folder}/pid\nset idfile {place.folder}/id\n"
        f"set statefile {place.folder}/state\nset httpd port {place.port} and use address {place.address}\n"
        " allow admin:unguessable\n",
    )
    config.chmod(0o600)
    return ["monit", "-I", "-c", config]


@server("Munin", "munin-node", 4949, "munin")
def munin(place: Place) -> Command:
    """Which anybody may ask."""
    config = place.write(
        "conf",
        f"log_level 4\nlog_file {place.folder}/log\npid_file {place.folder}/pid\nbackground 0\nsetsid 0\nuser root\n"
        f"group root\nhost_name node.school.example\nallow ^.*$\nhost {place.address}\nport {place.port}\n",
    )
    return ["munin-node", "--config", config]


@server("upsd", "nut-server", 3493, "nut")
def upsd(place: Place) -> Command:
    """With no power supply."""
    place.write("etc/ups.conf", "")
    place.write("etc/upsd.users", "")
    place.write("etc/upsd.conf", f"LISTEN {place.address} {place.port}\nALLOW_NO_DEVICE 1\n")
    begin = "mkdir -p /run/nut && exec /lib/nut/upsd -FF -u root"
    return ["env", f"NUT_CONFPATH={place.folder}/etc", "sh", "-c", begin]


@server("apcupsd", "apcupsd", 3551, "apcupsd")
def apcupsd(place: Place) -> Command:
    """Whose power supply is out of reach."""
    config = place.write(
        "conf",
        f"## apcupsd.conf v1.1 ##\nUPSCABLE usb\nUPSTYPE net\nDEVICE 127.0.0.1:9\nLOCKFILE {place.folder}\n"
        f"NETSERVER on\nNISIP {place.address}\nNISPORT {place.port}\nSCRIPTDIR {place.make('scripts')}\n"
        f"PWRFAILDIR {place.folder}\nNOLOGINDIR {place.folder}\nUPSNAME u\n",
    )
    return ["apcupsd", "-b", "-f", config]
