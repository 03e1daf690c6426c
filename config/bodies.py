"""Request bodies: limits that hold while the bytes come in, and JSON that the database can store."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, QueryDict
from ninja.parser import Parser

from config.errors import BROKEN_JSON
from contract import ids
from contract.errors import InvalidRequest
from contract.query import unbracketed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from django.utils.datastructures import MultiValueDict

MEGABYTE = 1024 * 1024
MAX_BODY = 32 * MEGABYTE
MAX_UPLOAD = 500 * MEGABYTE
MULTIPART_ROOM = MEGABYTE  # part headers and boundaries around an upload of the largest size
UPLOAD_PATH = "/v1/files"
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BodyParser(Parser):
    """Reads JSON bodies strictly and query strings the way the SDK writes them."""

    def parse_body(self, request: HttpRequest) -> Any:
        raw = request.body
        try:
            value = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise InvalidRequest(BROKEN_JSON) from None
        if b"\\u" in raw and not _storable(value):
            raise InvalidRequest("The request body holds a null character or half a surrogate pair in a string.")
        return value

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        if isinstance(data, QueryDict):
            return unbracketed(data, list_fields)
        parsed: dict[str, Any] = super().parse_querydict(data, list_fields, request)
        return parsed


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _storable(value: Any) -> bool:
    """PostgreSQL stores neither null characters nor lone surrogates."""
    if isinstance(value, str):
        return UNSTORABLE.search(value) is None
    if isinstance(value, dict):
        return all(_storable(key) and _storable(one) for key, one in value.items())
    if isinstance(value, list):
        return all(_storable(one) for one in value)
    return True


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
    request_id = ids.new_id("req")
    size = limit // MEGABYTE if limit == MAX_BODY else MAX_UPLOAD // MEGABYTE
    error = {"type": "request_too_large", "message": f"The request body is larger than {size} MB."}
    body = json.dumps({"type": "error", "error": error, "request_id": request_id}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
