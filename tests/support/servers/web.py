"""Servers that speak HTTP."""

from tests.support.servers.model import Command, Place, server


@server("nginx", "nginx", 80, "http")
def nginx(place: Place) -> Command:
    """With access to nothing but its start page."""
    temporary = " ".join(
        f"{name}_temp_path {place.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = place.write(
        "conf",
        f"daemon off; pid {place.folder}/pid; error_log {place.folder}/error; worker_processes 1; "
        "events { worker_connections 4096; } "
        f"http {{ access_log off; {temporary} server {{ listen {place.address}:{place.port}; }} }}",
    )
    return ["nginx", "-c", config, "-e", place.folder / "error"]


@server("HTTPD", "apache2", 80, "http")
def apache(place: Place) -> Command:
    """With an empty root."""
    modules = "/usr/lib/apache2/modules"
    config = place.write(
        "conf",
        f"ServerRoot {place.folder}\nServerName x\nPidFile {place.folder}/pid\nErrorLog {place.folder}/error\n"
        f"Listen {place.address}:{place.port}\nLoadModule mpm_event_module {modules}/mod_mpm_event.so\n"
        f"LoadModule authz_core_module {modules}/mod_authz_core.so\nDocumentRoot {place.folder}\n",
    )
    return ["apache2", "-X", "-f", config]


@server("lighttpd", "lighttpd", 8080, "http")
def lighttpd(place: Place) -> Command:
    """With its own folder as root."""
    config = place.write(
        "conf", f'server.document-root="{place.folder}"\nserver.port={place.port}\nserver.bind="{place.address}"\n'
    )
    return ["lighttpd", "-D", "-f", config]


@server("HAProxy", "haproxy", 80, "http", tells=False)
def haproxy(place: Place) -> Command:
    """With no server behind it, so that the page is its own."""
    config = place.write(
        "conf",
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
        f"frontend f\n bind {place.address}:{place.port}\n default_backend b\nbackend b\n",
    )
    return ["haproxy", "-db", "-f", config]


@server("Squid", "squid", 3128, "http")
def squid(place: Place) -> Command:
    """As it comes, which forwards for nobody."""
    config = place.write(
        "conf",
        f"http_port {place.address}:{place.port}\npid_filename {place.folder}/pid\ncache_log {place.folder}/cache\n"
        f"access_log none\ncoredump_dir {place.folder}\nhttp_access deny all\npinger_enable off\nnetdb_filename none\n"
        "visible_hostname proxy\nshutdown_lifetime 0 seconds\n",
    )
    place.run(["chown", "proxy", place.folder])
    return ["squid", "-N", "-f", config]


@server("Tinyproxy", "tinyproxy", 8888, "http")
def tinyproxy(place: Place) -> Command:
    """As it comes."""
    config = place.write("conf", f"Port {place.port}\nListen {place.address}\nTimeout 60\nMaxClients 20\nUser nobody\n")
    return ["tinyproxy", "-d", "-c", config]


@server("CUPS", "cups-daemon", 631, "http")
def cups(place: Place) -> Command:
    """With no printer, open to the lab; it does not start without a door on loopback."""
    for name in ("root", "state", "cache", "spool"):
        place.make(name)
    files = place.write(
        "files",
        "".join(
            f"{key} {place.folder}/{name}\n"
            for key, name in (
                ("ServerRoot", "root"), ("StateDir", "state"), ("CacheDir", "cache"), ("RequestRoot", "spool"),
                ("AccessLog", "access"), ("ErrorLog", "error"), ("PageLog", "page"),
            )
        )
        + "SystemGroup root\n",
    )  # fmt: skip
    config = place.write(
        "conf",
        f"Listen 127.0.0.1:{place.port}\nListen {place.address}:{place.port}\nServerAlias *\nServerTokens Full\n"
        "DefaultAuthType None\nWebInterface Yes\n"
        "<Location />\nOrder allow,deny\nAllow all\n</Location>\n",
    )
    return ["cupsd", "-f", "-c", config, "-s", files]


@server("mini_httpd", "mini-httpd", 80, "http")
def mini_httpd(place: Place) -> Command:
    """With its own folder as root."""
    return ["mini_httpd", "-D", "-h", place.address, "-p", str(place.port), "-d", place.make("pages"), "-u", "nobody"]


@server("Icecast", "icecast2", 8000, "http")
def icecast(place: Place) -> Command:
    """With nothing on the air."""
    files, config = "/usr/share/icecast2", place.folder / "conf"
    place.write(
        "conf",
        "<icecast><authentication><source-password>unguessable</source-password><admin-user>x</admin-user>"
        "<admin-password>unguessable</admin-password></authentication><hostname>x</hostname>"
        f"<listen-socket><port>{place.port}</port><bind-address>{place.address}</bind-address></listen-socket>"
        f"<paths><basedir>{files}</basedir><webroot>{files}/web</webroot><adminroot>{files}/admin</adminroot>"
        f"<logdir>{place.make('log', 'nobody')}</logdir></paths><logging><errorlog>error</errorlog>"
        "<accesslog>access</accesslog></logging><security><chroot>0</chroot>"
        "<changeowner><user>nobody</user><group>nogroup</group></changeowner></security></icecast>",
    )
    return ["icecast2", "-c", config]


@server("Privoxy", "privoxy", 8118, "http", tells=False)
def privoxy(place: Place) -> Command:
    """As it comes."""
    config = place.write("conf", f"listen-address {place.address}:{place.port}\nconfdir /etc/privoxy\n")
    return ["privoxy", "--no-daemon", config]


@server("", "php-fpm", 9000, "fastcgi", tells=False)
def php_fpm(place: Place) -> Command:
    """Open to everybody, as it should never be."""
    config = place.write(
        "conf",
        "[global]\nerror_log = /dev/stderr\ndaemonize = no\n[www]\nuser = nobody\ngroup = nogroup\n"
        f"listen = {place.address}:{place.port}\npm = static\npm.max_children = 1\n",
    )
    return ["sh", "-c", f"exec /usr/sbin/php-fpm[0-9]* -F -R -y {config}"]
