"""Request bodies: limits that hold while the bytes come in, and JSON that the database can store."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, QueryDict
from ninja.parser import Parser

from config.errors import BROKEN_JSON
from config.webserver import MAX_BODY, MAX_UPLOAD, MULTIPART_ROOM, answer, too_large
from contract import storable
from contract.errors import ApiError, InvalidRequest
from contract.query import unbracketed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from django.utils.datastructures import MultiValueDict

UPLOAD_PATH = "/v1/files"
CHARSETS = {"utf-8": "utf-8-sig", "ascii": "ascii", "iso8859-1": "iso8859-1"}  # name in Python -> how it is read


def refusal(request: HttpRequest) -> ApiError | None:
    """Why a body can't be read as its headers announce it, if that is so; the codes are those that the SDK knows."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        return InvalidRequest(
            "Content-Encoding: compressed request bodies are not taken; send the body as it is.",
            error_code="request_body_encoding_unsupported",
        )
    if _charset(request) is None:
        return InvalidRequest(
            "Content-Type: the charset must be UTF-8, ISO-8859-1 or US-ASCII; leave it out for UTF-8.",
            error_code="unsupported_charset",
        )
    return None


def _charset(request: HttpRequest) -> str | None:
    named = (request.content_params or {}).get("charset", "utf-8")
    try:
        return CHARSETS.get(codecs.lookup(named).name)
    except (LookupError, ValueError):
        return None


class BodyParser(Parser):
    """Reads JSON bodies strictly and query strings the way the SDK writes them."""

    def parse_body(self, request: HttpRequest) -> Any:
        raw = request.body
        try:
            value = storable.read(raw.decode(_charset(request) or "utf-8-sig"))
        except (ValueError, RecursionError):
            raise InvalidRequest(BROKEN_JSON) from None
        if b"\\u" in raw and not storable.is_storable(value):
            raise InvalidRequest("The request body holds a null character or half a surrogate pair in a string.")
        return value

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        if isinstance(data, QueryDict):
            return unbracketed(data, list_fields)
        parsed: dict[str, Any] = super().parse_querydict(data, list_fields, request)
        return parsed


class LimitedBodies:
    """ASGI wrapper: an API body over its limit is answered with 413 before or while it comes in.

    The limit is 32 MB, for uploads to ``/v1/files`` 500 MB. Bodies without a length are counted.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]
    ) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        limit = MAX_UPLOAD + MULTIPART_ROOM if scope["path"] == UPLOAD_PATH else MAX_BODY
        if _announced(scope) > limit:
            await _refuse(send, limit)
            return
        await self._count(scope, receive, send, limit)

    async def _count(self, scope: Any, receive: Any, send: Any, limit: int) -> None:
        got, over, started = 0, False, False

        async def counting_receive() -> Any:
            nonlocal got, over
            message = await receive()
            if message["type"] == "http.request" and not over:
                got += len(message.get("body", b""))
                over = got > limit
            return {"type": "http.disconnect"} if over else message

        async def watching_send(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        await self.app(scope, counting_receive, watching_send)
        if over and not started:
            await _refuse(send, limit)


def _announced(scope: MutableMapping[str, Any]) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _refuse(send: Callable[..., Any], limit: int) -> None:
    for message in answer(too_large(min(limit, MAX_UPLOAD))):
        await send(message)
