"""Servers that serve a link: their neighbours find them by shouting, and we ask them at their own address."""

from tests.support.servers.model import Command, Place, server
from wire.types import Transport

_REGISTER = """
import pathlib, socket, subprocess, sys, time
door, words = sys.argv[1], sys.argv[2].split("|")
running = subprocess.Popen(sys.argv[3:])
while not pathlib.Path(door).exists():
    time.sleep(0.01)
with socket.socket(socket.AF_UNIX) as client:
    client.connect(door)
    client.sendall(b"\\x04" + b"".join(bytes([len(word)]) + word.encode() for word in words))
running.wait()
"""


@server("Samba", "samba", 137, "netbios-ns", transport=Transport.UDP, tells=False, on_link=True)
def nmbd(place: Place) -> Command:
    """The names of an office's file server."""
    kinds = ("private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir")
    config = place.write(
        "conf",
        f"[global]\nnetbios name = OFFICE-PC\nworkgroup = SCHOOL\ninterfaces = {place.address}/24\n"
        + "".join(f"{kind} = {place.folder}\n" for kind in kinds),
    )
    return ["nmbd", "-F", "--no-process-group", "-s", config, "-l", place.folder]


@server("", "avahi-daemon", 5353, "mdns", transport=Transport.UDP, tells=False, on_link=True)
def avahi(place: Place) -> Command:
    """A printer."""
    place.write("etc/avahi-daemon.conf", "[server]\nhost-name=printer\nuse-ipv6=no\nenable-dbus=no\n")
    place.write(
        "etc/services/printer.service",
        '<?xml version="1.0"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd"><service-group><name>x</name>'
        "<service><type>_ipp._tcp</type><port>631</port></service></service-group>",
    )
    mounts = f"mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && mount --bind {place.folder}/etc"
    daemon = "avahi-daemon --no-drop-root --no-chroot --no-rlimits"
    return ["unshare", "--mount", "sh", "-c", f"{mounts} /etc/avahi && exec {daemon}"]


@server("", "minissdpd", 1900, "ssdp", transport=Transport.UDP, tells=False, on_link=True)
def minissdpd(place: Place) -> Command:
    """One device, registered as the programs that it serves do."""
    door, kind = place.folder / "door", "upnp:rootdevice"
    words = (kind, f"uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8::{kind}", "Debian UPnP/1.1 Acme/2")
    place_of = f"http://{place.address}:8200/rootDesc.xml"
    daemon = ["minissdpd", "-d", "-i", place.interface, "-s", door, "-p", place.folder / "pid"]
    return ["python3", "-c", _REGISTER, door, "|".join((*words, place_of)), *daemon]


@server("", "dnsmasq-base", 67, "bootps", transport=Transport.UDP, tells=False, on_link=True)
def dnsmasq_dhcp(place: Place) -> Command:
    """Addresses for the link."""
    low = place.address.rpartition(".")[0]
    return [
        "dnsmasq", "-k", "--conf-file=/dev/null", "--port=0", "--user=root", f"--interface={place.interface}",
        f"--dhcp-range={low}.100,{low}.120,1h", f"--dhcp-leasefile={place.folder}/leases",
        f"--pid-file={place.folder}/pid",
    ]  # fmt: skip
