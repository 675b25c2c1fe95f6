"""What the codec writes it reads again, and what is new to it does not stop it."""

import dataclasses
import json
import string
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.wire import messages as m
from wire.codec import compress, decode, decompress, encode, from_plain, to_plain
from wire.errors import UnsupportedSchema
from wire.orders import PROGRESS_SCHEMA, OrderProgress, OrderState
from wire.types import Body, Observation, Outcome, Report, RunStatus, Section, SectionKind, Target, TargetKind

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def report(*observations: Observation) -> Report:
    """Give a report with one section of these observations."""
    section = Section(
        "ports", "open_ports", SectionKind.STATE, RunStatus.DONE, "0" * 64, 1.0, 2.0, "", Body(observations)
    )
    return Report("agent", "spool", 1, "batch", 3.0, "edusec/0.1.0", (section,))


def observation(**changes: Any) -> Observation:
    """Give an observation of an open port."""
    seen = Observation("open_ports", "connect", Target(TargetKind.SERVICE, "192.0.2.1", 22), Outcome.OPEN, 1.5)
    return dataclasses.replace(seen, **changes)


@given(m.any_message())
def test_what_is_written_is_read_back(message: Any) -> None:
    raw = encode(message)
    assert decode(type(message), raw) == message
    assert encode(decode(type(message), raw)) == raw


@given(st.binary(max_size=5000))
def test_compression_is_undone_and_repeatable(raw: bytes) -> None:
    assert decompress(compress(raw)) == raw
    assert compress(raw) == compress(raw)


def test_fields_at_their_default_do_not_travel() -> None:
    assert json.loads(encode(Target(TargetKind.HOST, "192.0.2.1"))) == {"kind": "host", "name": "192.0.2.1"}


def test_chinese_travels_as_itself() -> None:
    assert "兴庆区".encode() in encode(Target(TargetKind.SITE, "兴庆区.教育"))


def test_other_frozen_dataclasses_travel_too() -> None:
    @dataclasses.dataclass(frozen=True)
    class Note:
        text: str
        count: int = 0

    assert decode(Note, encode(Note("so", 3))) == Note("so", 3)


@given(m.any_message(), st.text(string.ascii_letters, min_size=1).map(lambda name: f"new_{name}"), _JSON, st.data())
def test_unknown_fields_are_ignored_anywhere(message: Any, name: str, value: Any, data: st.DataObject) -> None:
    plain = json.loads(encode(message))
    records = [path for path in m.paths(plain) if isinstance(m.at(plain, path), dict) and not _is_mapping(path)]
    path = data.draw(st.sampled_from(records))
    grown = m.replaced(plain, path, {**m.at(plain, path), name: value})
    assert from_plain(type(message), grown) == message


def _is_mapping(path: tuple[str | int, ...]) -> bool:
    return any(step in ("values", "options") for step in path)


@pytest.mark.parametrize("word", ["slow", "teapot", "OPEN", ""])
def test_an_outcome_of_a_later_release_reads_as_unknown(word: str) -> None:
    plain = to_plain(observation())
    assert from_plain(Observation, {**plain, "outcome": word}).outcome is Outcome.UNKNOWN
    plain = to_plain(report())
    plain["sections"][0]["status"] = word
    assert from_plain(Report, plain).sections[0].status is RunStatus.UNKNOWN
    assert from_plain(OrderProgress, {"schema": PROGRESS_SCHEMA, "state": word}).state is OrderState.UNKNOWN


SCHEMAS = [kind for kind in m.MESSAGES if "schema" in {item.name for item in dataclasses.fields(kind)}]


def test_the_messages_that_cross_alone_name_their_schema() -> None:
    reports = {"Report", "Answer", "Refusal", "EnrolmentRequest", "Enrolment"}
    assert {kind.__name__ for kind in SCHEMAS} == reports | {"Orders", "OrderProgress", "OrderReply"}


@given(
    st.sampled_from(SCHEMAS).flatmap(m.messages), _JSON | st.sampled_from(["edusec.report/2", "edusec.answer/10", ""])
)
def test_another_schema_is_refused_by_name(message: Any, schema: Any) -> None:
    plain = to_plain(message)
    assume(schema != plain["schema"])
    with pytest.raises(UnsupportedSchema, match="this release reads") as caught:
        from_plain(type(message), {**plain, "schema": schema})
    assert caught.value.expected == plain["schema"]
    assert len(caught.value.found) <= 64


def test_a_missing_schema_is_refused() -> None:
    plain = to_plain(report())
    del plain["schema"]
    with pytest.raises(UnsupportedSchema):
        from_plain(Report, plain)


def test_a_schema_nested_without_end_is_refused() -> None:
    raw = encode(report()).replace(b'"edusec.report/1"', b"[" * 900 + b"]" * 900)
    with pytest.raises(UnsupportedSchema):
        decode(Report, raw)
