"""Chunks put together again: what h11 reads out of the same bytes, however they arrive."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.providers.chunked import MOST_LINE_BYTES, MOST_TRAILERS, Chunks, Malformed

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
ENDS = st.sampled_from([b"", b"x-sum: 1\r\n", b"a: b\r\nc: d\r\n"])
EXTENSIONS = st.sampled_from([b"", b"  ", b";name=value"])


@given(BODIES, ENDS, EXTENSIONS, st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_a_body_comes_out_as_h11_reads_it(
    parts: list[bytes], trailers: bytes, extension: bytes, cuts: list[int], upper: bool
) -> None:
    form = b"%X%b\r\n%b\r\n" if upper else b"%x%b\r\n%b\r\n"
    wire = b"".join(form % (len(part), extension, part) for part in parts) + b"0\r\n" + trailers + b"\r\n"
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    chunks = Chunks()
    read = b"".join(chunks.feed(wire[begin:end]) for begin, end in pairwise(places))
    assert (read, chunks.done, chunks.rest) == (_by_h11(wire), True, b"")


def test_what_comes_after_a_body_is_left_alone() -> None:
    chunks = Chunks()
    assert chunks.feed(b"2\r\nhi\r\n0\r\n\r\nHTTP/1.1") == b"hi"
    assert (chunks.done, chunks.rest) == (True, b"HTTP/1.1")


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x2\r\nhi\r\n",
        b"11111111111111111\r\n",
        b"2\r\nhi!",
        b"2\r\nhi\n",
        b"2" + b";" * MOST_LINE_BYTES,
        b"0\r\n" + b"a: b\r\n" * (MOST_TRAILERS + 1),
    ],
)
def test_what_is_not_in_chunks_is_refused(wire: bytes) -> None:
    with pytest.raises(Malformed):
        Chunks().feed(wire)


def test_a_long_chunk_is_handed_on_as_it_comes_and_not_kept() -> None:
    chunks = Chunks()
    assert chunks.feed(b"186a0\r\n" + b"x" * 10) == b"x" * 10
    assert chunks.feed(b"y" * 1000) == b"y" * 1000
    assert (chunks.rest, chunks.done) == (b"", False)


def _by_h11(wire: bytes) -> bytes:
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(HEAD + wire)
    read = []
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            read.append(bytes(event.data))
    return b"".join(read)
