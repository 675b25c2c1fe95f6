"""Servers that tests of probes talk to: named and nginx inside a namespace, and small ones that misbehave."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.netns import Namespace
from tests.support.processes import Processes, Running

_NAMED = """
options {{
  directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key"; managed-keys-directory "{folder}";
  listen-on {{ {four} }}; listen-on-v6 {{ {six} }};
  recursion no; dnssec-validation no; minimal-responses yes; notify no; max-records-per-type 0;
}};
controls {{ }};
zone "{origin}" {{ type primary; file "{folder}/zone"; check-names ignore; }};
"""

_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
{servers}
}}
"""


def named(
    process: Processes, program: str, space: Namespace, folder: Path, zone: str, *, four: str = "", six: str = ""
) -> Running:
    """Serve one zone, `school.example`, on the given addresses at port 53."""
    folder.mkdir(exist_ok=True)
    (folder / "zone").write_text(
        f"$ORIGIN school.example.\n$TTL 60\n@ SOA ns a 1 60 60 60 60\n@ NS ns\nns A 198.18.0.1\n{zone}"
    )
    options = {"four": f"{four};" if four else "none;", "six": f"{six};" if six else "none;"}
    (folder / "named.conf").write_text(_NAMED.format(folder=folder, origin="school.example", **options))
    return process([program, "-g", "-c", folder / "named.conf"], netns=space, ready=r"running\n")


def nginx(process: Processes, program: str, space: Namespace, folder: Path, servers: str, *, port: int) -> Running:
    """Serve the given `server` blocks; ready once `port` listens."""
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, servers=servers))
    return process([program, "-p", folder, "-c", folder / "nginx.conf"], netns=space, ready=port)


@contextlib.contextmanager
def udp_server(answer: Callable[[bytes], list[bytes]], *, port: int = 0) -> Iterator[int]:
    """Answer each datagram on 127.0.0.1 with what a function says; gives the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", port))
        line.settimeout(0.05)
        end = threading.Event()

        def serve() -> None:
            while not end.is_set():
                with contextlib.suppress(TimeoutError):
                    query, peer = line.recvfrom(4096)
                    for datagram in answer(query):
                        line.sendto(datagram, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield line.getsockname()[1]
        finally:
            end.set()
            thread.join()


def wait_for_end(connection: socket.socket) -> None:
    """Say and read nothing until the peer has left."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll(60_000)


@contextlib.contextmanager
def tcp_server(talk: Callable[[socket.socket], None], *, port: int = 0, host: str = "127.0.0.1") -> Iterator[int]:
    """Let a function talk on each connection, one after the other; gives the port. Whatever the peer does is fine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        listening.settimeout(0.05)
        end = threading.Event()

        def serve() -> None:
            while not end.is_set():
                try:
                    connection = listening.accept()[0]
                except TimeoutError:
                    continue
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(60)
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            end.set()
            thread.join()
