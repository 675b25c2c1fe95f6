"""Databases, brokers and stores."""

from pathlib import Path

from tests.support.servers.model import Command, Place, server
from wire.types import Transport


@server("MariaDB", "mariadb-server", 3306, "mysql")
def mariadb(place: Place) -> Command:
    """With a user from elsewhere who may do nothing: otherwise it refuses every address before it greets."""
    data = place.make("data", "mysql")
    place.run(["mariadb-install-db", "--user=mysql", f"--datadir={data}", "--auth-root-authentication-method=normal"])
    users = place.write("users.sql", "CREATE USER IF NOT EXISTS 'nobody'@'%' IDENTIFIED BY 'none of all';\n")
    where = [f"--datadir={data}", f"--socket={data}/s", f"--pid-file={data}/p", f"--bind-address={place.address}"]
    return ["mariadbd", "--no-defaults", "--user=mysql", f"--port={place.port}", f"--init-file={users}", *where]


@server("PostgreSQL", "postgresql", 5432, "postgresql", tells=False)
def postgresql(place: Place) -> Command:
    """With nobody let in."""
    program = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = place.make("data", "postgres")
    place.run([*user, program.with_name("initdb"), "-D", data, "--no-sync"])
    (data / "pg_hba.conf").write_text("host all all all reject\n", encoding="ascii")
    return [*user, program, "-D", data, "-h", place.address, "-p", str(place.port), "-k", data]


@server("Redis", "redis-server", 6379, "redis")
def redis(place: Place) -> Command:
    """Open to everybody, as it is so often found."""
    return [
        "redis-server", "--port", str(place.port), "--bind", place.address, "--protected-mode", "no", "--save", "",
        "--dir", place.folder,
    ]  # fmt: skip


@server("Memcached", "memcached", 11211, "memcache")
def memcached(place: Place) -> Command:
    """As it comes."""
    return ["memcached", "-u", "nobody", "-l", place.address, "-p", str(place.port)]


@server("Memcached", "memcached", 11211, "memcache", transport=Transport.UDP)
def memcached_udp(place: Place) -> Command:
    """With the port that made floods."""
    return ["memcached", "-u", "nobody", "-l", place.address, "-U", str(place.port)]


@server("Mosquitto", "mosquitto", 1883, "mqtt")
def mosquitto(place: Place) -> Command:
    """Open to everybody."""
    return ["mosquitto", "-c", place.write("conf", f"listener {place.port} {place.address}\nallow_anonymous true\n")]


@server("NATS", "nats-server", 4222, "nats")
def nats(place: Place) -> Command:
    """Open to everybody."""
    return ["nats-server", "-a", place.address, "-p", str(place.port)]


@server("etcd", "etcd-server", 2379, "http")
def etcd(place: Place) -> Command:
    """Open to everybody, as it is so often found."""
    door = f"http://{place.address}:{place.port}"
    doors = [
        "--listen-client-urls",
        door,
        "--advertise-client-urls",
        door,
        "--listen-peer-urls",
        "http://127.0.0.1:2380",
    ]
    return ["etcd", "--data-dir", place.folder / "data", "--unsafe-no-fsync", *doors]


@server("PgBouncer", "pgbouncer", 6432, "postgresql", tells=False)
def pgbouncer(place: Place) -> Command:
    """With no database behind it."""
    config = place.write(
        "conf.ini",
        f"[databases]\nx = host=127.0.0.1 port=9\n[pgbouncer]\nlisten_addr={place.address}\n"
        f"listen_port={place.port}\nauth_type=any\nunix_socket_dir=\n",
    )
    return ["pgbouncer", "-u", "postgres", config]


@server("Gearman", "gearman-job-server", 4730, "gearman")
def gearmand(place: Place) -> Command:
    """With no job."""
    return ["gearmand", "-L", place.address, "-p", str(place.port), "-u", "root", "--log-file", "stderr"]
