"""The helper on whole links: who is there, whatever they answer to; nobody else is asked; liars cost little."""

import dataclasses
import json
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import pytest

from probes.kit.errors import CannotRun
from probes.kit.raw.link import work
from probes.kit.raw.link.client import find_hosts
from probes.kit.raw.link.messages import MOST_UNASKED, Heard, LinkDone, LinkJob, LinkTask
from probes.kit.raw.packets.frames import checksum, ethernet, ipv6, pseudo_header
from probes.kit.raw.packets.states import State
from tests.raw.lab import LAB, scan, scope, usable
from tests.raw.link_wild import WildMachine, arp_reply, wild_machine
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import wait_until

GROUPS = ("mld", "echo", "opt80")
FLOOD = 20_000


@dataclasses.dataclass
class Found:
    """All that one run said: methods and MACs of each address."""

    methods: dict[str, set[str]]
    macs: dict[str, set[str]]
    done: LinkDone


def find(space: Namespace, *tasks: LinkTask, **more: object) -> Found:
    settings: dict[str, object] = {"scope": scope(*LAB), "rate": 1e6, "seconds": 60.0, **more}
    job = LinkJob(tasks, **settings)  # type: ignore[arg-type]
    methods, macs, done = defaultdict(set), defaultdict(set), None
    for said in space.call(lambda: list(find_hosts(job))):
        if isinstance(said, Heard):
            methods[said.address].add(said.method)
            macs[said.address] |= {said.mac} - {""}
        elif isinstance(said, LinkDone):
            done = said
    assert done is not None
    return Found(dict(methods), dict(macs), done)


def hosts_of(at: Attachment) -> tuple[str, ...]:
    """Every address of the attachment's IPv4 prefix but the two that no host can have."""
    return tuple(map(str, list(at.v4.network.hosts())[1:]))


def mac_of(space: Namespace, interface: str) -> str:
    [link] = json.loads(space.run(["ip", "-json", "link", "show", "dev", interface]).stdout)
    return str(link["address"])


@pytest.fixture
def pair(netns: Namespaces) -> tuple[Namespace, Namespace, Attachment]:
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    usable(here, there)
    return here, there, mine


@pytest.fixture
def wild(pair: tuple[Namespace, Namespace, Attachment]) -> Iterator[tuple[Namespace, WildMachine, Attachment]]:
    """Us, and a machine that answers as the test wants, next to the honest kernel of its namespace."""
    here, there, mine = pair
    with wild_machine(there, mine.interface) as machine:
        yield here, machine, mine


def test_everyone_on_a_link_whatever_they_refuse_to_answer(netns: Namespaces) -> None:
    here, *others = [netns() for _ in range(5)]
    plain, no_ping, only_v6, silent = others
    at = netns.lan(here, *others)
    interface = at[0].interface
    usable(here, *others)
    no_ping.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    no_ping.sysctl("net.ipv6.icmp.echo_ignore_multicast", 1)
    only_v6.run(["ip", "-4", "address", "flush", "dev", interface])
    for kind in ("ip", "ip6"):
        silent.run(["nft", f"table {kind} f {{ chain i {{ type filter hook input priority 0; policy drop; }}; }}"])
    link_local = {}
    for space in others:
        listed = space.run(["ip", "-6", "-brief", "address", "show", "dev", interface, "scope", "link"]).stdout
        link_local[space] = listed.split()[2].partition("/")[0]
    six = str(next(at[0].v6.network.subnets(new_prefix=120)))
    found = find(here, LinkTask(interface, (*hosts_of(at[0]), six), GROUPS))
    macs = {space: mac_of(space, interface) for space in others}
    for number, space in enumerate(others, 1):
        v4, v6 = str(at[number].v4.ip), str(at[number].v6.ip)
        zoned = f"{link_local[space]}%{interface}"
        if space is only_v6:
            assert v4 not in found.methods
        else:
            assert found.methods[v4] == {"arp"}
            assert found.macs[v4] == {macs[space]}
        if space is silent:  # not even ND gets through its filter
            assert v6 not in found.methods
            continue
        assert found.methods[v6] >= {"nd", "opt80"}
        assert found.macs[v6] == {macs[space]}
        assert found.methods[zoned] >= {"mld", "opt80"}
        assert found.macs[zoned] == {macs[space]}
        assert ("echo" in found.methods[v6]) is (space is not no_ping)
    # The switch has link-local addresses of its own, and nobody else has any.
    assert {name for name in found.methods if not name.startswith("fe80")} == {
        str(address.ip)
        for space, place in zip(others, at[1:], strict=True)
        for address in (place.v4, place.v6)
        if (space, address.version) not in {(only_v6, 4), (silent, 6)}
    }
    assert found.done.complete
    assert not found.done.lossy
    assert plain.run(["ip", "neigh", "show", "nud", "permanent"]).stdout == ""


def test_hosts_behind_a_router_answer_an_echo(netns: Namespaces) -> None:
    here, router, beyond = netns(), netns(), netns()
    _, gateway = netns.link(here, router)
    back, far = netns.link(router, beyond)
    usable(here, router, beyond)
    router.sysctl("net.ipv4.ip_forward", 1)
    router.sysctl("net.ipv6.conf.all.forwarding", 1)
    for space, via in ((here, gateway), (beyond, back)):
        space.run(["ip", "route", "add", "default", "via", str(via.v4.ip)])
        space.run(["ip", "-6", "route", "add", "default", "via", str(via.v6.ip)])
    targets = (str(far.v4.ip), str(far.v4.ip + 1), str(far.v6.ip), str(far.v6.ip + 1))
    found = find(here, echo=targets, wait=0.5)
    assert found.methods == {str(far.v4.ip): {"icmp"}, str(far.v6.ip): {"icmp"}}
    # Without all ports in scope nothing goes that has no port.
    assert find(here, echo=targets, scope=scope(*LAB, ports="80")).done.sent == 0


@pytest.mark.parametrize("value", ["198.18.1.0/29", "198.18.1.64/26", "198.18.1.9", "198.18.2.0/24"])
def test_nobody_outside_the_scope_is_asked_for(wild: tuple[Namespace, WildMachine, Attachment], value: str) -> None:
    here, machine, mine = wild
    six = "2001:db8:1::40/124"
    found = find(here, LinkTask(mine.interface, (str(mine.v4.network), "2001:db8:1::/120")), scope=scope(value, six))
    allowed = set(map(str, ip_network(value))) & set(map(str, mine.v4.network)) - {str(mine.v4.ip)}
    others = set(map(str, ip_network(six)))
    wait_until(lambda: (machine.asked_by_arp(), machine.asked_by_nd()) == (allowed, others), "they and nobody else")
    assert set(found.methods) <= allowed | others


def test_a_group_is_asked_only_where_the_job_says_so(wild: tuple[Namespace, WildMachine, Attachment]) -> None:
    here, machine, mine = wild
    machine.seen.clear()
    find(here, LinkTask(mine.interface, ("198.18.1.2",)))
    kinds = {frame[54] for frame in machine.seen if frame[12:14] == b"\x86\xdd" and frame[20] == 58}
    assert not kinds & {128, 130}
    queries = [frame for frame in machine.seen if frame[12:14] == b"\x86\xdd" and frame[20] == 0 and frame[62] == 130]
    assert queries == []


def test_forged_arp_replies_for_addresses_that_nobody_asked_for(
    wild: tuple[Namespace, WildMachine, Attachment],
) -> None:
    here, machine, mine = wild
    group, zero = b"\x01\x00\x5e\0\0\1", bytes(6)

    def lie(frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x08\x06":
            return []
        return [
            arp_reply(frame, machine.hardware, "198.18.9.9"),
            arp_reply(frame, machine.hardware, "198.18.1.200"),
            arp_reply(frame, group),
            arp_reply(frame, zero),
            arp_reply(frame, machine.hardware)[:30],
        ]

    machine.answer = lie
    asked = tuple(f"198.18.1.{number}" for number in range(2, 12))
    found = find(here, LinkTask(mine.interface, asked))
    assert set(found.methods) == {"198.18.1.2"}  # the honest kernel of that namespace
    assert found.done.unasked > 0


def test_two_machines_that_claim_one_address_are_both_told(
    wild: tuple[Namespace, WildMachine, Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, machine, mine = wild
    impostors = [bytes([2, 0, 0, 0, 0, number]) for number in range(40)]
    machine.answer = lambda frame: (
        [arp_reply(frame, impostor) for impostor in impostors] if frame[12:14] == b"\x08\x06" else []
    )

    def macs(seconds: float) -> tuple[set[str], set[str]]:
        monkeypatch.setattr(work, "_SECOND_CLAIM_SECONDS", seconds)
        found = find(here, LinkTask(mine.interface, ("198.18.1.2", "198.18.1.7")))
        return found.macs["198.18.1.2"], found.macs["198.18.1.7"]

    held, free = given_time(macs, lambda found: min(map(len, found)) > 1, first=0.05, enough=5)
    assert len(held) > 1
    assert 1 < len(free) <= 5


def test_a_flood_of_arp_replies_ends_in_bounded_time_and_proves_no_absence(
    wild: tuple[Namespace, WildMachine, Attachment],
) -> None:
    here, machine, mine = wild
    machine.answer = lambda frame: (
        [arp_reply(frame, machine.hardware, f"198.18.{number >> 8 & 255}.{number & 255}") for number in range(FLOOD)]
        if frame[12:14] == b"\x08\x06" and frame[38:42] == socket.inet_aton("198.18.1.3")
        else []
    )
    found = find(here, LinkTask(mine.interface, ("198.18.1.2", "198.18.1.3")), seconds=30.0, wait=0.5)
    assert set(found.methods) <= {"198.18.1.2", "198.18.1.3"}
    assert found.done.seconds < 35
    assert found.done.unasked + found.done.dropped > 0  # it may be done before the flood is


def test_someone_who_invents_addresses_is_believed_to_a_bound_only(
    wild: tuple[Namespace, WildMachine, Attachment],
) -> None:
    here, machine, mine = wild
    many = MOST_UNASKED + 2000

    def invent(frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x86\xdd" or frame[20] != 58 or frame[54] != 128:
            return []
        reply = bytes([129, 0, 0, 0]) + frame[58:]
        answers = []
        for number in range(many if not machine.answered else 0):  # type: ignore[attr-defined]
            source = socket.inet_pton(socket.AF_INET6, "fe80::")[:12] + struct.pack("!I", number + 1)
            total = checksum(pseudo_header(source, frame[22:38], 58, len(reply)) + reply)
            packet = ipv6(source, frame[22:38], 58, reply[:2] + struct.pack("!H", total) + reply[4:])
            answers.append(ethernet(frame[6:12], machine.hardware, 0x86DD) + packet)
        machine.answered = True  # type: ignore[attr-defined]
        return answers

    machine.answered = False  # type: ignore[attr-defined]
    machine.answer = invent
    found = find(here, LinkTask(mine.interface, (), ("echo",)))
    assert 100 < len(found.methods) <= MOST_UNASKED + 2
    assert found.done.lossy == (mine.interface,)


def test_a_reply_without_our_mark_is_nobodys(wild: tuple[Namespace, WildMachine, Attachment]) -> None:
    here, machine, mine = wild

    def forge(frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x86\xdd" or frame[20] != 58 or frame[54] != 128:
            return []
        wrong = [frame[58:60], frame[60:62], frame[62:70], frame[70:]]
        answers = []
        for number in range(4):
            parts = [part if place != number else bytes(len(part)) for place, part in enumerate(wrong)]
            reply = bytes([129, 0, 0, 0]) + b"".join(parts)
            source = ip_address(f"fe80::bad:{number}").packed
            packet = ipv6(source, frame[22:38], 58, reply)
            answers.append(ethernet(frame[6:12], machine.hardware, 0x86DD) + packet)
        return answers

    machine.answer = forge
    found = find(here, LinkTask(mine.interface, (), ("echo",)))
    assert not [name for name in found.methods if "bad" in name]


CAMPUS = "198.18.200.0/24"
THERE = {f"198.18.200.{number}" for number in range(64)}


@pytest.fixture
def campus(
    pair: tuple[Namespace, Namespace, Attachment], needs: Callable[..., str]
) -> Callable[[str], tuple[Namespace, LinkTask]]:
    """`campus(rule)`: 64 hosts of a /24, behind a switch that does to ARP questions what the rule says."""
    here, there, mine = pair
    nft = needs("nft", package="nftables")
    there.run(["ip", "route", "add", "local", "198.18.200.0/26", "dev", "lo"])

    def behind(rule: str) -> tuple[Namespace, LinkTask]:
        there.run([nft, f"table arp lab {{ chain in {{ type filter hook input priority 0; {rule}; }}; }}"])
        return here, LinkTask(mine.interface, (CAMPUS,))

    return behind


def test_on_a_sound_link_two_questions_and_some_controls_are_enough(
    campus: Callable[[str], tuple[Namespace, LinkTask]],
) -> None:
    here, task = campus("accept")
    found = find(here, task)
    assert set(found.methods) == THERE
    assert found.done.sent == 256 + (256 - len(THERE)) + 32
    assert found.done.lossy == ()


def test_where_questions_get_lost_they_are_asked_again_until_it_is_unlikely_that_anybody_is_missing(
    campus: Callable[[str], tuple[Namespace, LinkTask]],
) -> None:
    here, task = campus("numgen random mod 100 < 30 drop")
    found = find(here, task, rate=5000.0)
    assert set(found.methods) == THERE
    assert found.done.lossy == ()
    assert found.done.sent > 256 + 3 * (256 - len(THERE))


def test_a_switch_that_limits_arp_is_asked_more_slowly(campus: Callable[[str], tuple[Namespace, LinkTask]]) -> None:
    here, task = campus("limit rate over 200/second burst 50 packets drop")
    found = find(here, task, rate=5000.0)
    assert set(found.methods) == THERE
    assert found.done.lossy == ()


def test_a_switch_that_cuts_us_off_makes_nobody_absent(campus: Callable[[str], tuple[Namespace, LinkTask]]) -> None:
    here, task = campus("quota over 3500 bytes drop")
    found = find(here, task, rate=5000.0)
    assert 0 < len(found.methods) < len(THERE)
    assert found.done.lossy == (task.interface,)
    assert found.done.sent < 256 * 4


def test_a_port_scan_calls_nobody_absent_behind_a_switch_that_cuts_us_off(
    campus: Callable[[str], tuple[Namespace, LinkTask]],
) -> None:
    here, task = campus("arp operation request quota over 3500 bytes drop")
    here.run(["ip", "route", "add", CAMPUS, "dev", task.interface])
    result = scan(here, [CAMPUS], "80", rate=5000.0)
    closed = {address for address in result.hosts if result.states(address) == {80: State.CLOSED}}
    assert closed
    assert closed < THERE
    for address in result.hosts.keys() - closed:
        assert (result.states(address), result.hosts[address].certain) == ({80: State.SILENT}, False)


def test_a_link_that_is_down_is_told(pair: tuple[Namespace, Namespace, Attachment]) -> None:
    here, _, mine = pair
    here.run(["ip", "link", "set", mine.interface, "down"])
    found = find(here, LinkTask(mine.interface, ("198.18.1.2",)))
    assert found.methods == {}
    [why] = found.done.down
    assert why.startswith(f"{mine.interface}: ")


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (LinkJob((LinkTask("nosuch0"),), ()), "interface: nosuch0"),
        (LinkJob((LinkTask("lo", ("x",)),), ()), "targets: 'x' does not appear"),
        (LinkJob((LinkTask("lo", ("2001:db8::/64",)),), ()), "over 65536 addresses"),
        (LinkJob((LinkTask("lo", (), ("shout",)),), ()), "groups: 'shout' is none of"),
        (LinkJob((), (), echo=("10.0.0.0/8",)), "over 65536 addresses"),
    ],
)
def test_a_job_that_cannot_be_done_says_why(netns: Namespaces, job: LinkJob, message: str) -> None:
    with pytest.raises(CannotRun, match=message):
        netns().call(lambda: list(find_hosts(job)))


def test_closing_the_iterator_ends_the_helper(pair: tuple[Namespace, Namespace, Attachment]) -> None:
    here, _, mine = pair

    def packet_sockets() -> int:
        with open("/proc/thread-self/net/packet", encoding="utf-8") as table:  # noqa: PTH123
            return len(table.readlines()) - 1

    def begin_and_stop() -> tuple[int, int]:
        wanted = LinkJob((LinkTask(mine.interface, hosts_of(mine)),), scope(*LAB), rate=20.0)
        said = find_hosts(wanted)
        next(said)
        during = packet_sockets()
        said.close()
        return during, packet_sockets()

    assert here.call(begin_and_stop) == (3, 0)


def test_without_the_capability_it_gives_the_reason(
    pair: tuple[Namespace, Namespace, Attachment], needs: Callable[..., str]
) -> None:
    here, _, mine = pair
    setpriv = needs("setpriv", package="util-linux")
    code = (
        "from probes.kit.raw.link.client import find_hosts\n"
        "from probes.kit.raw.link.messages import LinkJob, LinkTask\n"
        f"list(find_hosts(LinkJob((LinkTask({mine.interface!r}),), ())))"
    )
    done = here.run([setpriv, "--bounding-set", "-net_raw", "--", sys.executable, "-P", "-c", code], check=False)
    assert done.returncode != 0
    assert "no_raw_packets: CAP_NET_RAW" in done.stderr
