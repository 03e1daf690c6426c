"""What the client library doesn't tell: the HTTP status behind its errors."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

import httpx2


@dataclass(slots=True)
class Seen:
    """The last refusal of the server: an HTTP status of 400 and above (0: none), or why there was no answer."""

    status: int = 0
    trouble: str = ""

    @property
    def words(self) -> str:
        """The refusal as the end of a sentence."""
        return self.trouble or (f"it answered with HTTP {self.status}" if self.status else "it gave no usable answer")


# The client carries a caller's context along to the request it makes for it, so calls side by side stay apart.
of_this_call: ContextVar[Seen | None] = ContextVar("of_this_call", default=None)


class Watching(httpx2.AsyncBaseTransport):
    """A transport that notes refusals, for the call at hand and for the connection.

    ``gets``: of GET too. Over streamable HTTP those are a courtesy that servers may refuse.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, seen: Seen, *, gets: bool = False) -> None:
        self._inner, self._seen, self._gets = inner, seen, gets

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            self._note(0, str(error))
            raise
        if response.status_code >= 400 and (request.method == "POST" or self._gets):
            self._note(response.status_code, "")
        return response

    def _note(self, status: int, trouble: str) -> None:
        for seen in (self._seen, of_this_call.get()):
            if seen is not None:
                seen.status, seen.trouble = status, trouble

    async def aclose(self) -> None:
        await self._inner.aclose()
