"""A connection straight to a model's server, HTTP/1.1, one request after the other.

httpcore2's own sends a request's head and body by themselves, which wakes the server twice, and hands a reply on chunk
by chunk through seven generators: a third of what asking a model took. h11 checks and reads the heads, here as there.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, cast

import h11
import httpcore2

from agents.providers.chunked import Chunks, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents.providers.transport import Buffer, PolledStream

READ_BYTES = 64 * 1024
MOST_HEAD_BYTES = 100 * 1024


class Line(httpcore2.ConnectionInterface):
    """``opened`` connects, at the first request; ``kept_seconds``: how long it may rest between two, None for ever. For
    one thread at a time.
    """

    def __init__(self, opened: Callable[[httpcore2.Request], PolledStream], kept_seconds: float | None) -> None:
        self._opened, self._kept_seconds = opened, kept_seconds
        self._stream: PolledStream | None = None
        self._idle = self._closed = self._sent_whole = self._read_whole = False
        self._expires_at: float | None = None
        self._head: h11.Request | None = None
        self._said: object = None  # what the head is of

    def handle_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request and read the head of its answer, whose ``close`` ends it. Raises httpcore2's errors."""
        self._idle = self._sent_whole = self._read_whole = False
        timeouts = request.extensions.get("timeout", {})
        try:
            if self._stream is None:
                self._stream = self._opened(request)
            with _httpcores_errors():
                return self._ask(self._stream, request, timeouts.get("write"), timeouts.get("read"))
        except BaseException:
            self.close()
            raise

    def over(self) -> None:
        """The request is done with; if all of it was sent and its answer read to the end, there may be another."""
        if not (self._sent_whole and self._read_whole):
            self.close()
            return
        self._expires_at = None if self._kept_seconds is None else time.monotonic() + self._kept_seconds
        self._idle = True

    def close(self) -> None:
        self._closed, self._idle = True, False
        if self._stream is not None:
            self._stream.close()

    def is_available(self) -> bool:
        return self._idle

    def has_expired(self) -> bool:
        """Whether it rested too long, or its server closed it: nothing else is to be read from an idle connection."""
        if not self._idle or self._stream is None:
            return False
        late = self._expires_at is not None and time.monotonic() > self._expires_at
        return late or bool(self._stream.get_extra_info("is_readable"))

    def is_idle(self) -> bool:
        return self._idle

    def is_closed(self) -> bool:
        return self._closed

    def _ask(
        self, stream: PolledStream, request: httpcore2.Request, write: float | None, read: float | None
    ) -> httpcore2.Response:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
        with suppress(httpcore2.WriteError):  # a server may answer and close before it has read everything
            stream.write_all(self._framed(http, request), write)
            self._sent_whole = True
        answer = _event(http, stream, read)
        while not isinstance(answer, h11.Response):
            answer = _event(http, stream, read)
        chunked = any(name == b"transfer-encoding" for name, _ in answer.headers) and http.their_state is h11.SEND_BODY
        body = self._chunks(http, stream, read) if chunked else self._body(http, stream, read)
        extensions = {"http_version": b"HTTP/" + answer.http_version, "reason_phrase": answer.reason}
        return httpcore2.Response(
            answer.status_code, headers=answer.headers.raw_items(), content=_Answer(self, body), extensions=extensions
        )

    def _framed(self, http: h11.Connection, request: httpcore2.Request) -> list[Buffer]:
        """The request's bytes. Its head is checked and written once, and said again while only the length differs."""
        lengths = [value for name, value in request.headers if name.lower() == b"content-length"]
        others = [one for one in request.headers if one[0].lower() != b"content-length"]
        said = (request.method, request.url.target, others)
        if self._head is None or said != self._said:
            self._head, self._said = h11.Request(method=request.method, target=request.url.target, headers=others), said
        head = http.send(self._head)
        pieces = list(cast("Iterable[bytes]", request.stream))
        if not lengths:
            framed = [http.send_with_data_passthrough(h11.Data(data=piece)) or [] for piece in pieces]
            return [head, *chain(*framed), http.send(h11.EndOfMessage())]
        http.send(h11.EndOfMessage())
        if sum(map(len, pieces)) != int(lengths[0]):
            raise httpcore2.LocalProtocolError("A request's body is not as long as its head says.")
        return [head[:-2] + b"Content-Length: %b\r\n\r\n" % lengths[0], *pieces]

    def _chunks(self, http: h11.Connection, stream: PolledStream, timeout: float | None) -> Iterator[bytes]:
        chunks = Chunks()
        with _httpcores_errors():
            data, _ = http.trailing_data
            while True:
                if piece := chunks.feed(data):
                    yield piece
                if chunks.done:
                    break
                data = stream.read(READ_BYTES, timeout)
                if not data:
                    raise httpcore2.RemoteProtocolError("The server closed the connection in the middle of its answer.")
            self._read_whole = http.our_state is h11.DONE and not chunks.rest

    def _body(self, http: h11.Connection, stream: PolledStream, timeout: float | None) -> Iterator[bytes]:
        """A body that is no chunks: of a length that is said, or up to the connection's end."""
        with _httpcores_errors():
            while isinstance(event := _event(http, stream, timeout), h11.Data):
                yield bytes(event.data)
            self._read_whole = http.our_state is h11.DONE and http.trailing_data == (b"", False)


class _Answer:
    """The body of an answer."""

    def __init__(self, line: Line, pieces: Iterator[bytes]) -> None:
        self._line, self._pieces = line, pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._line.over()


def _event(http: h11.Connection, stream: PolledStream, timeout: float | None) -> object:
    """The next of h11's events."""
    while (event := http.next_event()) is h11.NEED_DATA:
        data = stream.read(READ_BYTES, timeout)
        if not data and http.their_state is h11.SEND_RESPONSE:
            raise httpcore2.RemoteProtocolError("Server disconnected without sending a response.")
        http.receive_data(data)
    return event


@contextmanager
def _httpcores_errors() -> Iterator[None]:
    try:
        yield
    except h11.LocalProtocolError as error:
        raise httpcore2.LocalProtocolError(str(error)) from error
    except (h11.RemoteProtocolError, Malformed) as error:
        raise httpcore2.RemoteProtocolError(str(error)) from error
