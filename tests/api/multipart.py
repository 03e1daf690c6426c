"""Multipart bodies written byte by byte, so that filenames keep their directories and anything can be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

BOUNDARY = "boundary-of-a-test"


class Piece(NamedTuple):
    """One part: a file where it has a filename, else text."""

    name: str
    data: bytes | str
    filename: str | None = None


def multipart(pieces: Iterable[Piece]) -> tuple[bytes, str]:
    """The body and its content type."""
    lines = []
    for piece in pieces:
        data = piece.data.encode() if isinstance(piece.data, str) else piece.data
        named = f'; filename="{piece.filename}"' if piece.filename is not None else ""
        head = f'Content-Disposition: form-data; name="{piece.name}"{named}'
        lines += [f"--{BOUNDARY}".encode(), head.encode(), b"", data]
    body = b"\r\n".join([*lines, f"--{BOUNDARY}--".encode(), b""])
    return body, f"multipart/form-data; boundary={BOUNDARY}"
