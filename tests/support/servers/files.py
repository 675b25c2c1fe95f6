"""Servers of files."""

from pathlib import Path

from tests.support.servers.model import Command, Place, server
from wire.types import Transport


@server("vsftpd", "vsftpd", 21, "ftp")
def vsftpd(place: Place) -> Command:
    """As it comes."""
    empty = place.make("empty")
    config = place.write(
        "conf",
        f"listen=YES\nlisten_address={place.address}\nlisten_port={place.port}\nbackground=NO\nsecure_chroot_dir={empty}\n",
    )
    return ["vsftpd", config]


@server("ProFTPD", "proftpd-core", 21, "ftp", tells=False)
def proftpd(place: Place) -> Command:
    """As Debian configures it."""
    config = place.write(
        "conf",
        f'ServerName "Debian"\nServerType standalone\nDefaultAddress {place.address}\nSocketBindTight on\n'
        f"Port {place.port}\n"
        f"User nobody\nGroup nogroup\nPidFile {place.folder}/pid\nScoreboardFile {place.folder}/score\n"
        f"UseReverseDNS off\nWtmpLog off\nSystemLog {place.folder}/log\nTransferLog none\nUseIPv6 off\n",
    )
    return ["proftpd", "-n", "-c", config]


@server("Pure-FTPd", "pure-ftpd", 21, "ftp", tells=False)
def pure_ftpd(place: Place) -> Command:
    """As it comes."""
    return ["pure-ftpd", "-S", f"{place.address},{place.port}", "-g", place.folder / "pid", "-4"]


@server("rsync", "rsync", 873, "rsync", tells=False)
def rsync(place: Place) -> Command:
    """With no module."""
    config = place.write("conf", f"use chroot = no\npid file = {place.folder}/pid\n")
    return [
        "rsync",
        "--daemon",
        "--no-detach",
        f"--address={place.address}",
        f"--port={place.port}",
        f"--config={config}",
    ]


@server("Samba", "samba", 445, "microsoft-ds", tells=False)
def samba(place: Place) -> Command:
    """With no share."""
    places = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
    config = place.write(
        "smb.conf",
        f"[global]\nsmb ports = {place.port}\ninterfaces = {place.address}/32\nbind interfaces only = yes\n"
        f"log file = {place.folder}/log\n" + "\n".join(f"{name} = {place.folder}" for name in places),
    )
    return ["smbd", "-F", "--no-process-group", "-s", config]


@server("", "samba", 135, "msrpc", tells=False)
def samba_rpc(place: Place) -> Command:
    """Its remote procedures, by the door that Windows has."""
    command = samba(place)
    with Path(command[-1]).open("a", encoding="utf-8") as config:
        config.write("\nrpc start on demand helpers = false\n")
    return ["/usr/libexec/samba/samba-dcerpcd", "--libexec-rpcds", "-F", "-i", "-s", command[-1]]


@server("", "tftpd-hpa", 69, "tftp", transport=Transport.UDP, tells=False)
def tftpd(place: Place) -> Command:
    """With an empty folder."""
    return ["in.tftpd", "-L", "-4", "-a", f"{place.address}:{place.port}", "-u", "nobody", "-s", place.make("files")]


@server("inetutils ftpd", "inetutils-ftpd", 21, "ftp")
def ftpd(place: Place) -> Command:
    """Behind inetd, as always."""
    config = place.write("conf", f"{place.address}:{place.port} stream tcp4 nowait root /usr/sbin/ftpd ftpd\n")
    return ["inetutils-inetd", "-d", config]


@server("", "tgt", 3260, "iscsi", tells=False)
def tgt(place: Place) -> Command:
    """With a target, and no disk in it."""
    target = "tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2026-11.example.school:disk"
    begin = f"mkdir -p /run/tgtd; {{ until {target} 2>/dev/null; do sleep 0.1; done & }}"
    return ["sh", "-c", f"{begin}; exec tgtd -f --iscsi portal={place.address}:{place.port}"]
