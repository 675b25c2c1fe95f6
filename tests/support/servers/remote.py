"""Servers that let people in from afar."""

from pathlib import Path

from tests.support.servers.model import Command, Place, server
from wire.types import Transport


@server("OpenSSH", "openssh-server", 22, "ssh")
def openssh(place: Place) -> Command:
    """With a key of its own."""
    place.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place.folder / "key"])
    Path("/run/sshd").mkdir(exist_ok=True)
    options = ["-o", f"ListenAddress={place.address}:{place.port}", "-o", "PidFile=none"]
    return ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", place.folder / "key", *options]


@server("Dropbear SSH", "dropbear-bin", 22, "ssh")
def dropbear(place: Place) -> Command:
    """With a key of its own."""
    key = place.folder / "key"
    place.run(["dropbearkey", "-t", "ed25519", "-f", key])
    return ["dropbear", "-F", "-E", "-p", f"{place.address}:{place.port}", "-r", key, "-P", place.folder / "pid"]


@server("inetutils telnetd", "inetutils-telnetd", 23, "telnet", tells=False)
def telnetd(place: Place) -> Command:
    """Behind inetd, as always."""
    config = place.write(
        "conf", f"{place.address}:telnet stream tcp4 nowait root /usr/sbin/telnetd telnetd -E /bin/false\n"
    )
    return ["inetutils-inetd", "-d", config]


@server("", "tigervnc-standalone-server", 5901, "vnc", tells=False)
def tigervnc(place: Place) -> Command:
    """A desktop that anybody may see."""
    options = ["-interface", place.address, "-SecurityTypes", "None", "-AcceptSetDesktopSize=0", "-ac"]
    return ["env", f"HOME={place.folder}", "Xtigervnc", "-displayfd", "1", "-rfbport", str(place.port), *options]


@server("X.Org", "tigervnc-standalone-server", 6001, "X11", tells=False)
def x11(place: Place) -> Command:
    """A display that anybody may open windows on."""
    options = ["-interface", place.address, "-listen", "tcp", "-nolisten", "unix", "-ac", "-rfbport", "-1"]
    return ["env", f"HOME={place.folder}", "Xtigervnc", f":{place.port - 6000}", *options]


@server("xrdp", "xrdp", 3389, "ms-wbt-server", tells=False)
def xrdp(place: Place) -> Command:
    """With its own certificate and no session behind it."""
    config = place.write(
        "conf",
        f"[Globals]\nport=tcp://{place.address}:{place.port}\nsecurity_layer=negotiate\nfork=true\n"
        f"certificate={place.folder}/c\nkey_file={place.folder}/k\nmax_bpp=32\nautorun=\n"
        "[Logging]\nLogFile=/dev/null\nLogLevel=INFO\nEnableSyslog=false\n[Channels]\n"
        "[s]\nname=s\nlib=libvnc.so\nusername=ask\npassword=ask\nip=127.0.0.1\nport=-1\n",
    )
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=x"]
    place.run([*new, "-keyout", place.folder / "k", "-out", place.folder / "c"])
    return ["sh", "-c", f"mkdir -p /run/xrdp && xrdp-keygen xrdp /etc/xrdp/rsakeys.ini && exec xrdp -n -c {config}"]


@server("", "openvpn", 1194, "openvpn", transport=Transport.UDP, tells=False)
def openvpn(place: Place) -> Command:
    """With a certificate that nobody has."""
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=x"]
    place.run([*new, "-keyout", place.folder / "k", "-out", place.folder / "c"])
    return [
        "openvpn", "--dev", "null", "--tls-server", "--dh", "none", "--local", place.address,
        "--ca", place.folder / "c", "--cert", place.folder / "c", "--key", place.folder / "k", "--proto", "udp",
    ]  # fmt: skip


@server("coturn", "coturn", 3478, "stun", transport=Transport.UDP)
def coturn(place: Place) -> Command:
    """As it comes."""
    return [
        "turnserver", "-c", place.write("conf", ""), "-L", place.address, "-n", "--no-cli", "--no-tls", "--no-dtls",
        "--log-file=stdout", "--userdb", place.folder / "db", "--pidfile", place.folder / "pid",
    ]  # fmt: skip


@server("TinySSH", "tinysshd", 22, "ssh")
def tinyssh(place: Place) -> Command:
    """Behind inetd, with keys of its own."""
    place.run(["tinysshd-makekey", place.folder / "keys"])
    line = f"{place.address}:{place.port} stream tcp4 nowait root /usr/sbin/tinysshd tinysshd {place.folder}/keys\n"
    return ["inetutils-inetd", "-d", place.write("conf", line)]


@server("", "dante-server", 1080, "socks5", tells=False)
def dante(place: Place) -> Command:
    """A proxy for everybody."""
    config = place.write(
        "conf",
        f"logoutput: stdout\ninternal: {place.address} port = {place.port}\nexternal: lo\nclientmethod: none\n"
        "socksmethod: none\nuser.unprivileged: nobody\nclient pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
        "socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n",
    )
    return ["danted", "-f", config, "-p", place.folder / "pid"]
