"""No answer whatever breaks or prolongs a conversation, and what is kept of it is bounded and printable."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from probes.kit.services.plan import protocols
from probes.kit.services.talk import MAX_FACT, Talk, text
from tests.probes.services.talks import converse

TALKS: dict[str, Callable[[str, int], Talk]] = {
    module.__name__.rpartition(".")[2]: module.talk for module in protocols() if hasattr(module, "talk")
}
SEEDS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n<title>",
        b"$999999\r\n",
        b"E\xff\xff\xff\xff",
        b"\xff" * 64,
        b"\x04\x01\xff\xff\x00\x00\x00\x00" + b"\x00\xff\xff\xff\xff" * 20,
        b"\xff\xff\xff\x00\x0a5.5",
        b"\x15\x00\x00\x00"
        + bytes(8)
        + b"\xdd\x07\0\0"
        + b"\0\0\0\0\0"
        + b"\xff\xff\xff\x7f"
        + b"\x03a\0\x01\0\0\0" * 9,
        b"\x1b]0;owned\x07\x1b[2J",
        (
            b'HTTP/1.1 200 OK\r\n\r\n<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
            b'xmlns:t="http://www.onvif.org/ver10/device/wsdl"><t:GetDeviceInformationResponse>'
            b"<t:Model>&#27;&#99999999;</t:Model>"
        ),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(TALKS)),
    answers=st.lists(
        st.one_of(st.binary(max_size=600), SEEDS, st.builds(bytes.__add__, SEEDS, st.binary(max_size=64))), max_size=4
    ),
)
def test_no_answer_breaks_or_prolongs_a_conversation(name: str, answers: list[bytes]) -> None:
    heard = converse(TALKS[name]("198.51.100.1", 1), answers)
    if heard is not None:
        shown = (answer for key, answer in heard.answers if not key.startswith("nmap."))
        for value in (*heard.facts.values(), *shown):
            assert len(value) <= MAX_FACT + 64
            assert value.isprintable()


@given(st.binary(max_size=2000))
def test_text_is_bounded_and_printable(raw: bytes) -> None:
    assert text(raw).isprintable()
    assert len(text(raw)) <= MAX_FACT
