"""What Daphne does with a body before the application sees the request, put right.

Twisted below it reads forms itself, whole and in memory, for nobody, and ends a malformed one with a bare 400: here
they reach the application as they came. And it keeps whatever comes in: here no more than the largest upload.
"""

from __future__ import annotations

import json
import sys
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from config.errors import envelope
from contract import ids
from contract.errors import TooLarge

if TYPE_CHECKING:
    from contract.errors import ApiError

MEGABYTE = 1024 * 1024
MAX_BODY = 32 * MEGABYTE
MAX_UPLOAD = 500 * MEGABYTE
MULTIPART_ROOM = MEGABYTE  # part headers and boundaries around an upload of the largest size


def prepare() -> None:
    """Change Daphne's class of requests where Daphne serves this process."""
    module = sys.modules.get("daphne.http_protocol")
    if module is not None:
        change(module.WebRequest)


def change(web_request: Any) -> None:
    """``web_request``: the class, a child of Twisted's ``Request``."""
    begin, take = web_request.gotLength, web_request.handleContentChunk

    def got_length(self: Any, length: int | None) -> None:
        begin(self, length)
        if length is not None and length > MAX_UPLOAD + MULTIPART_ROOM:
            _refuse(self.channel)

    def handle_content_chunk(self: Any, data: bytes) -> None:
        if self.content.tell() + len(data) > MAX_UPLOAD + MULTIPART_ROOM:
            _refuse(self.channel)
        else:
            take(self, data)

    web_request.gotLength = got_length
    web_request.handleContentChunk = handle_content_chunk
    web_request.__init__ = partialmethod(web_request.__init__, parsePOSTFormSubmission=False)


def _refuse(channel: Any) -> None:
    """Answer at once and hang up, whatever else comes in."""
    if channel.transport.disconnecting:
        return
    start, told = answer(too_large(MAX_UPLOAD))
    lines = [b"HTTP/1.1 413 Content Too Large", *(b": ".join(header) for header in start["headers"])]
    channel.transport.write(b"\r\n".join([*lines, b"", told["body"]]))
    channel.loseConnection()


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
