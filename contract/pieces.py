"""Bytes on their way out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import StreamingHttpResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CHUNK = 256 * 1024


class Pieces:
    """A file as an async iterator: the server would gather a plain one in memory before it sends the first byte.

    The response closes it, also when the client goes away before it asked for anything.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await sync_to_async(self.stream.read, thread_sensitive=False)(CHUNK):
            yield chunk

    def close(self) -> None:
        self.stream.close()


class Written:
    """Text out of the database, as an async iterator: what makes one piece is read once the piece before is on its way.

    ``parts`` must hold nothing open between two of them, such as a cursor: each piece has a connection of its own.
    """

    def __init__(self, parts: Iterator[str]) -> None:
        self.parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await sync_to_async(self._next)():
            yield piece

    def _next(self) -> bytes:
        held = bytearray()
        for part in self.parts:
            held += part.encode()
            if len(held) >= CHUNK:
                break
        if not connection.in_atomic_block:
            connection.close()  # back to the pool: the reader may take minutes
        return bytes(held)


def download(stream: BinaryIO, *, filename: str, mime_type: str) -> StreamingHttpResponse:
    """A file on disk as an answer that a browser saves and never shows."""
    response = StreamingHttpResponse(Pieces(stream), content_type=mime_type)
    response["content-length"] = str(os.fstat(stream.fileno()).st_size)
    response["content-disposition"] = f"attachment; filename*=UTF-8''{quote(filename)}"
    response["x-content-type-options"] = "nosniff"
    return response
