"""Network namespaces with made-up addresses (RFC 2544, RFC 3849), so that tests never touch a real network."""

import contextlib
import ctypes
import ipaddress
import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_CLONE_NEWNET = 0x40000000
_NAMES = Path("/run/netns")


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(args)}: {done.stderr.strip()}")


def why_not() -> str | None:
    """Reason why namespaces cannot be made here, or None when they can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    try:
        tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=10, check=False)
        version = subprocess.run(["ip", "-V"], capture_output=True, timeout=10, check=False)
    except FileNotFoundError as error:
        return f"needs {error.filename}: apt-get install {'iproute2' if error.filename == 'ip' else 'util-linux'}"
    return None if tried.returncode == version.returncode == 0 else "this root may not make network namespaces"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One interface of a namespace with its addresses."""

    interface: str
    v4: ipaddress.IPv4Interface
    v6: ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, with its loopback up and duplicate address detection off."""

    name: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words before a command that make it run inside; the command keeps the process id."""
        return ("ip", "netns", "exec", self.name)

    def run(
        self, argv: Sequence[str | os.PathLike[str]], *, check: bool = True, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end and return its output; a non-zero status raises unless check is off."""
        full = [*self.prefix, *(os.fspath(part) for part in argv)]
        done = subprocess.run(
            full, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{full}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def batch(self, lines: Iterable[str]) -> None:
        """Run many commands of ip(8) inside, in one process."""
        text = "\n".join(lines)
        full = [*self.prefix, "ip", "-batch", "-"]
        done = subprocess.run(full, input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"ip -batch: {done.stderr.strip()}")

    def sysctl(self, key: str, value: int | str) -> None:
        """Set one sysctl inside, for example net.ipv4.ip_forward."""
        self.call(Path("/proc/sys", *key.split(".")).write_text, str(value))

    def call(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a Python function inside, in a thread of its own, and return or raise what it does.

        Sockets made there stay inside afterwards. /proc/net shows the main thread's view: read /proc/thread-self/net.
        """
        result: list[_R] = []
        failure: list[BaseException] = []

        def inside() -> None:
            try:
                _enter(self.name)
                result.append(function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - handed to the caller below
                failure.append(error)

        thread = threading.Thread(target=inside, name=self.name)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]


def _enter(name: str) -> None:
    # os.setns exists only from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(_NAMES / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(_NAMES / name))
    finally:
        os.close(handle)


class Namespaces:
    """Makes namespaces for one test and removes all of them."""

    _numbers = itertools.count()  # names stay unique over all tests of one run

    def __init__(self) -> None:
        """Start with no namespace."""
        self._made: list[Namespace] = []
        self._subnets = itertools.count(1)
        self._indexes = itertools.count(100)

    def __call__(self, *, ipv6: bool = True) -> Namespace:
        """Make one namespace, joined to nothing; without `ipv6` like a machine on which it is switched off."""
        space = Namespace(f"edusec-{os.getpid()}-{next(self._numbers)}")
        _ip("netns", "add", space.name)
        self._made.append(space)
        if Path("/proc/sys/net/ipv6").exists():
            # Without this every new address is unusable for a second or two.
            for scope in ("all", "default"):
                space.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
                space.sysctl(f"net.ipv6.conf.{scope}.dad_transmits", 0)
                space.sysctl(f"net.ipv6.conf.{scope}.accept_ra", 0)
                space.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", int(not ipv6))
        _ip("-n", space.name, "link", "set", "lo", "up")
        return space

    def link(self, left: Namespace, right: Namespace) -> tuple[Attachment, Attachment]:
        """Join two namespaces by a veth pair; left gets .1 and ::1 of a fresh subnet, right .2 and ::2."""
        subnet = next(self._subnets)
        interface = f"veth{subnet}"
        self._pair(left, interface, right, interface)
        return _attach(left, interface, subnet, 1), _attach(right, interface, subnet, 2)

    def lan(self, *hosts: Namespace) -> tuple[Attachment, ...]:
        """Join namespaces to one switched segment of a fresh subnet, in order .1 and ::1, .2 and ::2, ..."""
        subnet = next(self._subnets)
        switch = self()
        _ip("-n", switch.name, "link", "add", "name", "br0", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", switch.name, "link", "set", "br0", "up")
        attached = []
        for number, host in enumerate(hosts, start=1):
            interface, port = f"veth{subnet}", f"port{number}"
            self._pair(host, interface, switch, port)
            _ip("-n", switch.name, "link", "set", port, "master", "br0", "up")
            attached.append(_attach(host, interface, subnet, number))
        return tuple(attached)

    def _pair(self, left: Namespace, here: str, right: Namespace, there: str) -> None:
        """Make a veth pair whose ends have unlike indexes.

        With one index for both, as in fresh namespaces, the kernel takes them for one device that has no peer, and puts
        off the news that the second has a carrier, and with it its IPv6 address, for up to a second (linkwatch).
        """
        first, second = (str(next(self._indexes)) for _ in range(2))
        _ip(
            *("link", "add", "name", here, "index", first, "netns", left.name),
            *("type", "veth", "peer", "name", there, "index", second, "netns", right.name),
        )

    def close(self) -> None:
        """Remove every namespace made here; whatever was left running inside is ended first."""
        failures = []
        for space in reversed(self._made):
            try:
                _remove(space.name)
            except RuntimeError as error:
                failures.append(str(error))
        self._made.clear()
        if failures:
            raise RuntimeError("; ".join(failures))


def _attach(space: Namespace, interface: str, subnet: int, host: int) -> Attachment:
    v4 = ipaddress.IPv4Interface(f"198.18.{subnet}.{host}/24")
    v6 = ipaddress.IPv6Interface(f"2001:db8:{subnet:x}::{host:x}/64")
    _ip("-n", space.name, "address", "add", str(v4), "dev", interface)
    _ip("-n", space.name, "address", "add", str(v6), "dev", interface, "nodad")
    _ip("-n", space.name, "link", "set", interface, "up")
    return Attachment(interface, v4, v6)


def _remove(name: str) -> None:
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, timeout=30, check=False)
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    _ip("netns", "delete", name)


def remove_leftovers() -> None:
    """Remove namespaces of earlier test runs whose process is gone (a run that was itself killed)."""
    for entry in _NAMES.glob("edusec-*-*"):
        owner = entry.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists():
            _remove(entry.name)
