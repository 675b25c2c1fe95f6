"""Servers of mail and talk."""

from tests.support.servers.model import Command, Place, server
from wire.types import Transport


@server("Postfix", "postfix", 25, "smtp", tells=False)
def postfix(place: Place) -> Command:
    """As Debian configures it, with TLS switched off."""
    queue = place.make("queue")
    data = place.make("data", "postfix")
    etc = place.make("etc")
    place.write(
        "etc/main.cf",
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\n"
        f"myhostname = mx.school.example\ninet_interfaces = {place.address}\ninet_protocols = ipv4\nalias_maps =\n"
        "maillog_file = /dev/stdout\nsmtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\n",
    )
    place.write(
        "etc/master.cf",
        "smtp inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nanvil unix - - n - 1 anvil\n"
        "rewrite unix - - n - - trivial-rewrite\npostlog unix-dgram n - n - 1 postlogd\n"
        "proxymap unix - - n - - proxymap\n",
    )
    return ["postfix", "-c", etc, "start-fg"]


@server("Exim", "exim4-daemon-light", 25, "smtp")
def exim(place: Place) -> Command:
    """With no router: it takes no mail."""
    for name in ("spool", "log"):
        place.make(name, "Debian-exim")
    config = place.write(
        "conf",
        f"primary_hostname = mx.school.example\nspool_directory = {place.folder}/spool\n"
        f"log_file_path = {place.folder}/log/%slog\npid_file_path = {place.folder}/pid\ntls_advertise_hosts =\n"
        f"local_interfaces = {place.address}\ndaemon_smtp_ports = {place.port}\nkeep_environment =\n",
    )
    return ["exim4", "-bdf", "-q1h", "-C", config]


@server("Dovecot", "dovecot-imapd", 143, "imap", tells=False, more_ports=(110,))
def dovecot(place: Place) -> Command:
    """IMAP and POP3 without TLS."""
    config = place.write(
        "conf",
        f"base_dir = {place.folder}/run\nstate_dir = {place.folder}/state\nprotocols = imap pop3\n"
        f"listen = {place.address}\nssl = no\nlog_path = /dev/stderr\n"
        "passdb {\n driver = static\n args = nopassword=n\n}\n"
        "userdb {\n driver = static\n args = uid=65534 gid=65534 home=/\n}\n",
    )
    return ["dovecot", "-F", "-c", config]


@server("ngIRCd", "ngircd", 6667, "irc", tells=False)
def ngircd(place: Place) -> Command:
    """As it comes."""
    config = place.write(
        "conf",
        f"[Global]\nName = irc.school.example\nInfo = x\nListen = {place.address}\nPorts = {place.port}\n"
        "AdminEMail = a@school.example\nServerUID = nobody\nServerGID = nogroup\nMotdPhrase = x\n"
        "[Options]\nIdent = no\nDNS = no\nPAM = no\n",
    )
    return ["ngircd", "-n", "-f", config]


@server("Kamailio", "kamailio", 5060, "sip")
def kamailio(place: Place) -> Command:
    """A SIP router that answers for itself, over TCP."""
    return _kamailio(place, "tcp")


@server("Kamailio", "kamailio", 5060, "sip", transport=Transport.UDP)
def kamailio_udp(place: Place) -> Command:
    """The same over UDP."""
    return _kamailio(place, "udp")


def _kamailio(place: Place, transport: str) -> Command:
    config = place.write(
        "conf",
        "#!KAMAILIO\nchildren=1\ntcp_children=1\nlog_stderror=yes\nauto_aliases=no\n"
        f'listen={transport}:{place.address}:{place.port}\nloadmodule "sl.so"\n'
        'request_route {\n sl_send_reply("404", "Not here");\n}\n',
    )
    return ["kamailio", "-DD", "-E", "-Y", place.folder, "-f", config]


@server("OpenSMTPD", "opensmtpd", 25, "smtp", tells=False)
def opensmtpd(place: Place) -> Command:
    """With nothing that it takes from others."""
    config = place.write(
        "conf",
        f"listen on {place.address} port {place.port} hostname mx.school.example\naction a relay\n"
        "match from local for any action a\n",
    )
    return ["smtpd", "-d", "-f", config]


@server("Dovecot Pigeonhole", "dovecot-managesieved", 4190, "sieve", tells=False)
def sieve(place: Place) -> Command:
    """Rules for mail, without TLS."""
    config = place.write(
        "conf",
        f"base_dir = {place.folder}/run\nstate_dir = {place.folder}/state\nprotocols = sieve\n"
        f"listen = {place.address}\nssl = no\nlog_path = /dev/stderr\n"
        "passdb {\n driver = static\n args = nopassword=n\n}\n"
        "userdb {\n driver = static\n args = uid=65534 gid=65534 home=/\n}\n",
    )
    return ["dovecot", "-F", "-c", config]
