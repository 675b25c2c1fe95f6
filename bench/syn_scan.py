"""Measure the SYN engine next to nmap and masscan: recall first, then ratios of the same run.

Usage, as root:  .venv/bin/python bench/syn_scan.py [--rounds 3] [--long] [--only TEXT]

All packets stay in two network namespaces joined by a veth pair. Runs are interleaved and the median counts, because
the machine may be busy with other things; only ratios carry over to another machine. nmap and masscan come from Debian.
`chrt -r 1` before the command keeps other work out of the way of all programs alike.
`--long` adds the firewalled host with all its ports, firewalled hosts on IPv6 and what else takes nmap minutes.
"nmap tuned" is nmap at its fastest: the limits of its adaptive timing taken off, and one retry as ours.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.syn_lab import LOW_OPEN, OPEN, PREFIX, Lab, Row, Run
from tests.support.netns import Namespaces

_TUNED = ("-T5", "--min-rate", "100000", "--max-retries", "1", "--min-hostgroup", "1024")
_TUNED += ("--initial-rtt-timeout", "50ms", "--max-rtt-timeout", "100ms")


def rows(lab: Lab, long: bool) -> Iterator[Row]:
    """Give the jobs."""
    host, host6 = "198.19.0.9", str(lab.there.v6.ip)
    some = [f"198.19.1.{number}" for number in range(1, 255)]
    many = [f"198.19.{third}.{last}" for third in range(4) for last in range(256)][1:-1]
    some6 = [f"2001:db8:99::{number:x}" for number in range(1, 255)]
    high, low, nearly_all = "1-65535", "1-97", ("198.19.0.1-255", "198.19.1-2.0-255", "198.19.3.0-254")
    unfiltered = {*OPEN, *LOW_OPEN}
    truth = {(host, port) for port in OPEN}
    yield Row(
        "1 host x 65535, 103 ports dropped, the others answering",
        None,
        {(host, port) for port in unfiltered},
        {
            "edusec": lambda: lab.ours([host], high),
            "masscan": lambda: lab.masscan([host], high, 65535),
            "nmap": lambda: lab.nmap([host], high),
        },
        5.0,
    )
    yield Row(
        "IPv6: 1 host x 65535, 103 ports dropped, the others answering",
        None,
        {(host6, port) for port in unfiltered},
        {"edusec": lambda: lab.ours([host6], high), "nmap": lambda: lab.nmap([host6], high, "-6")},
        5.0,
    )
    yield Row(
        "16 hosts x 65535, 103 ports dropped, the others answering",
        None,
        {(address, port) for address in some[:16] for port in unfiltered},
        {
            "edusec": lambda: lab.ours(some[:16], high, 16),
            "masscan": lambda: lab.masscan([f"{some[0]}-{some[15]}"], high, 16 * 65535),
        },
    )
    yield Row(
        "1 host x 5000, 2000 SYNs a second answered",
        None,
        {(host, port) for port in unfiltered if port <= 5000},
        {
            "edusec": lambda: lab.ours([host], "1-5000"),
            "masscan": lambda: lab.masscan([host], "1-5000", 5000),
            "nmap": lambda: lab.nmap([host], "1-5000"),
        },
        limit=2000,
    )
    yield Row(
        "1 host x 2000, 200 resets a second",
        None,
        {(host, port) for port in unfiltered if port < 2000},
        {"edusec": lambda: lab.ours([host], "1-1999"), "nmap": lambda: lab.nmap([host], "1-1999")},
        resets=200,
    )
    yield Row(
        "1 host x 1000, refused by ICMP, one a second",
        OPEN,
        {(host, port) for port in OPEN if port <= 1000},
        {"edusec": lambda: lab.ours([host], "1-1000"), "nmap": lambda: lab.nmap([host], "1-1000")},
        refusal="reject with icmpx type admin-prohibited",
    )
    yield Row(
        "97 ports x 254 hosts, all answering",
        None,
        {(address, port) for address in some for port in unfiltered if port <= 97},
        {"edusec": lambda: lab.ours(some, low, len(some)), "nmap": lambda: lab.nmap(["198.19.1.1-254"], low)},
        0.8,
    )
    yield Row(
        "97 ports x 1022 hosts, all answering",
        None,
        {(address, port) for address in many for port in unfiltered if port <= 97},
        {
            "edusec": lambda: lab.ours([PREFIX], low, len(many)),
            "masscan": lambda: lab.masscan([f"{many[0]}-{many[-1]}"], low, len(many) * 97),
            "nmap": lambda: lab.nmap([*nearly_all], low),
            "nmap tuned": lambda: lab.nmap([*nearly_all], low, *_TUNED),
        },
        0.8,
    )
    yield Row(
        "97 ports x 1022 hosts, firewalled",
        LOW_OPEN,
        {(address, port) for address in many for port in LOW_OPEN},
        {
            "edusec": lambda: lab.ours([PREFIX], low, len(many)),
            "masscan": lambda: lab.masscan([f"{many[0]}-{many[-1]}"], low, len(many) * 97),
            "nmap tuned": lambda: lab.nmap([*nearly_all], low, *_TUNED),
            **({"nmap": lambda: lab.nmap([*nearly_all], low)} if long else {}),
        },
        20.0,
    )
    yield Row(
        "transmit: 1 host x 65535, firewalled, asked once",
        OPEN,
        truth,
        {
            "edusec": lambda: lab.ours([host], high, retries=0),
            "masscan": lambda: lab.masscan([host], high, 65535),
        },
    )
    yield Row(
        "97 ports x 254 hosts, firewalled",
        LOW_OPEN,
        {(address, port) for address in some for port in LOW_OPEN},
        {
            "edusec": lambda: lab.ours(some, low, len(some)),
            "nmap": lambda: lab.nmap(["198.19.1.1-254"], low),
            "nmap tuned": lambda: lab.nmap(["198.19.1.1-254"], low, *_TUNED),
        },
        20.0,
    )
    if long:
        for family, target, options in (("", host, ()), ("IPv6: ", host6, ("-6",))):
            yield Row(
                f"{family}1 host x 65535, firewalled",
                OPEN,
                {(target, port) for port in OPEN},
                {
                    "edusec": partial(lab.ours, [target], high),
                    "nmap": partial(lab.nmap, [target], high, *options),
                    "nmap tuned": partial(lab.nmap, [target], high, *options, *_TUNED),
                },
                20.0,
            )
        yield Row(
            "IPv6: 97 ports x 254 hosts, firewalled",
            LOW_OPEN,
            {(address, port) for address in some6 for port in LOW_OPEN},
            {
                "edusec": lambda: lab.ours(some6, low, len(some6)),
                "nmap": lambda: lab.nmap(some6, low, "-6"),
            },
            20.0,
        )


def measure(row: Row, rounds: int) -> None:
    """Run the programs in turn; what takes a peer more than 20 s is not repeated."""
    for _ in range(rounds):
        for name, program in row.programs.items():
            before = row.runs.setdefault(name, [])
            if not before or before[-1].wall < 20:
                before.append(program())


def report(row: Row) -> bool:
    """Print a row; tells whether recall and ratios reach their bars."""
    print(f"\n{row.name}")
    medians: dict[str, tuple[float, float]] = {}
    fine = True
    for name, runs in row.runs.items():
        recalls = [len(run.found & row.truth) / len(row.truth) for run in runs]
        false = sum(len(run.found - row.truth) for run in runs)
        wall, rate = statistics.median(run.wall for run in runs), statistics.median(run.rate for run in runs)
        medians[name] = wall, rate
        speed = f"  {rate / 1e6:6.3f} Mpps" if rate else ""
        print(
            f"  {name:9} recall {min(recalls):7.2%} (worst of {len(runs)}), false {false}{_wrong(runs)}"
            f"  wall {wall:7.3f} s  CPU {statistics.median(run.cpu for run in runs):6.3f} s{speed}  {runs[-1].note}"
        )
        if name == "edusec":
            fine = fine and min(recalls) == 1 and not false and not any(run.wrong for run in runs)
    our_wall, our_rate = medians.pop("edusec")
    for name, (wall, rate) in medians.items():
        bar = row.bar if name == "nmap" else 0.0
        said = f"  {name} / edusec: wall x{wall / our_wall:.1f}{_verdict(wall / our_wall, bar)}"
        fine = fine and wall / our_wall >= bar
        if rate:
            bar = 1.0 if row.answering and not row.limit else 0.0
            said += f"; edusec / {name}: rate x{our_rate / rate:.2f}{_verdict(our_rate / rate, bar)}"
            fine = fine and our_rate / rate >= bar
        print(said)
    return fine


def _wrong(runs: list[Run]) -> str:
    known = [run.wrong for run in runs if run.wrong is not None]
    return f", told wrong {max(known)}" if known else ""


def _verdict(ratio: float, bar: float) -> str:
    return f" (bar {bar:g}: {'reached' if ratio >= bar else 'MISSED'})" if bar else ""


def main() -> int:
    """Build the lab, measure, report; 0 when every bar was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="", help="part of the names of the rows to measure")
    options = parser.parse_args()
    missing = [program for program in ("nmap", "masscan", "nft", "ip") if not shutil.which(program)]
    if missing:
        print(f"needs {', '.join(missing)}: apt-get install nmap masscan nftables iproute2", file=sys.stderr)
        return 2
    netns = Namespaces()
    fine = True
    with contextlib.ExitStack() as closing:
        closing.callback(netns.close)
        lab = Lab(netns, closing.enter_context(contextlib.ExitStack()))
        # As where it is installed: the bytecode is there, and a run that counts for nothing sees to that.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        lab.ours([str(lab.there.v4.ip)], "1-97")
        for row in rows(lab, options.long):
            if options.only in row.name:
                lab.firewall(row)
                measure(row, options.rounds)
                fine = report(row) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
