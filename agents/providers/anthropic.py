"""Any Messages API server, reached through the official SDK.

The SDK brings the client, its headers, the errors and the decoding of server-sent events.
Bodies are serialised here and posted whole (``posting``), and events are kept as the
dictionaries they are: at 500 steps ``beta.messages.create`` costs 15 ms of CPU a turn in
walking the request, this way costs 1 ms, and the blocks go back exactly as they came.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from agents.providers import interrupt
from agents.providers.accumulate import NUL, Accumulator, garbled, storable
from agents.providers.base import (
    WAITS,
    ModelInfo,
    ModelReply,
    ModelRequest,
    OnPart,
    ProviderError,
    ShouldStop,
    StreamPart,
)
from agents.providers.pacing import Pace
from agents.providers.wire import Encoded, Limits, betas, body, narrowed, written
from contract.sdk import load as load_sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

    from agents.providers.posting import Poster

MAX_STREAMS = 256
MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_TURN_SECONDS = 3_600.0
MODELS_KEPT_SECONDS = 300.0
MODELS_FAILED_SECONDS = 30.0
MAX_MODELS = 1_000
_LIMITS_KEPT = 256
QUIET_SECONDS = 1.0  # a wait for a place that is not told of
PUSHED_BACK = ("overloaded", "rate_limited")


class _CannotCompact(Exception):
    """The server refused to be asked for a summary of its own."""


class AnthropicProvider:
    """One server and one key. Thread-safe; up to ``MAX_STREAMS`` turns of a model run at a time, fewer while the
    server says that it is too many (``pacing``); the others wait their turn.

    ``read_timeout`` is the longest silence of a stream, ``max_wait`` the longest wait (both in
    seconds) before the one quick retry of a request that failed within that time, before its stream
    began. A server that asks for more patience or has too much to do is not asked again here: its
    wish goes out as ``retry_after``.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        name: str = "anthropic",
        http_client: Callable[[], httpx2.Client] | None = None,
        retries: int = 1,
        max_wait: float = 2.0,
        connect_timeout: float = 5.0,
        read_timeout: float = 120.0,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._api_key = api_key
        self._http_client = http_client
        self._retries = retries
        self._max_wait = max_wait
        self._timeouts = (connect_timeout, read_timeout)
        self._lock = threading.Lock()
        self._posts: Poster | None = None
        self._paces: dict[str, Pace] = {}
        self._limits: dict[str, Limits] = {}
        self._listing = threading.Lock()
        self._listed: tuple[float, list[ModelInfo] | ProviderError] = (0.0, [])

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        """See ``Provider.stream``. A reply that ran out of context is an error here, like the
        400 that says so before it begins: ``context_exceeded``.
        """
        with interrupt.scope(should_stop, seconds=MAX_TURN_SECONDS, max_bytes=MAX_REPLY_BYTES):
            pace = self._pace(request.model)
            waited = _waited(pace, on_part)
            try:
                if waited:
                    on_part(StreamPart("asked"))
                reply = self._with_retries(request, on_part)
            except ProviderError as error:
                if error.kind in PUSHED_BACK:
                    pace.pushed_back(error.retry_after)
                raise
            finally:
                pace.give_back()
            pace.coped()
            return reply

    def compact(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply | None:
        """See ``Provider.compact``. A server that refuses the parameter, or answers without a summary of its own, is
        not asked again.
        """
        if "compaction" in self._limits.get(request.model, Limits()).dropped:
            return None
        try:
            reply = self.stream(replace(request, compact=True), partial(_wait_alone, on_part), should_stop)
        except _CannotCompact:
            return None
        if not any(block["type"] == "compaction" for block in reply.content):
            limits = self._limits.get(request.model, Limits())
            self._remember(request.model, replace(limits, dropped=limits.dropped | {"compaction"}))
        return reply

    def models(self) -> list[ModelInfo]:
        """What the server lists, remembered for five minutes. Raises ``ProviderError`` when it cannot be asked, and for
        ``MODELS_FAILED_SECONDS`` after that without asking again; a server without the endpoint has an empty list.
        """
        with self._listing:
            until, listed = self._listed
            if time.monotonic() < until:
                return _or_raise(listed)
            try:
                found: list[ModelInfo] | ProviderError = self._ask_models()
            except ProviderError as error:
                found = error
            failed = isinstance(found, ProviderError)
            self._listed = time.monotonic() + (MODELS_FAILED_SECONDS if failed else MODELS_KEPT_SECONDS), found
            return _or_raise(found)

    def _pace(self, model: str) -> Pace:
        with self._lock:
            if model not in self._paces and len(self._paces) >= _LIMITS_KEPT:
                del self._paces[next(iter(self._paces))]
            return self._paces.setdefault(model, Pace(MAX_STREAMS))

    def _with_retries(self, request: ModelRequest, on_part: OnPart) -> ModelReply:
        for attempt in range(self._retries + 1):
            turn, asked_at = _Turn(on_part), time.monotonic()
            try:
                return self._with_limits(request, turn)
            except ProviderError as error:
                wait = 0.5 if error.retry_after is None else error.retry_after
                last = attempt == self._retries or not error.retryable or error.kind in PUSHED_BACK
                if last or turn.began or max(wait, time.monotonic() - asked_at) > self._max_wait:
                    raise
            interrupt.pause(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _with_limits(self, request: ModelRequest, turn: _Turn) -> ModelReply:
        """Ask, dropping what the server refuses. Each round drops one thing, so it ends."""
        load_sdk()
        import anthropic

        limits = self._limits.get(request.model, Limits())
        while True:
            sent = body(request, limits)
            content = _serialised(sent, request.encoded if sent["messages"] is request.messages else None)
            try:
                return self._ask(request, sent, content, turn)
            except anthropic.APIStatusError as error:
                refused = error.status_code in (400, 422) and not turn.began
                learned = narrowed(limits, sent, error.message) if refused else None
                if learned is None:
                    raise self._classified(error) from error
                limits = learned
                self._remember(request.model, limits)
                if request.compact and "compaction" in limits.dropped:
                    raise _CannotCompact from error
            except _transport_errors() as error:
                raise self._classified(error) from error

    def _ask(self, request: ModelRequest, sent: dict[str, Any], content: list[bytes], turn: _Turn) -> ModelReply:
        response = self._poster().post(content, ",".join(betas(sent)))
        try:
            return turn.read(_events(response, self._secrets())).reply(
                model=request.model,
                speed=sent.get("speed", "standard"),
                request_id=response.headers.get("request-id"),
            )
        finally:
            response.close()

    def _ask_models(self) -> list[ModelInfo]:
        load_sdk()
        import anthropic

        found: list[ModelInfo] = []
        try:
            for model in self._poster().sdk.models.list(limit=MAX_MODELS, timeout=10.0):
                found.append(_model_info(model))
                if len(found) == MAX_MODELS:
                    break
        except anthropic.NotFoundError:
            return []
        except _transport_errors() as error:
            raise self._classified(error) from error
        return found

    def _remember(self, model: str, limits: Limits) -> None:
        with self._lock:
            self._limits.pop(model, None)
            self._limits[model] = limits
            if len(self._limits) > _LIMITS_KEPT:
                del self._limits[next(iter(self._limits))]

    def _poster(self) -> Poster:
        with self._lock:
            if self._posts is None:
                self._posts = self._build()
            return self._posts

    def _build(self) -> Poster:
        import anthropic

        from agents.providers import transport
        from agents.providers.posting import Poster

        connect, read = self._timeouts
        make = self._http_client or partial(transport.http_client, connect=connect, read=read, streams=MAX_STREAMS)
        http = make()
        # Both arguments are always given: left out, the SDK would look for a key in the
        # environment and send it to whatever address this is.
        sdk = anthropic.Anthropic(
            api_key=self._api_key or "none",
            base_url=self._base_url or "https://api.anthropic.com",
            max_retries=0,
            http_client=http,
        )
        return Poster(sdk, http)

    def _secrets(self) -> tuple[str, ...]:
        return (self._api_key,) if self._api_key else ()

    def _classified(self, error: Exception) -> ProviderError:
        from agents.providers import faults

        return faults.classify(error, secrets=self._secrets())


class _Turn:
    """One attempt: remembers whether the reader has already seen something of it."""

    def __init__(self, on_part: OnPart) -> None:
        self._on_part = on_part
        self.began = False

    def read(self, events: Iterator[dict[str, Any]]) -> Accumulator:
        from agents.providers import faults

        accumulator = Accumulator()
        for event in events:
            part = accumulator.add(event)
            if part is not None:
                interrupt.poll()  # whoever waits for what comes next asks, too
                self.began = True
                self._show(part)
        if accumulator.stop_reason == "model_context_window_exceeded":
            raise faults.context_exceeded()
        return accumulator

    def _show(self, part: StreamPart) -> None:
        try:
            self._on_part(part)
        except Exception as error:
            # The reader's own failure must not be taken for the model's.
            raise interrupt.Stopped("interrupted", error) from error


def _waited(pace: Pace, on_part: OnPart) -> bool:
    """Take a place; true if that took so long that ``on_part`` was told what the request waits for."""
    began, told = time.monotonic(), False
    while not pace.take(interrupt.SLICE):
        interrupt.poll()
        if not told and time.monotonic() - began >= QUIET_SECONDS:
            told = True
            on_part(StreamPart("waiting", seconds=pace.held))
    return told


def _wait_alone(on_part: OnPart, part: StreamPart) -> None:
    if part.kind in WAITS:
        on_part(part)


def _serialised(sent: dict[str, Any], encoded: Encoded | None) -> list[bytes]:
    try:
        return written(sent, encoded)
    except ValueError as error:
        raise ProviderError(
            "request_failed", "The conversation holds text that is not Unicode.", retryable=False
        ) from error


def _events(response: httpx2.Response, secrets: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    from anthropic import Stream

    from agents.providers import faults

    for record in Stream.raw_events(response):
        if record.event == "error":
            raise faults.of_error_event(record.data, secrets=secrets)
        if not record.data or record.event == "ping":
            continue
        event = from_json(record.data)
        if not isinstance(event, dict):
            raise garbled("an event is not an object")
        yield storable(event) if NUL in record.data else event


def _or_raise(listed: list[ModelInfo] | ProviderError) -> list[ModelInfo]:
    if isinstance(listed, ProviderError):
        raise listed.with_traceback(None)  # each time as if it were new
    return listed


def _model_info(model: Any) -> ModelInfo:
    name = getattr(model, "display_name", None)
    return ModelInfo(
        id=model.id,
        display_name=name or model.id,
        max_input_tokens=getattr(model, "max_input_tokens", None),
        max_output_tokens=getattr(model, "max_tokens", None),
        media=_media(getattr(model, "capabilities", None)),
    )


def _media(capabilities: Any) -> frozenset[str] | None:
    """What a model takes besides text, where its server says so."""
    said = {kind: getattr(capabilities, f"{kind}_input", None) for kind in ("image", "pdf")}
    if not any(hasattr(one, "supported") for one in said.values()):
        return None
    return frozenset(kind for kind, one in said.items() if getattr(one, "supported", False))


def _transport_errors() -> tuple[type[Exception], ...]:
    """The SDK's own errors, and what it lets through unwrapped: the HTTP client's, broken JSON."""
    import anthropic
    import httpx2

    return (anthropic.APIError, httpx2.HTTPError, httpx2.InvalidURL, ValueError)
