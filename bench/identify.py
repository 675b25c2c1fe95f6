"""Service identification next to `nmap -sV` on the same real servers: accuracy first, then wall time.

Needs root, nmap, and the servers of requirements/debian.txt. Everything happens in two network namespaces of its own:
one owns 198.18.9.0/24 and runs real servers that answer on all of its addresses, the other asks them.

Accuracy: each kind of server once, on one address; right means product and version as installed, or the product where
the server tells nobody its version. Wall time: nginx and Redis on all 254 addresses.
"""

import os
import pwd
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET  # what nmap itself wrote
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.net import Net
from probes.kit.pacing import Pace
from probes.kit.scope import Scope
from probes.kit.services import identity
from probes.kit.services.drive import Drive
from tests.support.debian import find
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes
from wire.types import ScopeEntry

PREFIX = "198.18.9.0/24"
HOSTS = [f"198.18.9.{number}" for number in range(1, 255)]
MANY = {80: "nginx", 6379: "Redis"}
KINDS: dict[int, tuple[str, str, bool]] = {
    21: ("vsftpd", "vsftpd", True),
    22: ("OpenSSH", "openssh-server", True),
    25: ("Postfix", "postfix", False),
    53: ("BIND", "bind9", True),
    80: ("nginx", "nginx", True),
    110: ("Dovecot", "dovecot-pop3d", False),
    143: ("Dovecot", "dovecot-imapd", False),
    389: ("OpenLDAP", "slapd", False),
    445: ("Samba", "samba", False),
    631: ("CUPS", "cups-daemon", True),
    1883: ("Mosquitto", "mosquitto", True),
    3306: ("MariaDB", "mariadb-server", True),
    5432: ("PostgreSQL", "postgresql", False),
    6379: ("Redis", "redis-server", True),
    8080: ("HTTPD", "apache2", True),
    8081: ("lighttpd", "lighttpd", True),
    11211: ("Memcached", "memcached", True),
}
"""Port: product, Debian package, and whether the server tells its version."""


def lab(spaces: Namespaces, processes: Processes, folder: Path) -> Namespace:
    """Make the two namespaces and start the servers; give the namespace that asks."""
    asking, owning = spaces(), spaces()
    near, far = spaces.link(asking, owning)
    owning.run(["ip", "route", "add", "local", PREFIX, "dev", "lo"])
    owning.run(["ip", "address", "add", f"{HOSTS[0]}/32", "dev", "lo"])  # BIND listens on addresses, not on all
    asking.run(["ip", "route", "add", PREFIX, "via", str(far.v4.ip), "src", str(near.v4.ip)])
    _write(folder)
    for port, argv in _servers(folder).items():
        processes(argv, netns=owning, ready=lambda port=port: _listens(owning, port))  # type: ignore[misc]
    return asking


def _servers(folder: Path) -> dict[int, Sequence[str | Path]]:
    """Give the command of each server by a port that it listens on."""
    postgres = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    (folder / "pg").mkdir()
    os.chown(folder / "pg", pwd.getpwnam("postgres").pw_uid, -1)
    _run([*as_postgres, postgres.with_name("initdb"), "-D", folder / "pg"])
    (folder / "pg" / "pg_hba.conf").write_text("host all all all reject\n")
    (folder / "db").mkdir()
    os.chown(folder / "db", pwd.getpwnam("mysql").pw_uid, -1)
    _run(["mariadb-install-db", "--user=mysql", f"--datadir={folder}/db", "--auth-root-authentication-method=normal"])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "users.sql").write_text("CREATE USER IF NOT EXISTS 'nobody'@'%' IDENTIFIED BY 'none of all';\n")
    maria = [
        f"--init-file={folder}/users.sql",
        f"--datadir={folder}/db",
        f"--socket={folder}/db/s",
        f"--pid-file={folder}/db/p",
        "--bind-address=0.0.0.0",
    ]
    return {
        80: [_found("nginx"), "-c", folder / "nginx.conf", "-e", folder / "error"],
        6379: [_found("redis-server"), "--port", "6379", "--protected-mode", "no", "--save", "", "--dir", folder],
        21: [_found("vsftpd"), folder / "vsftpd.conf"],
        22: [_found("sshd"), "-D", "-e", "-f", "/dev/null", "-h", folder / "key", "-o", "PidFile=none"],
        25: [_found("postfix"), "-c", folder / "postfix", "start-fg"],
        53: [_found("named"), "-g", "-c", folder / "named.conf"],
        143: [_found("dovecot"), "-F", "-c", folder / "dovecot.conf"],
        389: [_found("slapd"), "-h", "ldap://0.0.0.0:389", "-f", folder / "slapd.conf", "-d", "0"],
        445: [_found("smbd"), "-F", "--no-process-group", "-s", folder / "smb.conf"],
        631: [_found("cupsd"), "-f", "-c", folder / "cupsd.conf", "-s", folder / "cups-files.conf"],
        1883: [_found("mosquitto"), "-c", folder / "mosquitto.conf"],
        3306: [_found("mariadbd"), "--no-defaults", "--user=mysql", "--port=3306", *maria],
        5432: [*as_postgres, postgres, "-D", folder / "pg", "-h", "0.0.0.0", "-k", folder / "pg"],  # noqa: S104 (in a namespace of its own)
        8080: [_found("apache2"), "-X", "-f", folder / "apache.conf"],
        8081: [_found("lighttpd"), "-D", "-f", folder / "lighttpd.conf"],
        11211: [_found("memcached"), "-u", "nobody", "-l", "0.0.0.0"],  # noqa: S104 (in a namespace of its own)
    }


def _write(folder: Path) -> None:
    """Write the configuration of each server."""
    for name in ("postfix", "queue", "data", "empty", "ldap", "root", "state", "cache", "spool", "smb"):
        (folder / name).mkdir()
    subprocess.run(["chown", "postfix", folder / "data"], check=True)
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    places = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
    modules = "/usr/lib/apache2/modules"
    texts = {
        "nginx.conf": f"daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1; events "
        f"{{ worker_connections 4096; }} http {{ access_log off; {temporary} server {{ listen 80; }} }}",
        "vsftpd.conf": f"listen=YES\nbackground=NO\nsecure_chroot_dir={folder}/empty\n",
        "postfix/main.cf": f"compatibility_level = 3.6\nqueue_directory = {folder}/queue\n"
        f"data_directory = {folder}/data\n"
        "myhostname = mx.school.example\ninet_interfaces = all\ninet_protocols = ipv4\nalias_maps =\n"
        "maillog_file = /dev/stdout\nsmtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\n",
        "postfix/master.cf": "smtp inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nanvil unix - - n - 1 anvil\n"
        "rewrite unix - - n - - trivial-rewrite\npostlog unix-dgram n - n - 1 postlogd\n"
        "proxymap unix - - n - - proxymap\n",
        "named.conf": f'options {{ directory "{folder}"; pid-file none; session-keyfile "{folder}/k"; listen-on'
        f" {{ any; }};"
        f' listen-on-v6 {{ none; }}; managed-keys-directory "{folder}"; recursion no; dnssec-validation no; }};'
        " controls { };\n",
        "dovecot.conf": f"base_dir = {folder}/run\nstate_dir = {folder}/state\nprotocols = imap pop3\n"
        "listen = *\nssl = no\n"
        "log_path = /dev/stderr\npassdb {\n driver = static\n args = nopassword=n\n}\n"
        "userdb {\n driver = static\n args = uid=65534 gid=65534 home=/\n}\n",
        "slapd.conf": "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        f"pidfile {folder}/sp\nargsfile {folder}/sa\ndatabase mdb\nsuffix dc=school,dc=example\n"
        f"directory {folder}/ldap\n",
        "smb.conf": "\n".join(
            [
                "[global]",
                "smb ports = 445",
                f"log file = {folder}/log",
                *(f"{place} = {folder}/smb" for place in places),
            ]
        ),
        "cups-files.conf": f"ServerRoot {folder}/root\nStateDir {folder}/state\nCacheDir {folder}/cache\n"
        f"RequestRoot {folder}/spool\nAccessLog {folder}/ca\nErrorLog {folder}/ce\nPageLog {folder}/cp\n"
        "SystemGroup root\n",
        "cupsd.conf": "Listen 0.0.0.0:631\nServerAlias *\nServerTokens Full\nDefaultAuthType None\nWebInterface Yes\n"
        "<Location />\nOrder allow,deny\nAllow all\n</Location>\n",
        "mosquitto.conf": "listener 1883 0.0.0.0\nallow_anonymous true\n",
        "apache.conf": f"ServerRoot {folder}\nServerName x\nPidFile {folder}/ap\nErrorLog {folder}/ae\n"
        "Listen 0.0.0.0:8080\n"
        f"LoadModule mpm_event_module {modules}/mod_mpm_event.so\n"
        f"LoadModule authz_core_module {modules}/mod_authz_core.so\nDocumentRoot {folder}\n",
        "lighttpd.conf": f'server.document-root="{folder}"\nserver.port=8081\nserver.bind="0.0.0.0"\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)


def _run(argv: Sequence[str | Path]) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=100, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def _found(program: str) -> str:
    path = find(program)
    if path is None:
        sys.exit(f"needs {program}; see requirements/debian.txt")
    return path


def _listens(space: Namespace, port: int) -> bool:
    return f":{port} " in space.run(["ss", "-Hltn", f"sport = :{port}"]).stdout


def installed(package: str) -> str:
    """Upstream version of an installed Debian package, without epoch and revision."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True
    )
    return re.split(r"[-+~]", shown.stdout.split(":", 1)[-1], maxsplit=1)[0]


def right(port: int, product: str, version: str) -> bool:
    """Tell whether a product and version are those installed; an empty version is right where the server tells none."""
    name, package, told = KINDS[port]
    if name.lower() not in product.lower():
        return False
    truth = installed(package)
    number = re.match(r"[\d.]+", version)
    if told:
        return number is not None and (truth.startswith(number[0].rstrip(".")) or number[0].startswith(truth))
    if port != 5432 or number is None:
        # A version that the server does not tell can only be a guess: it must not be a wrong one.
        return number is None or truth.startswith(number[0].rstrip("."))
    low, _, high = version.partition("-")
    return int(low.split(".")[0].split()[0]) <= int(truth.split(".")[0]) <= int((high or truth).strip().split(".")[0])


def net() -> Net:
    """Make a Net for the lab."""
    return Net(Scope((ScopeEntry(PREFIX, "benchmark", "own namespaces", None),)), pace=Pace(1e6))


def ours_kinds() -> dict[int, tuple[str, str]]:
    """Name each kind of server on one address."""
    known = by_key(built_in())
    named: dict[int, tuple[str, str]] = {}
    for result in Drive(net()).run([(HOSTS[0], port) for port in KINDS], time.monotonic() + 60):
        if result.heard is not None:
            found = identity.of(result.heard, known)
            named[result.port] = (found.product, found.version)
    return named


def nmap_kinds(space: Namespace) -> dict[int, tuple[str, str]]:
    """The same for nmap -sV."""
    ports = ",".join(map(str, KINDS))
    done = space.run(["nmap", "-n", "-Pn", "-sV", "-T4", "-p", ports, "-oX", "-", HOSTS[0]], seconds=300)
    named: dict[int, tuple[str, str]] = {}
    for port in ET.fromstring(done.stdout).iter("port"):  # noqa: S314 (what nmap wrote just now)
        service = port.find("service")
        if service is not None:
            named[int(port.get("portid", "0"))] = (service.get("product", ""), service.get("version", ""))
    return named


def ours() -> tuple[int, float]:
    """Count services named right on all hosts, and seconds of wall time, fingerprints loaded within it."""
    started = time.perf_counter()
    built_in.cache_clear()
    known = by_key(built_in())
    count = 0
    for result in Drive(net()).run([(host, port) for port in MANY for host in HOSTS], time.monotonic() + 60):
        named = identity.of(result.heard, known).product if result.heard else ""
        count += named == MANY[result.port]
    return count, time.perf_counter() - started


def nmap(space: Namespace) -> tuple[int, float]:
    """The same for nmap -sV -T4."""
    started = time.perf_counter()
    argv = ["nmap", "-n", "-Pn", "-sV", "-T4", "-p", ",".join(map(str, MANY)), "-oG", "-", PREFIX]
    done = space.run(argv, seconds=300)
    seconds = time.perf_counter() - started
    lines = [line for line in done.stdout.splitlines() if re.match(r"Host: 198\.18\.9\.(?!0 |255 )", line)]
    return sum(len(re.findall(r"/open/tcp//[^/]*//(?:nginx|Redis)", line)) for line in lines), seconds


def main() -> None:
    """Measure both in one run and print what each saw."""
    with tempfile.TemporaryDirectory(prefix="edusec-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        spaces, processes = Namespaces(), Processes(folder / "processes")
        try:
            asking = lab(spaces, processes, folder)
            kinds, peer_kinds = asking.call(ours_kinds), nmap_kinds(asking)
            count, seconds = asking.call(ours)
            peer_count, peer_seconds = nmap(asking)
        finally:
            processes.close()
            spaces.close()
    for port, (product, package, _) in KINDS.items():
        ours_said, nmap_said = kinds.get(port, ("", "")), peer_kinds.get(port, ("", ""))
        marks = ["right" if right(port, *said) else "wrong" for said in (ours_said, nmap_said)]
        print(f"{port:5} {product} {installed(package)}: edusec {ours_said} {marks[0]}, nmap {nmap_said} {marks[1]}")
    scores = [sum(right(port, *said.get(port, ("", ""))) for port in KINDS) for said in (kinds, peer_kinds)]
    total = len(HOSTS) * len(MANY)
    print(f"accuracy, named as installed: edusec {scores[0]}/{len(KINDS)}, nmap -sV {scores[1]}/{len(KINDS)}")
    print(f"identified right on {len(HOSTS)} hosts: edusec {count}/{total}, nmap -sV {peer_count}/{total}")
    print(f"wall: edusec {seconds:.2f} s, nmap -sV {peer_seconds:.2f} s, nmap/edusec {peer_seconds / seconds:.1f}")


if __name__ == "__main__":
    main()
