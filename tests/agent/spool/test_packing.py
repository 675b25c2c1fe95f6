"""A section is packed so that a report can carry it: what is too much is cut, and said."""

import random
from dataclasses import replace

from agent.spool.packing import pack, unpack
from tests.support.sections import section
from wire.types import MAX_REPORT_BYTES, Body, Coverage, Observation, Outcome, RunStatus, Target, TargetKind, Transport


def test_a_section_that_no_report_can_carry_is_cut_and_says_so() -> None:
    bodies = [section(filler=20_000 + number).body for number in range(61)]
    huge = replace(
        section(), body=Body(tuple(one.observations[0] for one in bodies if one), (Coverage(("::1/128",), 6),))
    )
    packed = pack(huge)
    cut = unpack(packed)
    assert cut.status is RunStatus.PARTIAL
    assert cut.body is not None
    assert cut.body.coverage == ()
    assert cut.body.skipped[0].what.endswith("of 61 observations")
    assert 0 < len(cut.body.observations) < 61
    assert packed.observations == len(cut.body.observations)
    assert len(packed.body) < MAX_REPORT_BYTES


def test_a_host_that_says_too_much_is_cut_short_before_any_other() -> None:
    def service(address: str, port: int, said: str) -> Observation:
        target = Target(TargetKind.SERVICE, address, port, Transport.TCP)
        return Observation("open_ports", "syn", target, Outcome.OPEN, 1.0, {"banner": said})

    chance = random.Random(7)
    loud = [service("198.18.0.1", port, chance.randbytes(500).hex()) for port in range(1, 3000)]
    others = [service(f"198.18.0.{host}", 22, "OpenSSH") for host in range(2, 200)]
    coverage = (Coverage(("198.18.0.0/24",), 4, "1-3000", Transport.TCP),)
    cut = unpack(pack(replace(section(), body=Body((*loud, *others), coverage))))
    assert cut.status is RunStatus.PARTIAL
    assert cut.body is not None
    assert cut.body.coverage == coverage
    assert cut.body.observations == (*(replace(item, values={}) for item in loud), *others)
    assert [item.what for item in cut.body.skipped] == ["service details of 198.18.0.1"]
