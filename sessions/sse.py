"""A session's events as server-sent events (spec core 14): a thin skin over ``streams.subscribe``.

The caller (the API's routes) has authenticated the request and set ``request.acting``; errors are
raised as ``contract.errors`` before the first byte, never inside a stream.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.models import Q
from django.http import StreamingHttpResponse
from django.utils import timezone

from contract.errors import InvalidRequest, NotFound, RateLimited
from contract.query import unbracketed
from contract.roles import Permission
from credentials.models import ApiKey
from sessions import reading, streams
from sessions.models import Event, Session, Thread
from sessions.work import keys

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from django.http import HttpRequest

    from contract.acting import Acting
    from contract.http import Request

MAX_VALUES = 100
MAX_TYPE_LENGTH = 64
MAX_SEQ_DIGITS = 18
STREAMS_PER_KEY = 500
RECHECK_SECONDS = 1.0
MAX_LOOKS = 1000
RETRY_SECONDS = 5
OPENING = b": open\n\n"  # the server sends no header before the first byte of a body
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def session_stream(request: HttpRequest, session_id: str) -> StreamingHttpResponse:
    """``GET /v1/sessions/{id}/events/stream``: the session's own view."""
    return await _open(request, session_id, None)  # type: ignore[arg-type]  # the caller has set acting


async def thread_stream(request: HttpRequest, session_id: str, thread_id: str) -> StreamingHttpResponse:
    """``GET /v1/sessions/{id}/threads/{id}/stream``: one thread's events."""
    return await _open(request, session_id, thread_id)  # type: ignore[arg-type]  # the caller has set acting


async def _open(request: Request, session_id: str, thread_id: str | None) -> StreamingHttpResponse:
    await sync_to_async(_give_back_connections)()
    acting = request.acting
    acting.require(Permission.READ)
    deltas, types, places = _deltas(request), _types(request), _places(request)
    after = await reading.in_thread(lambda: _find(acting, session_id, thread_id, places))
    owner = acting.api_key_id or acting.work_id or acting.environment_key_id or f"user:{acting.user_id}"
    if streams.open_count(owner) >= getattr(settings, "HOLDFAST_STREAMS_PER_KEY", STREAMS_PER_KEY):
        raise RateLimited("This key has too many streams open; close some first.", retry_after=RETRY_SECONDS)
    stream = await streams.subscribe(session_id, after, thread_id=thread_id, deltas=deltas, types=types, owner=owner)
    return StreamingHttpResponse(_records(stream, acting, owner), content_type="text/event-stream", headers=HEADERS)


async def _records(stream: streams.Stream, acting: Acting, owner: str) -> AsyncGenerator[bytes, None]:
    """The stream as bytes. It ends when the key that opened it is revoked or expires, before the next frame."""
    async with stream:
        yield OPENING
        async for frame in stream:
            if not await _may_stay(acting, owner):
                return
            yield frame.sse


_looks: dict[tuple[int, str, str], tuple[float, asyncio.Future[bool]]] = {}


async def _may_stay(acting: Acting, owner: str) -> bool:
    """Whether a key is good, as of ``RECHECK_SECONDS`` ago at most: all streams of a key share the look at it."""
    now, place = time.monotonic(), (id(asyncio.get_running_loop()), owner, acting.token_digest or "")
    at, look = _looks.get(place, (0.0, None))
    if look is None or now - at > RECHECK_SECONDS:
        if len(_looks) >= MAX_LOOKS:
            _looks.clear()
        look = asyncio.ensure_future(reading.in_thread(lambda: _still_allowed(acting)))
        _looks[place] = now, look
    return await asyncio.shield(look)


def _give_back_connections() -> None:
    """Free what sign-in took from the pool: the request, and with it its thread's connection, lasts for hours."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _find(acting: Acting, session_id: str, thread_id: str | None, places: Mapping[str, str]) -> int | None:
    """Look that there is such a stream; returns after which number of the log it begins, None for what is new."""
    if not Session.objects.filter(pk=session_id, workspace_id=acting.workspace_id).exists():
        raise NotFound(f"Session {session_id} was not found.")
    if thread_id is not None and not Thread.objects.filter(pk=thread_id, session_id=session_id).exists():
        raise NotFound(f"Thread {thread_id} was not found.")
    return max((_number(session_id, *place) for place in places.items()), default=None)


def _number(session_id: str, name: str, place: str) -> int:
    if place.isascii() and place.isdigit() and len(place) <= MAX_SEQ_DIGITS:
        return int(place)
    seq = Event.objects.filter(pk=place[:MAX_TYPE_LENGTH], session_id=session_id).values_list("seq", flat=True).first()
    if seq is None:
        raise InvalidRequest(f"{name}: must be the number or the id of an event of this session")
    return seq


def _still_allowed(acting: Acting) -> bool:
    if acting.api_key_id is None:
        return keys.still_valid(acting)
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiKey.objects.filter(alive, pk=acting.api_key_id, revoked_at=None).exists()


def _deltas(request: HttpRequest) -> frozenset[str]:
    values = unbracketed(request.GET, ["event_deltas[]"]).get("event_deltas[]", [])
    if len(request.GET.getlist("event_deltas[]")) > MAX_VALUES:
        raise InvalidRequest(f"event_deltas: at most {MAX_VALUES} values")
    for value in values:
        if value not in streams.PREVIEWED:
            raise InvalidRequest(
                f"event_deltas: {value[:MAX_TYPE_LENGTH]!r} is not one of {_listed(streams.PREVIEWED)}"
            )
    return frozenset(values)


def _types(request: HttpRequest) -> frozenset[str] | None:
    values = unbracketed(request.GET, ["types[]"]).get("types[]")
    if values is None:
        return None
    if len(values) > MAX_VALUES:
        raise InvalidRequest(f"types: at most {MAX_VALUES} values")
    if any(not value or len(value) > MAX_TYPE_LENGTH for value in values):
        raise InvalidRequest("types: each must be an event type such as agent.message")
    return frozenset(values)


def _places(request: HttpRequest) -> dict[str, str]:
    """Where to go on: ``?after=`` or, sent by reconnecting browsers, ``Last-Event-ID``; the later of both.

    Each is a record's number or, for clients such as the SDK that don't show it, the id of its event.
    """
    said = {"after": request.GET.get("after"), "Last-Event-ID": request.headers.get("last-event-id")}
    return {name: value for name, value in said.items() if value}


def _listed(values: frozenset[str]) -> str:
    return ", ".join(sorted(values))
