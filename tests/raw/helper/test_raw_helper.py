"""The helper's life: what it may do, how it ends, and what it says when it cannot work."""

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from probes.kit.errors import CannotRun
from probes.kit.raw.helper.messages import BadJob, Progress
from probes.kit.raw.packets.states import State
from probes.kit.raw.syn import client
from probes.kit.raw.syn.client import Opened
from probes.kit.raw.syn.messages import Job
from probes.kit.raw.syn.plan import make_plan
from tests.raw.lab import LAB, job, scan, scope
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes, helpers_of, wait_until
from wire.codec import encode

_DRIVER = """
import sys
from pathlib import Path
from probes.kit.raw.syn import client
from probes.kit.raw.syn.messages import Job
from wire.codec import decode
for said in client.run(decode(Job, Path(sys.argv[1]).read_bytes())):
    print(said, flush=True)
"""


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _packet_sockets(space: Namespace) -> int:
    return space.call(lambda: len(Path("/proc/thread-self/net/packet").read_text(encoding="utf-8").splitlines()) - 1)


@pytest.fixture
def slow(netns: Namespaces, process: Processes, tmp_path: Path) -> tuple[Namespace, int, int]:
    """A namespace where a run takes minutes: the namespace, the process that asked for it, and its helper."""
    space = netns()
    _, there = netns.link(space, netns())
    wanted = tmp_path / "job"
    wanted.write_bytes(encode(job([str(there.v4.ip)], "1-60000", rate=200.0)))
    asking = process([sys.executable, "-P", "-c", _DRIVER, str(wanted)], netns=space, ready="Progress")
    [helper] = helpers_of(asking.pid)
    return space, asking.pid, helper


def test_the_helper_holds_nothing_while_it_reads_packets(slow: tuple[Namespace, int, int]) -> None:
    _, _, helper = slow
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{helper}/status").read_text(encoding="utf-8").splitlines()
    )
    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Groups"].split() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_helper_ends_with_its_parent_and_leaves_nothing(slow: tuple[Namespace, int, int], number: int) -> None:
    space, asking, helper = slow
    assert _packet_sockets(space) >= 2
    rules = space.run(["ip", "neigh"]).stdout
    os.kill(asking, number)
    wait_until(lambda: _gone(helper), "the helper ended")
    wait_until(lambda: _packet_sockets(space) == 0, "its sockets are closed")
    assert space.run(["ip", "neigh"]).stdout.count("PERMANENT") == rules.count("PERMANENT") == 0


def test_closing_the_iterator_ends_the_helper(netns: Namespaces) -> None:
    space = netns()
    _, there = netns.link(space, netns())

    def begin_and_stop() -> list[int]:
        said = client.run(job([str(there.v4.ip)], "1-60000", rate=200.0))
        next(said)
        running = helpers_of(os.getpid())
        said.close()
        return running

    [helper] = space.call(begin_and_stop)
    assert not Path(f"/proc/{helper}").exists()
    assert _packet_sockets(space) == 0


def test_it_gives_signs_of_life_and_can_be_ended_while_it_looks_for_hosts_on_the_link(netns: Namespaces) -> None:
    space = netns()
    _, there = netns.link(space, netns())
    absent = [str(there.v4.network[number]) for number in range(10, 110)]

    def begin_and_stop() -> tuple[object, list[int]]:
        said = client.run(job(absent, "1-10", rate=1.0))  # four questions every four seconds
        first = next(said)
        running = helpers_of(os.getpid())
        said.close()
        return first, running

    first, [helper] = space.call(begin_and_stop)
    assert first == Progress(0, 1000, 0, 0.0)
    assert not Path(f"/proc/{helper}").exists()


def test_where_nothing_can_be_started_it_says_so(netns: Namespaces) -> None:
    space = netns()
    _, there = netns.link(space, netns())
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    highest = os.dup(0)
    os.close(highest)
    for spare in range(5):  # not one descriptor is left, then one, and so on
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + spare, hard))
        try:
            with pytest.raises(CannotRun, match="engine_failed: it cannot be started: Too many open files"):
                list(client.run(job([str(there.v4.ip)], "80")))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_ctrl_c_is_the_parents_to_decide(slow: tuple[Namespace, int, int]) -> None:
    _, _, helper = slow
    os.kill(helper, signal.SIGINT)
    assert Path(f"/proc/{helper}").exists()
    status = Path(f"/proc/{helper}/status").read_text(encoding="utf-8")
    ignored = int(status.partition("SigIgn:\t")[2].split()[0], 16)
    assert ignored & 1 << signal.SIGINT - 1


def test_a_helper_that_is_killed_is_an_error_not_a_result(netns: Namespaces) -> None:
    space = netns()
    _, there = netns.link(space, netns())

    def kill_it() -> None:
        for _ in client.run(job([str(there.v4.ip)], "1-60000", rate=200.0)):
            for helper in helpers_of(os.getpid()):
                os.kill(helper, signal.SIGKILL)

    with pytest.raises(CannotRun, match="ended early"):
        space.call(kill_it)


def test_no_other_program_gets_the_source_ports(slow: tuple[Namespace, int, int]) -> None:
    space, _, helper = slow
    inodes = {
        target.removeprefix("socket:[").removesuffix("]")
        for entry in Path(f"/proc/{helper}/fd").iterdir()
        if (target := str(entry.readlink())).startswith("socket:")
    }
    table = space.call(Path("/proc/thread-self/net/tcp6").read_text)
    # A bound socket that neither listens nor connects is in no table, but nobody else can bind its port.
    assert not [line for line in table.splitlines()[1:] if line.split()[9] in inodes]

    def free() -> int:
        count = 0
        for port in range(40_000, 60_000):
            with socket.socket() as sock:
                try:
                    sock.bind(("", port))
                    count += 1
                except OSError:
                    continue
        return count

    assert space.call(free) == 20_000 - 4


def test_half_open_connections_are_reset_by_our_own_kernel(
    netns: Namespaces, listen: Callable[[Namespace, list[int]], None]
) -> None:
    scanner, target = netns(), netns()
    _, there = netns.link(scanner, target)
    listen(target, [80])
    assert scan(scanner, [str(there.v4.ip)], "80").open() == {(str(there.v4.ip), 80)}

    def half_open() -> bool:
        lines = target.call(Path("/proc/thread-self/net/tcp6").read_text).splitlines()[1:]
        lines += target.call(Path("/proc/thread-self/net/tcp").read_text).splitlines()[1:]
        return any(line.split()[3] == "03" for line in lines)  # TCP_SYN_RECV

    assert not half_open()


@pytest.mark.parametrize(
    ("targets", "ports", "message"),
    [
        (["nonsense"], "80", r"targets\[0\]: 'nonsense' does not appear to be"),
        (["198.18.0.1", "198.18.0.7/24"], "80", r"targets\[1\]: 198.18.0.7/24 has host bits set"),
        (["2001:db8::/64"], "80", r"targets\[0\]: with 2001:db8::/64 it is over 65536 addresses"),
        (["198.18.0.0/15"], "80", r"over 65536 addresses"),
        (["198.18.0.0/16"], "1-1000", r"targets: 65534 hosts x 1000 ports"),
        (["198.18.0.1"], "0-5", "ports: port numbers from 1 to 65535"),
        (["198.18.0.1"], "", "ports: port numbers from 1 to 65535"),
        (["198.18.0.1"], "80-70", "ports: '80-70' runs backwards"),
    ],
)
def test_a_job_that_cannot_be_done_says_why(targets: list[str], ports: str, message: str) -> None:
    with pytest.raises(BadJob, match=message):
        make_plan(job(targets, ports), _today())


def test_what_is_wrong_with_a_job_reaches_the_one_who_asked(netns: Namespaces) -> None:
    with pytest.raises(CannotRun, match=r"targets\[0\]: 'nonsense' does not appear to be"):
        scan(netns(), ["nonsense"], "80")
    with pytest.raises(CannotRun, match="runs backwards"):
        netns().call(list, client.run(job(["127.0.0.1"], "80-70")))


def test_a_target_is_asked_once_however_it_is_written() -> None:
    plan = make_plan(job(["::ffff:127.0.0.1", "127.0.0.1", "127.0.0.0/31", "127.0.0.1/32"], "80,80"), _today())
    assert plan.order == ["127.0.0.1", "127.0.0.0"]
    with pytest.raises(BadJob):
        make_plan(job(["127.0.0.1%lo"], "80"), _today())


def test_without_the_capability_it_says_what_to_do(
    netns: Namespaces, needs: Callable[..., str], tmp_path: Path
) -> None:
    setpriv = needs("setpriv", package="util-linux")
    space = netns()
    _, there = netns.link(space, netns())
    wanted = tmp_path / "job"
    wanted.write_bytes(encode(job([str(there.v4.ip)], "80")))
    done = space.run(
        [setpriv, "--bounding-set", "-net_raw", "--", sys.executable, "-P", "-c", _DRIVER, wanted], check=False
    )
    assert done.returncode != 0
    assert "no_raw_packets: CAP_NET_RAW" in done.stderr
    why = [setpriv, "--bounding-set", "-net_raw", "--", sys.executable, "-P", "-c"]
    said = space.run([*why, "from probes.kit.raw.helper.client import why_not; print(why_not())"]).stdout
    assert "CAP_NET_RAW" in said


def test_a_user_with_the_capability_lends_it_to_the_helper_only(
    netns: Namespaces, needs: Callable[..., str], tmp_path: Path
) -> None:
    setpriv = needs("setpriv", package="util-linux")
    space = netns()
    _, there = netns.link(space, netns())
    tmp_path.chmod(0o755)
    wanted = tmp_path / "job"
    wanted.write_bytes(encode(job([str(there.v4.ip)], "80")))
    # dac_read_search stands in for an interpreter that the user may read.
    ambient = "+net_raw,+dac_read_search"
    user = [setpriv, "--reuid", "65534", "--clear-groups", "--inh-caps", ambient, "--ambient-caps", ambient, "--"]
    done = space.run([*user, sys.executable, "-P", "-c", _DRIVER, wanted])
    assert "HostStates" in done.stdout
    assert "complete=True" in done.stdout


def test_it_works_inside_the_walls_of_the_agents_runner(
    netns: Namespaces, needs: Callable[..., str], tmp_path: Path
) -> None:
    setpriv, prlimit = needs("setpriv", package="util-linux"), needs("prlimit", package="util-linux")
    space = netns()
    _, there = netns.link(space, netns())
    wanted = tmp_path / "job"
    wanted.write_bytes(encode(job([str(there.v4.ip)], "1-65535")))
    # Root with CAP_NET_RAW alone may neither change its user id nor gain anything by executing another program.
    walls = [prlimit, f"--as={256 << 20}", setpriv, "--no-new-privs", "--bounding-set", "-all,+net_raw", "--"]
    done = space.run([*walls, sys.executable, "-P", "-c", _DRIVER, wanted])
    assert "complete=True" in done.stdout


def test_progress_and_figures_add_up(netns: Namespaces) -> None:
    space = netns()
    _, there = netns.link(space, netns())
    result = scan(space, [str(there.v4.ip)], "1-500", rate=500.0)
    assert result.count() == {State.CLOSED: 500}
    assert result.done is not None
    assert (result.done.sent, result.done.answers, result.done.unsent) == (500, 500, 0)
    assert result.done.send_seconds >= 0.9  # 500 at 500 a second
    assert not [item for item in result.opened if isinstance(item, Opened)]


def test_the_scope_of_a_job_is_what_its_sender_says() -> None:
    nothing = Job(("198.18.0.1",), "80", scope=())
    plan = make_plan(nothing, _today())
    assert plan.settled == {"198.18.0.1": State.OUT_OF_SCOPE}
    assert make_plan(Job(("127.0.0.1",), "80", scope=()), _today()).settled == {}  # this machine always is
    assert scope(*LAB)[0].until is not None


def _today() -> date:
    return datetime.now(UTC).date()
