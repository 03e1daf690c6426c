"""What Daphne does with a body before the application sees the request, put right.

Twisted below it reads forms itself, whole and in memory, for nobody, and ends a malformed one with a bare 400: here
they reach the application as they came. And it keeps whatever comes in: here no more than the largest upload. Requests
that never become whole get an answer in the API's words too, not a bare status line or none.
"""

from __future__ import annotations

import json
import sys
from functools import partial, partialmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from config.errors import by_status, envelope
from contract import ids
from contract.errors import ApiError, InvalidRequest, TooLarge
from contract.watchdog import Heart

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE = 1024 * 1024
MAX_BODY = 32 * MEGABYTE
MAX_UPLOAD = 500 * MEGABYTE
MULTIPART_ROOM = MEGABYTE  # part headers and boundaries around an upload of the largest size


BODY_TIMEOUT = "request_body_timeout"  # the SDK's code
API = b"/v1/"


class HeadTooLarge(InvalidRequest):
    """431: more headers than the server reads, in number or bytes."""

    status = 431


class AddressTooLong(InvalidRequest):
    """414: a longer request line than the server reads."""

    status = 414


def prepare() -> None:
    """Change Daphne's class of requests, and that of connections, where Daphne serves this process."""
    module = sys.modules.get("daphne.http_protocol")
    if module is not None:
        change_request(module.WebRequest)
        change_channel(module.http.HTTPChannel)
        _say_that_it_lives()


def _say_that_it_lives() -> None:
    """From the event loop that serves everything: one that is stuck says nothing."""
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall

    heart = Heart()
    pause = heart.pause
    begin = partial(LoopingCall(heart.beat).start, pause) if pause is not None else heart.beat
    reactor.callWhenRunning(begin)


def change_request(web_request: Any) -> None:
    """``web_request``: the class, a child of Twisted's ``Request``."""
    begin, take, basic_error = web_request.gotLength, web_request.handleContentChunk, web_request.basic_error

    def got_length(self: Any, length: int | None) -> None:
        begin(self, length)
        if length is not None and length > MAX_UPLOAD + MULTIPART_ROOM:
            _refuse(self.channel, too_large(MAX_UPLOAD))

    def handle_content_chunk(self: Any, data: bytes) -> None:
        if self.content.tell() + len(data) > MAX_UPLOAD + MULTIPART_ROOM:
            _refuse(self.channel, too_large(MAX_UPLOAD))
        else:
            take(self, data)

    def told_error(self: Any, status: int, status_text: bytes, body: str) -> None:
        if not self.path.startswith(API):
            basic_error(self, status, status_text, body)
            return
        error = InvalidRequest(f"The request is malformed: {body.lower()}.") if status == 400 else by_status(status)
        for message in answer(error or ApiError(body)):
            self.handle_reply(message)

    web_request.gotLength = got_length
    web_request.handleContentChunk = handle_content_chunk
    web_request.basic_error = told_error
    web_request.__init__ = partialmethod(web_request.__init__, parsePOSTFormSubmission=False)


def change_channel(channel: Any) -> None:
    """``channel``: the class, Twisted's ``HTTPChannel`` or a child of it."""
    time_out: Callable[[Any], None] = channel.timeoutConnection

    def refuse_malformed(self: Any) -> None:
        _refuse(self, _malformed(self))

    def refuse_line(self: Any, line: bytes) -> None:
        _refuse(self, _head_too_large(self))

    def time_out_told(self: Any) -> None:
        if hasattr(self, "_command") and not self.line_mode:  # a request was begun, and its headers are there
            seconds = f"{self.timeOut:.0f} seconds"
            error = InvalidRequest(f"Nothing of the request body came for {seconds}.", error_code=BODY_TIMEOUT)
            _tell(self, error)
        time_out(self)

    channel._respondToBadRequestAndDisconnect = refuse_malformed
    channel.lineLengthExceeded = refuse_line
    channel.timeoutConnection = time_out_told


def _malformed(channel: Any) -> ApiError:
    """What is wrong with a request that Twisted doesn't go on with; it tells nobody itself."""
    if channel._receivedHeaderSize > channel.totalHeadersSize or channel._receivedHeaderCount > channel.maxHeaders:
        return _head_too_large(channel)
    return InvalidRequest("The request is malformed: its first line, a header or its length can't be read.")


def _head_too_large(channel: Any) -> ApiError:
    if not hasattr(channel, "_command"):  # the first line was not over yet
        return AddressTooLong(f"The address is longer than {channel.MAX_LENGTH:,} bytes.")
    most = f"{channel.totalHeadersSize:,} bytes and {channel.maxHeaders}"
    return HeadTooLarge(f"The request's headers are too large; at most {most} are allowed.")


def _refuse(channel: Any, error: ApiError) -> None:
    """Answer at once and hang up, whatever else comes in."""
    if channel.transport.disconnecting:
        return
    _tell(channel, error)
    channel.loseConnection()


def _tell(channel: Any, error: ApiError) -> None:
    start, told = answer(error)
    status = HTTPStatus(error.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(b": ".join(header) for header in start["headers"])]
    channel.transport.write(b"\r\n".join([*lines, b"", told["body"]]))


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit // MEGABYTE} MB.")


def answer(error: ApiError) -> tuple[dict[str, Any], dict[str, Any]]:
    """An error as the two ASGI messages of its answer, where there is no Django request to respond to."""
    request_id = ids.new_id("req")
    body = json.dumps(envelope(error, request_id)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    start = {"type": "http.response.start", "status": error.status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}
