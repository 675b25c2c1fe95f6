"""A school's network made of real parts: who says what of itself, in namespaces on one switch."""

import socket
from pathlib import Path

from tests.support.netns import Attachment, Namespace
from tests.support.processes import Processes, Running, wait_until

_FOLDERS = ("private", "lock", "state", "cache", "pid", "ncalrpc")
_AVAHI = """
[server]
host-name={name}
enable-dbus=no
[publish]
publish-workstation=yes
"""
_SERVICE = """<?xml version="1.0"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>Drucker im Flur</name><service><type>_ipp._tcp</type><port>631</port>
<txt-record>ty=Acme LaserStar 9</txt-record><txt-record>usb_MFG=Acme</txt-record></service></service-group>
"""


def avahi(process: Processes, program: str, space: Namespace, folder: Path, name: str) -> Running:
    """An mDNS responder that calls itself `name` and offers a printer."""
    folder.mkdir()
    (folder / "run").mkdir()
    (folder / "etc" / "services").mkdir(parents=True)
    (folder / "etc" / "services" / "printer.service").write_text(_SERVICE, encoding="utf-8")
    config = folder / "etc" / "avahi-daemon.conf"
    config.write_text(_AVAHI.format(name=name), encoding="utf-8")
    # Its folders are compiled in; a mount namespace gives each of several daemons its own.
    mounts = (
        f"mkdir -p /run/avahi-daemon && mount --bind {folder}/run /run/avahi-daemon && "
        f"mount --bind {folder}/etc /etc/avahi && "
    )
    daemon = f"exec {program} --no-drop-root --no-chroot --no-rlimits -f {config}"
    return process(
        ["unshare", "--mount", "sh", "-c", mounts + daemon],
        netns=space,
        ready="established under name|Server startup complete",
    )


def nmbd(process: Processes, program: str, space: Namespace, at: Attachment, folder: Path, name: str) -> Running:
    """A NetBIOS name server."""
    folder.mkdir()
    settings = [f"netbios name = {name}", "workgroup = SCHOOL", f"interfaces = {at.interface}"]
    settings += ["bind interfaces only = yes", f"log file = {folder}/log"]
    for part in _FOLDERS:
        (folder / part).mkdir()
        word = {"private": "private dir", "ncalrpc": "ncalrpc dir"}.get(part, f"{part} directory")
        settings.append(f"{word} = {folder / part}")
    config = folder / "smb.conf"
    config.write_text("[global]\n" + "\n".join(settings) + "\n", encoding="utf-8")
    running = process([program, "-F", "--no-process-group", "-s", config, "-l", folder], netns=space)
    wait_until(lambda: bool(space.run(["ss", "-Huln", "sport = :137"]).stdout.strip()), "NetBIOS listens")
    return running


def wsdd(process: Processes, program: str, space: Namespace, at: Attachment, name: str) -> Running:
    """A WS-Discovery host."""
    words = [program, "-v", "-v", "-i", at.interface, "-n", name, "-w", "SCHOOL"]
    return process(words, netns=space, ready=r"scheduling Hello message via \S+ to \('239")


def minissdpd(
    process: Processes, program: str, space: Namespace, at: Attachment, folder: Path, uuid: str, server: str
) -> Running:
    """An SSDP server with one root device, registered as the programs that it serves do."""
    folder.mkdir()
    door = folder / "door"
    running = process([program, "-d", "-i", at.interface, "-s", door, "-p", folder / "pid"], netns=space)
    wait_until(door.exists, "the SSDP server listens")
    kind = "upnp:rootdevice"
    words = (kind, f"uuid:{uuid}::{kind}", server, f"http://{at.v4.ip}:8200/rootDesc.xml")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(door))
        client.sendall(b"\x04" + b"".join(bytes([len(word)]) + word.encode() for word in words))
        wait_until(lambda: _knows(door, kind), "the SSDP server knows the device")
    return running


def miniupnpd(process: Processes, program: str, space: Namespace, at: Attachment, folder: Path, uuid: str) -> Running:
    """A home router's UPnP server, which serves the description that it announces."""
    folder.mkdir()
    settings = {
        "ext_ifname": "lo", "listening_ip": at.interface, "ipv6_disable": "yes",
        "http_port": 0, "enable_natpmp": "no", "enable_upnp": "yes", "uuid": uuid, "friendly_name": "Flur-Router",
        "manufacturer_name": "Acme", "model_name": "Acme Gate 7", "model_number": 2, "serial": "AG7-00123",
    }  # fmt: skip
    config = folder / "miniupnpd.conf"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return process([program, "-d", "-f", config, "-P", folder / "pid"], netns=space, ready="HTTP listening on port")


def _knows(door: Path, kind: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(door))
        client.sendall(bytes([1, len(kind)]) + kind.encode())
        return client.recv(1)[0] > 0
