"""A digest of every request body that carries an ``Idempotency-Key``, made while the bytes come in.

A client that asks again draws a new boundary for its multipart body, so boundaries don't count.
"""

from __future__ import annotations

import hashlib
from email.message import Message
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

SCOPE_KEY = "holdfast.body_digest"
HEADER = b"idempotency-key"


class BodyDigest:
    """SHA-256 over a body fed in pieces of any size, blind to what its multipart boundary is called."""

    def __init__(self, content_type: str = "") -> None:
        self._hash = hashlib.sha256()
        self._boundary = _boundary(content_type)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if not self._boundary:
            self._hash.update(data)
            return
        *parts, rest = (self._rest + data).split(self._boundary)
        for part in parts:
            self._hash.update(part)
            self._hash.update(b"\0boundary\0")
        # The end may be the beginning of a boundary.
        keep = min(len(self._boundary) - 1, len(rest))
        self._hash.update(rest[: len(rest) - keep])
        self._rest = rest[len(rest) - keep :]

    def hexdigest(self) -> str:
        """Of everything fed so far; feed nothing after it."""
        self._hash.update(self._rest)
        self._rest = b""
        return self._hash.hexdigest()


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    if message.get_content_maintype() != "multipart":
        return b""
    return str(message.get_param("boundary", "")).encode("latin-1", "replace")


class DigestedBodies:
    """ASGI wrapper: leaves the digest in the scope once the body has come in."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]
    ) -> None:
        headers = dict(scope["headers"])
        if HEADER not in headers:
            await self.app(scope, receive, send)
            return
        digest = scope[SCOPE_KEY] = BodyDigest(headers.get(b"content-type", b"").decode("latin-1"))

        async def digesting_receive() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                digest.feed(message.get("body", b""))
            return message

        await self.app(scope, digesting_receive, send)
