"""Tickets, proofs and frames of the bandwidth protocol."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.bandwidth import (
    HEADER_BYTES,
    MAX_FRAME,
    Claims,
    Direction,
    Hello,
    Reply,
    Request,
    Result,
    TicketRefused,
    check_ticket,
    frame_length,
    make_ticket,
    pack,
    prove,
    unpack,
)
from wire.errors import DecodeError, TooLarge, UnsupportedSchema, WireError

SECRET = b"s" * 32
NONCE = "ab" * 16
NOW = 1.8e9


def request(ticket: str | None = None, nonce: str = NONCE) -> Request:
    return prove(ticket or make_ticket(SECRET, "agent-1", NOW + 60, 10**9), nonce, Direction.UPLOAD, 10**6, 5.0, 1.0)


def test_a_ticket_is_good_for_its_agent_until_it_expires() -> None:
    assert check_ticket(SECRET, NONCE, request(), NOW) == Claims("agent-1", NOW + 60, 10**9)
    with pytest.raises(TicketRefused, match="expired") as caught:
        check_ticket(SECRET, NONCE, request(), NOW + 60)
    assert caught.value.code == "expired"


def test_the_key_never_crosses_the_line() -> None:
    ticket = make_ticket(SECRET, "agent-1", NOW + 60, 10**9)
    key = ticket.rpartition(".")[2]
    assert key.encode() not in pack(request(ticket))


@pytest.mark.parametrize(
    "forged",
    [
        lambda real: replace(real, direction=Direction.DOWNLOAD),
        lambda real: replace(real, bytes=real.bytes + 1),
        lambda real: replace(real, seconds=6.0),
        lambda real: replace(real, skip=0.0),
        lambda real: replace(real, proof="0" * 64),
        lambda real: replace(real, proof="证"),
        lambda real: replace(real, claims=make_ticket(b"x" * 32, "agent-2", NOW + 60, 10**9).split(".")[1]),
        lambda real: replace(real, claims=""),
        lambda real: replace(real, claims="é"),
    ],
)
def test_a_proof_holds_for_one_request_only(forged: object) -> None:
    with pytest.raises(TicketRefused) as caught:
        check_ticket(SECRET, NONCE, forged(request()), NOW)  # type: ignore[operator]
    assert caught.value.code == "ticket"


def test_a_proof_holds_for_one_connection_and_one_collector_only() -> None:
    with pytest.raises(TicketRefused):
        check_ticket(SECRET, "cd" * 16, request(), NOW)
    with pytest.raises(TicketRefused):
        check_ticket(b"t" * 32, NONCE, request(), NOW)


def test_claims_that_a_stranger_signed_badly_are_refused() -> None:
    # Whoever knows the secret may still write nonsense: it is refused, not raised.
    from wire import bandwidth

    for claims in ("", "e30", "%%%", "bm9uc2Vuc2U"):
        ticket = f"edb1.{claims}.{bandwidth.ticket_key(SECRET, claims)}"
        if claims:
            with pytest.raises(TicketRefused, match="cannot be read"):
                check_ticket(SECRET, NONCE, request(ticket), NOW)
        else:
            with pytest.raises(TicketRefused, match="no bandwidth ticket"):
                request(ticket)


@pytest.mark.parametrize("text", ["", "edb1", "edb1.a", "edb1..k", "edb2.a.k", "Bearer x"])
def test_what_is_no_ticket(text: str) -> None:
    with pytest.raises(TicketRefused, match="edb1"):
        prove(text, NONCE, Direction.UPLOAD, 1, 1.0)


@given(
    agent=st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=64),
    expires=st.floats(NOW + 1, NOW + 1e8),
    most=st.integers(0, 1 << 36),
    seconds=st.one_of(st.integers(0, 60), st.floats(0, 60)),
)
def test_any_ticket_is_read_back(agent: str, expires: float, most: int, seconds: float) -> None:
    ticket = make_ticket(SECRET, agent, expires, most)
    assert len(ticket) <= 1024
    sent = pack(prove(ticket, NONCE, Direction.DOWNLOAD, 5, seconds))
    read = unpack(Request, sent[HEADER_BYTES:])
    assert check_ticket(SECRET, NONCE, read, NOW) == Claims(agent, expires, most)


@pytest.mark.parametrize(
    "message", [Hello(NONCE), request(), Reply(False, code="busy", message="忙"), Result(5, 1.0, 3, 0.5, 0.1)]
)
def test_frames_are_read_back(message: object) -> None:
    packed = pack(message)
    assert frame_length(packed[:HEADER_BYTES]) == len(packed) - HEADER_BYTES
    assert unpack(type(message), packed[HEADER_BYTES:]) == message


def test_frames_are_bounded() -> None:
    with pytest.raises(TooLarge):
        frame_length((MAX_FRAME + 1).to_bytes(2, "big"))
    with pytest.raises(DecodeError):
        frame_length(b"\0\0")
    with pytest.raises(TooLarge):
        pack(Reply(False, message="x" * MAX_FRAME))
    with pytest.raises(TooLarge):
        unpack(Hello, b" " * (MAX_FRAME + 1))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"nonce":1,"schema":"edusec.bandwidth/1"}', b"\xff", b'{"nonce":"a"}']
)
def test_broken_frames_are_wire_errors(body: bytes) -> None:
    with pytest.raises(WireError):
        unpack(Hello, body)


def test_another_major_version_is_told() -> None:
    with pytest.raises(UnsupportedSchema):
        unpack(Hello, b'{"nonce":"ab","schema":"edusec.bandwidth/2"}')


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(body: bytes) -> None:
    for kind in (Hello, Request, Reply, Result):
        try:
            unpack(kind, body)
        except WireError:
            continue
