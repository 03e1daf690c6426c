"""The server's name in a TLS client's first message."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.egress import hello


def first_message(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def test_the_name_is_found() -> None:
    assert hello.read(first_message("api.example.test")) == hello.Hello("api.example.test")


def test_a_client_that_names_nobody_is_understood() -> None:
    assert hello.read(first_message(None)) == hello.Hello(None)


@given(st.integers(0, 150))
def test_a_part_of_the_message_is_waited_for(size: int) -> None:
    assert hello.read(first_message("api.example.test")[:size]) is None


@given(st.integers(1, 200))
def test_a_message_over_several_records_is_put_together(size: int) -> None:
    body = first_message("api.example.test")[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    split = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)
    assert hello.read(split) == hello.Hello("api.example.test")


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for begun in (data, b"\x16\x03\x01" + data, b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c" + data):
        try:
            found = hello.read(begun)
        except (hello.NotTls, hello.Unreadable):
            continue
        assert found is None or isinstance(found, hello.Hello)


def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(hello.Unreadable):
        hello.read(b"\x16\x03\x01\xff\xff\x01\xff\xff\xff" + b"x" * 10)
