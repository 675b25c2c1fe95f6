"""A digest stands for a section: blind to times and order, and to nothing else."""

import dataclasses
from typing import Any, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from tests.wire import messages as m
from wire.codec import decode, encode
from wire.digest import section_digest
from wire.types import Body, Observation, RunStatus, Skipped

_BODIES = m.messages(Body)


def digest(body: Body, probe: str = "p", status: RunStatus = RunStatus.DONE, reason: str = "") -> str:
    """Digest a body that some probe found."""
    return section_digest(probe, status, reason, body)


@given(_BODIES, st.data())
def test_times_and_order_do_not_count(body: Body, data: st.DataObject) -> None:
    shuffled = Body(*(tuple(data.draw(st.permutations(getattr(body, item.name)))) for item in dataclasses.fields(Body)))
    later = tuple(dataclasses.replace(seen, time=seen.time / 2, duration=1.0) for seen in shuffled.observations)
    assert digest(dataclasses.replace(shuffled, observations=later)) == digest(body)


@given(_BODIES)
def test_the_digest_survives_the_wire(body: Body) -> None:
    assert digest(decode(Body, encode(body))) == digest(body)
    assert len(digest(body)) == 64


@given(_BODIES, _BODIES)
def test_other_contents_have_another_digest(one: Body, other: Body) -> None:
    assert (digest(one) == digest(other)) == (_contents(one) == _contents(other))


@given(m.messages(Observation), st.data())
def test_every_other_part_of_an_observation_counts(seen: Observation, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["probe", "method", "target", "outcome", "values"]))
    hints = get_type_hints(Observation, include_extras=True)
    changed = dataclasses.replace(seen, **{name: data.draw(m.messages(hints[name]))})
    assert (digest(Body((seen,))) == digest(Body((changed,)))) == (_content(seen) == _content(changed))


def test_how_a_run_ended_counts() -> None:
    body = Body(skipped=(Skipped("192.0.2.0/24", "no time left"),))
    digests = {
        digest(body),
        digest(body, probe="q"),
        digest(body, status=RunStatus.PARTIAL),
        digest(body, reason="r"),
        digest(Body()),
    }
    assert len(digests) == 5


def test_a_part_of_one_kind_is_never_taken_for_another() -> None:
    twice = Skipped("a", "b")
    assert digest(Body(skipped=(twice, twice))) != digest(Body(skipped=(twice,)))


def _contents(body: Body) -> Any:
    return [sorted(map(_content, getattr(body, item.name))) for item in dataclasses.fields(Body)]


def _content(item: Any) -> str:
    """Write a part by repr, which keeps 1, 1.0 and True apart as the wire does, without times."""
    if isinstance(item, Observation):
        item = dataclasses.replace(item, time=0.0, duration=0.0, values=dict(sorted(item.values.items())))
    return repr(item)
