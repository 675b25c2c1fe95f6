"""Whatever arrives, the codec gives a whole message or a WireError that says where; never anything else."""

import dataclasses
import json
import random
import sys
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.wire import messages as m
from tests.wire.test_codec import observation, report
from wire.codec import MAX_CONTAINERS, compress, decode, decompress, encode, from_plain, parse_json, to_plain
from wire.decoders import MAX_LIST_ITEMS
from wire.errors import DecodeError, TooLarge, WireError
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES, Coverage, Policy, Report, ScopeEntry, Section, Target


def attempt(kind: type[Any], raw: bytes) -> None:
    """Decode; a message must be whole, an error must be ours and fit for one line of a log."""
    try:
        message = decode(kind, raw)
    except WireError as error:
        text = str(error)
        assert text
        assert text.isprintable()
        assert len(text) < 1000
    else:
        assert decode(kind, encode(message)) == message


@given(st.sampled_from(m.MESSAGES), st.binary(max_size=200))
def test_random_bytes_are_refused_or_read(kind: type[Any], raw: bytes) -> None:
    attempt(kind, raw)


@given(m.any_message(), st.integers(0), st.binary(min_size=1, max_size=4))
def test_a_message_with_some_bytes_changed(message: Any, place: int, change: bytes) -> None:
    raw = bytearray(encode(message))
    place %= len(raw)
    raw[place : place + len(change)] = change
    attempt(type(message), bytes(raw))


@given(m.any_message(), st.integers(0))
def test_a_message_cut_short(message: Any, place: int) -> None:
    raw = encode(message)
    with pytest.raises(WireError):
        decode(type(message), raw[: place % len(raw)])


@given(m.any_message(), st.binary(min_size=1, max_size=4).filter(lambda tail: tail.strip(b" \t\r\n")))
def test_bytes_after_a_message(message: Any, tail: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(type(message), encode(message) + tail)


_JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 2**53 + 1, 10**400, -(10**400), 0.5, -0.0, 1e308,
    float("inf"), float("-inf"), float("nan"),
    "", "x", "x" * 5000, "\ud800", "2026-02-30", "2026-W01-1", "20260101", "unknown", "70000", "5-2", "1,,2",
    [], [[]], [None], ["\udfff"], [0] * (MAX_LIST_ITEMS + 1), {}, {"\ud800": 1}, {"x" * 65: 1}, {"": {}},
    {str(index): 0 for index in range(5000)},
]  # fmt: skip


def fault_of(kind: type[Any], plain: Any) -> DecodeError | None:
    """Give the fault of parsed JSON; None if there is none, and then it must be a whole message."""
    try:
        message = from_plain(kind, plain)
    except DecodeError as fault:
        return fault
    assert from_plain(kind, json.loads(encode(message))) == message
    return None


@given(m.any_message(), st.sampled_from(_JUNK), st.data())
def test_junk_in_place_of_any_value_is_named_by_its_path(message: Any, junk: Any, data: st.DataObject) -> None:
    plain = to_plain(message)
    inner = [path for path in m.paths(plain) if path and path != ("schema",)]
    assume(inner)
    path = data.draw(st.sampled_from(inner))
    fault = fault_of(type(message), m.replaced(plain, path, junk))
    if fault is not None:
        rest = fault.where.removeprefix(m.written(path))
        assert fault.where != rest
        assert not rest or rest[0] in ".["


@given(st.sampled_from(m.MESSAGES), st.sampled_from(_JUNK))
def test_junk_in_place_of_a_message(kind: type[Any], junk: Any) -> None:
    try:
        fault = fault_of(kind, junk)
    except WireError:
        fault = None
    assert fault is None or fault.where in ("", *(item.name for item in dataclasses.fields(kind)))


@given(m.any_message(), st.data())
def test_a_missing_field_is_named_or_has_a_default(message: Any, data: st.DataObject) -> None:
    plain = to_plain(message)
    named = [path for path in m.paths(plain) if path and isinstance(path[-1], str) and path != ("schema",)]
    assume(named)
    path = data.draw(st.sampled_from(named))
    without = {name: item for name, item in m.at(plain, path[:-1]).items() if name != path[-1]}
    fault = fault_of(type(message), m.replaced(plain, path[:-1], without))
    assert fault is None or str(fault) == f"{m.written(path)}: is missing"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"-Infinity", "-Infinity is not a JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"1" * 10_000, "a whole number has too many digits"),
        (b"[" + b"{}," * MAX_CONTAINERS + b"0]", "more than 524288 objects and lists"),
    ],
)
def test_text_that_is_no_json(raw: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        parse_json(raw)


def test_deep_nesting_is_refused_from_a_deep_stack_too() -> None:
    def down(levels: int) -> None:
        if levels:
            return down(levels - 1)
        return attempt(Report, b"[" * 500 + b"]" * 500)

    down(sys.getrecursionlimit() // 2)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sequence": 1e999}, "sequence: expected a whole number, found a number"),
        ({"created": 1e999}, "created: must be from 0 to 253402300799"),
        ({"sequence": 10**400}, "sequence: must be from 1 to 9007199254740992"),
        ({"sequence": True}, "sequence: expected a whole number, found true or false"),
        ({"created": "1"}, "created: expected a number, found text"),
        ({"agent": 7}, "agent: expected text, found a whole number"),
        ({"agent": "x" * 65}, "agent: 65 characters, at most 64 are allowed"),
        ({"agent": "\udc80"}, "agent: has a lone surrogate, which is not text"),
        ({"sections": {}}, "sections: expected a list, found an object"),
        ({"sections": [{}] * 257}, "sections: 257 items, at most 256 are allowed"),
        ({"sections": [None]}, "sections[0]: expected an object, found null"),
    ],
)
def test_faults_of_a_report_say_where_and_what(change: dict[str, Any], fault: str) -> None:
    plain = json.loads(json.dumps({**to_plain(report()), **change}))
    with pytest.raises(DecodeError) as caught:
        from_plain(Report, plain)
    assert str(caught.value) == fault


@pytest.mark.parametrize(
    ("path", "junk", "fault"),
    [
        (("family",), 5, "family: expected one of 4, 6"),
        (("ports",), "0-70000", "ports: '0-70000' is outside 0-65535"),
        (("ports",), "22,", "ports: empty part in port set '22,'"),
        (("transport",), "sctp", "transport: 'sctp' is not one of 'tcp', 'udp'"),
        (("transport",), 6, "transport: expected a word, found a whole number"),
        (("prefixes", 0), "x" * 257, "prefixes[0]: 257 characters, at most 256 are allowed"),
    ],
)
def test_faults_of_coverage_say_where_and_what(path: tuple[str | int, ...], junk: Any, fault: str) -> None:
    plain = {"prefixes": ["192.0.2.0/24"], "family": 4, "ports": "22", "transport": "tcp"}
    with pytest.raises(DecodeError) as caught:
        from_plain(Coverage, m.replaced(plain, path, junk))
    assert str(caught.value) == fault


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({}, "expected text, a number, true, false, null or a list of texts, found an object"),
        ([1], r"\[0\]: expected text, found a whole number"),
        (["x"] * 1001, "1001 items, at most 1000 are allowed"),
        ("x" * 1025, "1025 characters, at most 1024 are allowed"),
        (2**53 + 1, "must be from"),
    ],
)
def test_faults_of_a_value_say_where_and_what(value: Any, fault: str) -> None:
    plain = to_plain(report(observation(values={"banner": "x"})))
    plain["sections"][0]["body"]["observations"][0]["values"]["banner"] = value
    with pytest.raises(DecodeError, match=fault) as caught:
        from_plain(Report, plain)
    assert caught.value.where.startswith("sections[0].body.observations[0].values.banner")


def test_a_name_with_control_characters_is_escaped_in_the_path() -> None:
    plain = to_plain(report(observation(values={"\x1b[31m\n": "x"})))
    plain["sections"][0]["body"]["observations"][0]["values"]["\x1b[31m\n"] = {}
    with pytest.raises(DecodeError) as caught:
        from_plain(Report, plain)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("day", ["2026-02-30", "20261231", "2026-W53-4", "2026-1-1", "２０２６-01-01", "", 20261231])
def test_only_real_dates_in_one_spelling(day: Any) -> None:
    plain = {"value": "192.0.2.0/24", "authoriser": "a", "reason": "r", "until": day}
    with pytest.raises(DecodeError, match=r"until: .* date such as 2026-12-31"):
        from_plain(ScopeEntry, plain)


def test_an_unknown_kind_of_section_is_refused_because_it_decides_what_is_kept() -> None:
    plain = to_plain(report().sections[0])
    with pytest.raises(DecodeError, match="kind: 'trace' is not one of 'state', 'measurement'"):
        from_plain(Section, {**plain, "kind": "trace"})


def test_a_list_too_long_is_refused_before_its_items_are_read() -> None:
    plain = {"digest": "", "unit": "", "unit_name": "", "report_interval": 60, "whitelist": [{}] * 20_001}
    with pytest.raises(DecodeError, match="whitelist: 20001 items, at most 20000 are allowed"):
        from_plain(Policy, plain)


@given(st.binary(max_size=100))
def test_random_bytes_are_no_gzip(raw: bytes) -> None:
    with pytest.raises(WireError):
        decompress(raw)


@given(st.binary(max_size=300), st.integers(0))
def test_gzip_cut_short(raw: bytes, place: int) -> None:
    packed = compress(raw)
    with pytest.raises(DecodeError):
        decompress(packed[: place % len(packed)])


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=4) | st.just(compress(b"more")))
def test_bytes_after_gzip(raw: bytes, tail: bytes) -> None:
    with pytest.raises(DecodeError, match="bytes follow the gzip stream"):
        decompress(compress(raw) + tail)


def test_gzip_with_a_changed_checksum() -> None:
    packed = bytearray(compress(b"something"))
    packed[-5] ^= 1
    with pytest.raises(DecodeError, match="not gzip"):
        decompress(bytes(packed))


@pytest.mark.parametrize("raw", [b"\x78\x9c\x03\x00\x00\x00\x00\x01", zlib.compress(b"zlib, not gzip"), b"{}"])
def test_other_formats_are_no_gzip(raw: bytes) -> None:
    with pytest.raises(DecodeError, match="not gzip"):
        decompress(raw)


def test_a_bomb_never_holds_more_than_the_bound() -> None:
    bomb = compress(bytes(64 << 20))
    assert len(bomb) < MAX_REPORT_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="decompressed message is larger than 1048576 bytes"):
            decompress(bomb, limit=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # zlib doubles its output block by block: the last two blocks are held while they are joined.
    assert peak < 4 << 20


def test_the_bounds_are_exact() -> None:
    assert len(decompress(compress(bytes(1000)), limit=1000)) == 1000
    with pytest.raises(TooLarge):
        decompress(compress(bytes(1001)), limit=1000)
    noise = random.Random(1).randbytes(1000)
    packed = compress(noise)
    assert decompress(packed, packed_limit=len(packed)) == noise
    with pytest.raises(TooLarge, match="compressed message"):
        decompress(packed, packed_limit=len(packed) - 1)
    raw = encode(Target(kind="host", name="x"))  # type: ignore[arg-type]
    decode(Target, raw, limit=len(raw))
    with pytest.raises(TooLarge):
        decode(Target, raw, limit=len(raw) - 1)
    with pytest.raises(TooLarge):
        decode(Report, b" " * (MAX_PLAIN_BYTES + 1))
