"""Messages posted as the SDK posts them, each composed from the first.

What the SDK puts around a body (address, key, versions, its own headers, time-outs) is the same for every body with the
same betas. It composes and sends the first; composing each anew took a third of the time that asking a model takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import anthropic

    Compose = Callable[[Sequence[bytes], httpx2.Cookies], httpx2.Request]

PATH = "/v1/messages"


class Poster:
    """One server's Messages API. Thread-safe: what is kept is complete, and the same whoever made it."""

    def __init__(self, sdk: anthropic.Anthropic, http: httpx2.Client) -> None:
        self.sdk, self._http = sdk, http
        self._composed: dict[str, Compose] = {}  # by betas, of which there are a few
        # Learnt as the first is sent: until it is answered a hundred others may have been composed by the SDK, too.
        http.event_hooks = {**http.event_hooks, "request": [*http.event_hooks["request"], self._learn]}

    def post(self, content: Sequence[bytes], betas: str) -> httpx2.Response:
        """The answer to a JSON body (in pieces), to be read as server-sent events and closed; ``betas``: the header's
        value.

        Raises what the SDK raises (``anthropic.APIError``), or the HTTP client's own errors.
        """
        composed = self._composed.get(betas)
        if composed is None:
            return self._first(b"".join(content), betas)
        response = self._http.send(composed(content, self._http.cookies), stream=True)
        if response.is_success:
            return response
        try:
            response.read()
        finally:
            response.close()
        raise _refusal(response)

    def _learn(self, request: httpx2.Request) -> None:
        if request.method == "POST" and not isinstance(request.stream, _Pieces) and request.url.path.endswith(PATH):
            self._composed[request.headers.get("anthropic-beta", "")] = _composition(request)

    def _first(self, content: bytes, betas: str) -> httpx2.Response:
        from anthropic import Stream

        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        if betas:
            headers["anthropic-beta"] = betas
        options: Any = {"headers": headers}
        stream = self.sdk.post(
            PATH, cast_to=object, content=content, options=options, stream=True, stream_cls=Stream[object]
        )
        return stream.response


class _Pieces(httpx2.SyncByteStream):
    """A body that is not put together before it is sent."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def _composition(request: httpx2.Request) -> Compose:
    """Makes requests like the one that was sent, but for their body and its length, and what the server set since."""
    headers = httpx2.Headers(request.headers)
    for name in ("content-length", "cookie"):
        headers.pop(name, None)
    method, url, extensions = request.method, request.url, dict(request.extensions)

    def compose(content: Sequence[bytes], cookies: httpx2.Cookies) -> httpx2.Request:
        made = httpx2.Request(
            method, url, headers=headers, cookies=cookies, stream=_Pieces(content), extensions=extensions
        )
        made.headers["Content-Length"] = str(sum(map(len, content)))
        return made

    return compose


def _refusal(response: httpx2.Response) -> anthropic.APIStatusError:
    """The SDK's error for an answer that was read."""
    import anthropic

    text = response.text.strip()
    try:
        body = from_json(text)
    except ValueError:
        body = text
    told = f"Error code: {response.status_code} - {body}" if body is not text else text
    return anthropic.APIStatusError(told or f"Error code: {response.status_code}", response=response, body=body)
