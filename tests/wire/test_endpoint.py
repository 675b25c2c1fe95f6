"""Addresses with ports: what is written reads back, and what is none is refused in both languages."""

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.endpoint import Endpoint, parse_endpoint
from wire.text import TextError

SUCH_AS = (Endpoint("127.0.0.1", 9), Endpoint("::1", 9))


@given(st.ip_addresses(), st.integers(0, 65535))
def test_endpoints_read_back_as_written(address: IPv4Address | IPv6Address, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert parse_endpoint(str(endpoint), SUCH_AS) == endpoint


@pytest.mark.parametrize("text", ["", "1", "127.0.0.1", "::1:80", "[127.0.0.1]:80", "localhost:80"])
def test_what_is_none_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(TextError, match=r"such as 127\.0\.0\.1:9 or \[::1\]:9") as refused:
        parse_endpoint(text, SUCH_AS)
    assert "127.0.0.1:9 或 [::1]:9" in refused.value.text.zh


@pytest.mark.parametrize("port", ["", "65536", "-1", "+1", " 1", "x", "9" * 5000, "\u0661"])
def test_a_port_has_bounds(port: str) -> None:
    with pytest.raises(TextError, match="from 0 to 65535") as refused:
        parse_endpoint(f"127.0.0.1:{port}", SUCH_AS)
    assert len(str(refused.value)) < 200


@given(st.text(max_size=40))
def test_no_text_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(TextError):
        assert 0 <= parse_endpoint(text, SUCH_AS).port <= 65535
