"""Sealing what is too large for one piece: a stream of frames under the ring's first key (AES-256-GCM).

``HFS1``, the key's name (one byte of length before it), a random stream id, then frames: four bytes of length, a nonce,
the sealed piece. Each frame is bound to the stream, its place, and whether it is the last: none can be moved, left out
or taken from another stream.
"""

from __future__ import annotations

import hmac
import io
import os
from typing import TYPE_CHECKING, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from credentials import crypto
from credentials.crypto import NONCE_BYTES, CannotOpen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"HFS1"
STREAM_BYTES = 16
PIECE = 1024 * 1024
TAG_BYTES = 16


def seal(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The sealed form of a stream of pieces of any size."""
    name = crypto.current_key()
    cipher, stream = AESGCM(crypto.key_bytes(name)), os.urandom(STREAM_BYTES)
    yield MAGIC + bytes([len(name.encode())]) + name.encode() + stream
    held, place = bytearray(), 0
    for piece in pieces:
        held += piece
        while len(held) > PIECE:
            yield _frame(cipher, stream, place, bytes(held[:PIECE]), last=False)
            del held[:PIECE]
            place += 1
    yield _frame(cipher, stream, place, bytes(held), last=True)


class Identity:
    """A name for a stream's plain form, the same each time under one key: HMAC-SHA256, so that it tells nothing."""

    def __init__(self) -> None:
        key = hmac.digest(crypto.key_bytes(crypto.current_key()), b"names of sealed streams", "sha256")
        self._hash = hmac.new(key, digestmod="sha256")

    def watch(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._hash.update(piece)
            yield piece

    def name(self) -> str:
        """64 hexadecimal digits, once every piece has passed."""
        return self._hash.hexdigest()


def key_of(source: BinaryIO) -> str:
    """The name of the key that sealed a stream, "" for a plain one. The stream is at its beginning then."""
    head = source.read(len(MAGIC) + 1 + crypto.MAX_NAME_BYTES)
    source.seek(0)
    if head[: len(MAGIC)] != MAGIC or len(head) == len(MAGIC):
        return ""
    start = len(MAGIC) + 1
    return head[start : start + head[len(MAGIC)]].decode(errors="replace")


def unsealed(source: BinaryIO) -> BinaryIO:
    """The plain form of a stream that may be sealed or not. Reading raises ``CannotOpen`` where it was changed."""
    head = source.read(len(MAGIC))
    if head != MAGIC:
        return io.BufferedReader(_Pieces(_rest(head, source)), PIECE)
    return io.BufferedReader(_Pieces(_opened(source)), PIECE)


def _rest(head: bytes, source: BinaryIO) -> Iterator[bytes]:
    yield head
    while piece := source.read(PIECE):
        yield piece


def _opened(source: BinaryIO) -> Iterator[bytes]:
    name = _exactly(source, _exactly(source, 1)[0]).decode(errors="replace")
    cipher, stream = AESGCM(crypto.key_bytes(name)), _exactly(source, STREAM_BYTES)
    place, last = 0, False
    while not last:
        size = int.from_bytes(_exactly(source, 4))
        last = bool(size >> 31)
        sealed = _exactly(source, size & 0x7FFFFFFF)
        try:
            yield cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(stream, place, last=last))
        except InvalidTag:
            raise CannotOpen(f"A stream sealed with the key {name!r} was changed.") from None
        place += 1


def _frame(cipher: AESGCM, stream: bytes, place: int, piece: bytes, *, last: bool) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + cipher.encrypt(nonce, piece, _bound(stream, place, last=last))
    return (len(sealed) | (last << 31)).to_bytes(4) + sealed


def _bound(stream: bytes, place: int, *, last: bool) -> bytes:
    return stream + place.to_bytes(8) + bytes([last])


def _exactly(source: BinaryIO, size: int) -> bytes:
    if size > PIECE + NONCE_BYTES + TAG_BYTES:
        raise CannotOpen("A sealed stream is broken.")
    data = source.read(size)
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            raise CannotOpen("A sealed stream ends too early.")
        data += more
    return data


class _Pieces(io.RawIOBase):
    """An iterator of pieces as a raw stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, memoryview(b"")  # a view: a slice of it copies nothing

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as io calls it
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
