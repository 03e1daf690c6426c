"""Streams sealed piece by piece: read back whole, refused where anything was changed."""

from __future__ import annotations

import base64
import io
import os
from typing import Any

import pytest

from contract.secret import Secret
from credentials import sealed_streams
from credentials.crypto import CannotOpen

PIECE = sealed_streams.PIECE


def sealed(data: bytes, size: int = 100_000) -> bytes:
    return b"".join(sealed_streams.seal(data[at : at + size] for at in range(0, len(data), size)))


def opened(data: bytes) -> bytes:
    return sealed_streams.unsealed(io.BytesIO(data)).read()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
def test_what_was_sealed_is_read_back(size: int) -> None:
    data = os.urandom(size)
    kept = sealed(data)
    assert opened(kept) == data
    assert size < 16 or data[:16] not in kept


def test_a_stream_that_was_never_sealed_is_read_as_it_is() -> None:
    assert opened(b"\x28\xb5\x2f\xfd plain") == b"\x28\xb5\x2f\xfd plain"
    assert opened(b"") == b""


def test_a_change_anywhere_is_noticed() -> None:
    kept = sealed(os.urandom(2 * PIECE + 5))
    for place in (30, len(kept) // 2, len(kept) - 1):
        broken = bytearray(kept)
        broken[place] ^= 1
        with pytest.raises(CannotOpen):
            opened(bytes(broken))


def test_a_stream_that_was_cut_or_put_together_anew_is_noticed() -> None:
    first, second = sealed(b"a" * (2 * PIECE)), sealed(b"b" * (2 * PIECE))
    with pytest.raises(CannotOpen, match="ends too early"):
        opened(first[: len(first) - 10])
    half = len(first) // 2
    with pytest.raises(CannotOpen):
        opened(first[:half] + second[half:])


def test_an_older_key_opens_and_a_missing_one_is_named(settings: Any) -> None:
    kept = sealed(b"workspace")
    new = ("new", Secret(base64.b64encode(b"n" * 32).decode()))
    settings.HOLDFAST_KEYS = (new, *settings.HOLDFAST_KEYS)
    assert opened(kept) == b"workspace"
    settings.HOLDFAST_KEYS = (new,)
    with pytest.raises(CannotOpen, match="HOLDFAST_KEYS"):
        opened(kept)
