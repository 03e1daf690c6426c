"""The chunks of an HTTP/1.1 body put together again (RFC 9112, 7.1): all that came in one read at once. Pure.

h11 makes an event of each chunk. A model's server puts each server-sent event into a chunk of its own, some thirty of
which arrive together: taking them apart one by one took longer than anything else about a reply.
"""

from __future__ import annotations

import re

MOST_LINE_BYTES = 8 * 1024  # of a chunk's size with its extensions, of a trailer
MOST_TRAILERS = 100
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")
_BEGIN = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")


class Malformed(ValueError):
    """What came is not in chunks."""


class Chunks:
    """Feed it what was read, in pieces of any size; ``done`` once the last chunk and its trailers have come."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""  # not taken in yet; once done, what came after the body
        self._left = 0  # bytes still to come of a chunk
        self._ends = False  # a chunk's end of line is still to come
        self._trailers: int | None = None  # how many came; None before the last chunk

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in ``data``. Raises ``Malformed``."""
        data = self.rest + data
        out: list[bytes] = []
        at = 0 if self._left or self._ends or self._trailers is not None else _whole(data, out)
        while not self.done:
            if self._left:
                out.append(data[at : at + self._left])
                at += len(out[-1])
                self._left -= len(out[-1])
                if self._left:
                    break
            end = self._line(data, at)
            if end < 0:
                break
            self._take(data[at:end])
            at = end + 2
        self.rest = data[at:]
        return b"".join(out)

    def _line(self, data: bytes, at: int) -> int:
        """Where the line ends that begins at ``at``; -1 if that has not come yet."""
        if self._ends and not b"\r\n".startswith(data[at : at + 2]):
            raise Malformed("A chunk of a body is longer than it says.")
        end = data.find(b"\r\n", at)
        if (len(data) if end < 0 else end) - at > MOST_LINE_BYTES:
            raise Malformed("A line between the chunks of a body is too long.")
        return end

    def _take(self, line: bytes) -> None:
        """A line that is no part of the body: a chunk's end, its size, a trailer, the empty line that ends it all."""
        if self._ends:
            self._ends = False
        elif self._trailers is not None:
            self.done = not line
            self._trailers += 1
            if self._trailers > MOST_TRAILERS:
                raise Malformed("A body has too many trailers.")
        else:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise Malformed("A chunk of a body does not say how long it is.")
            self._left = int(size[1], 16)
            self._ends = self._left > 0
            self._trailers = None if self._left else 0


def _whole(data: bytes, out: list[bytes]) -> int:
    """Put the chunks that ``data`` begins with into ``out``, as far as they are whole and say their size alone: nearly
    all of them do. Answers where the next begins.
    """
    at = 0
    while (begin := _BEGIN.match(data, at)) is not None:
        start, size = begin.end(), int(begin[1], 16)
        if not size or data[start + size : start + size + 2] != b"\r\n":
            break
        out.append(data[start : start + size])
        at = start + size + 2
    return at
