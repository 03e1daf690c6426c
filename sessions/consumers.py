"""The pages' websockets: a session's events as ready fragments, and the overview's counters and lists.

A frame is JSON ``{"seq", "type", "content", "target", "swap"}``: htmx puts ``content`` in place, the
page remembers ``seq`` and comes back with ``?after=<seq>``. One event may need several frames; only
the last of them bears its ``seq``. Frames without ``content`` only tell scripts that it happened.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from contract import zones
from contract.errors import NotFound
from sessions import filters, hub, listing, livetrace, nudges, reading, render, streams
from sessions.approvals import live
from sessions.models import Session
from sessions.presence import NOT_YOURS, Presence, Refused

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from datetime import datetime

    from contract.acting import Acting
    from sessions.frames import Frame

log = logging.getLogger(__name__)

COME_BACK = 4000
TOO_MANY = 4429
NORMAL = 1000
SOCKETS_PER_PERSON = 200
MAX_SEQ_DIGITS = 18
INBOX_PAUSE_SECONDS = 0.5
BESIDE_SECONDS = 1.0
INBOX_CHECK_SECONDS = 15.0
SYSTEM_SECONDS = 3.0
MAX_AGENTS = 50
MAX_DIRTY = 500
GUARD_SECONDS = 30.0  # a nudge comes sooner; this is for those that get lost

_fragments: WeakKeyDictionary[Frame, dict[str, asyncio.Future[list[dict[str, str]]]]] = WeakKeyDictionary()


class LiveSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """What both sockets share: a task that writes until it ends, is refused or the browser leaves."""

    _task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Refuse other sites' pages, those on another port of this host too; else accept.

        Sign-in is checked after that: a browser learns the close code only of a socket that was open.
        """
        if not _same_origin(self.scope):
            await self.close(code=NOT_YOURS)
            return
        await self.accept()
        self._task = asyncio.create_task(self._serve())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing is expected from the page: actions are ordinary requests."""

    async def disconnect(self, code: int) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        code = NORMAL
        try:
            await self._write_while_allowed()
        except Refused as refused:
            code = refused.code
        except NotFound:
            code = NOT_YOURS
        except Exception:
            log.exception("A live page lost its socket; it will come back.")
            code = COME_BACK
        await self.close(code=code)

    async def _write_while_allowed(self) -> None:
        await _first_of(self.write(), self._guard())

    async def _guard(self) -> None:
        """Raise ``Refused`` as soon as the person may no longer see this, also while nothing is to be written."""
        told = asyncio.Event()
        name = nudges.person(getattr(self.scope.get("user"), "pk", None) or "")
        stop = hub.current().watch(lambda about: told.set() if about == name else None)
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), GUARD_SECONDS)
                told.clear()
                await Presence(self.scope, self.scope["url_route"]["kwargs"].get("session_id")).check()
        finally:
            stop()

    async def write(self) -> None:
        """Write frames until there will be no more."""
        raise NotImplementedError

    async def frame(self, kind: str, fragment: dict[str, str] | None, seq: int | None = None) -> None:
        """Send one frame of type ``kind``."""
        body: dict[str, Any] = {"type": kind, **(fragment or {})}
        if seq is not None:
            body["seq"] = seq
        await self.send(text_data=json.dumps(body, separators=(",", ":")))


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of it until one ends or fails, then end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class SessionSocket(LiveSocket):
    """``/ws/sessions/<id>/?after=N``: everything after event N, then whatever comes.

    ``&thread=ID``: a thread's own transcript. ``&view=head``: the header alone, for readings that fetch the rest;
    ``&view=trace``: the header and the trace (``livetrace.address``). What happens on threads whose events this
    reading does not show is told by an empty frame, since counts and drawings on the page may be about them.
    """

    _view = ""
    _thread: str | None = None
    _told = 0.0

    async def write(self) -> None:
        session_id = self.scope["url_route"]["kwargs"]["session_id"]
        presence = Presence(self.scope, session_id)
        acting = await presence.check()
        owner = f"user:{acting.user_id}"
        if streams.open_count(owner) >= getattr(settings, "HOLDFAST_SOCKETS_PER_PERSON", SOCKETS_PER_PERSON):
            raise Refused(TOO_MANY)
        after = _after(self.scope)
        self._view, self._thread = _asked(self.scope, "view"), _asked(self.scope, "thread") or None
        deltas = frozenset() if self._view else streams.PREVIEWED
        opening = streams.subscribe(
            session_id, after, thread_id=self._thread, deltas=deltas, ops=True, midway=True, owner=owner
        )
        await _first_of(self._followed(await opening, presence), self._beside(session_id, after))

    async def _followed(self, opened: streams.Stream, presence: Presence) -> None:
        async with opened as stream:
            async for frame in stream:
                await presence.check()
                await self._show(frame)

    async def _beside(self, session_id: str, after: int | None) -> None:
        """Whenever the log grew, on whichever thread: the trace, or a word that something happened."""
        grown = asyncio.Event()
        stop = hub.current().watch(lambda about: grown.set() if about in (session_id, None) else None)
        trace = livetrace.Live.asked(session_id, _words(self.scope), after) if self._view == "trace" else None
        try:
            while True:
                pause = await self._drawn(trace) if trace else BESIDE_SECONDS
                with suppress(TimeoutError):
                    await asyncio.wait_for(grown.wait(), max(pause, trace.room) if trace and trace.room > 0 else None)
                grown.clear()
                at = time.monotonic()
                await asyncio.sleep(pause)
                if trace is None and self._told < at - BESIDE_SECONDS:
                    await self.frame("log", None)
        finally:
            stop()

    async def _drawn(self, trace: livetrace.Live) -> float:
        """Send what changed of the trace. Returns how long to rest: a watcher may take a tenth of a core."""
        at = time.monotonic()
        for fragment in await reading.in_thread(trace.frames):
            await self.frame("trace", fragment)
        return max(INBOX_PAUSE_SECONDS, 10 * (time.monotonic() - at))

    async def _show(self, frame: Frame) -> None:
        self._told = time.monotonic()
        if frame.kind == "delta":
            await self.frame(frame.type, render.delta_frame(dict(frame.data)))
            return
        kind = "thread" if self._thread else "head" if self._view else ""
        fragments = await _rendered(frame, kind) if frame.event is not None else []
        for fragment in fragments[:-1]:
            await self.frame(frame.type, fragment)
        await self.frame(frame.type, fragments[-1] if fragments else None, frame.seq)


class WorkspaceSocket(LiveSocket):
    """What shows a whole workspace: ``refresh`` is called at first and whenever one of its sessions' logs grew."""

    async def write(self) -> None:
        presence = Presence(self.scope)
        dirty = _Dirty()
        stop = hub.current().watch(dirty.add)
        try:
            while True:
                acting = await presence.check()
                if dirty.first or await reading.in_thread(partial(dirty.concerns, acting)):
                    await self.refresh(acting)
                await asyncio.sleep(INBOX_PAUSE_SECONDS)
                await dirty.wait(INBOX_CHECK_SECONDS)
        finally:
            stop()

    async def refresh(self, acting: Acting) -> None:
        """Send what changed."""
        raise NotImplementedError


class PartsSocket(WorkspaceSocket):
    """Sends the parts of a page that changed since they were sent last."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: dict[str, str] = {}

    async def refresh(self, acting: Acting) -> None:
        for fragment in await reading.in_thread(partial(self.parts, acting)):
            if self._sent.get(fragment["target"]) != fragment["content"]:
                self._sent[fragment["target"]] = fragment["content"]
                await self.frame(self.scope["path"].split("/")[2], fragment)

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        """All of the page's live parts as they are now."""
        raise NotImplementedError


class InboxSocket(PartsSocket):
    """``/ws/inbox/``: the overview of the person's workspace."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        return render.inbox_frames(acting, zones.zone_of(self.scope.get("cookies", {})))


class SystemSocket(PartsSocket):
    """``/ws/system/``: how the installation does, looked at every few seconds: most of it is on no log."""

    async def write(self) -> None:
        presence = Presence(self.scope)
        while True:
            await self.refresh(await presence.check())
            await asyncio.sleep(SYSTEM_SECONDS)

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        return render.system_frames(acting)


class ListSocket(WorkspaceSocket):
    """``/ws/list/?<filters>&page=&at=``: the rows of one page of the list as they change, and how many are new."""

    _live: listing.Live | None = None

    async def refresh(self, acting: Acting) -> None:
        live = self._live = self._live or self._begun()
        for fragment in await reading.in_thread(lambda: live.frames(acting)):
            await self.frame("list", fragment)

    def _begun(self) -> listing.Live:
        query = parse_qs(self.scope.get("query_string", b"").decode("ascii", "replace"))
        given = {name: values[-1] for name, values in query.items()}
        zone = zones.zone_of(self.scope.get("cookies", {}))
        return listing.Live(filters.chosen(given), given.get("page"), _moment(given.get("at")), zone)


class AgentsSocket(PartsSocket):
    """``/ws/agents/?ids=a,b``: the figures of the agents a page shows, sent again where they changed."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        ids = parse_qs(self.scope.get("query_string", b"").decode("ascii", "replace")).get("ids", [""])[-1]
        return render.agent_frames([one for one in ids.split(",") if one][:MAX_AGENTS], acting)


class ApprovalsSocket(WorkspaceSocket):
    """``/ws/approvals/?at=T&only=ID``: calls that wait since T, and those answered since; of one if it is named."""

    _changes: live.Changes | None = None

    async def refresh(self, acting: Acting) -> None:
        if self._changes is None:
            query = parse_qs(self.scope.get("query_string", b"").decode("ascii", "replace"))
            self._changes = live.Changes(_moment(query.get("at", [None])[-1]), query.get("only", [""])[-1][:64])
        changes = self._changes
        fragment = await reading.in_thread(lambda: changes.frame(acting))
        if fragment is not None:
            await self.frame("approvals", fragment)


class _Dirty:
    """Sessions whose logs grew since the last look; bounded, for beyond that it may be any."""

    def __init__(self) -> None:
        self.first = True
        self._any = False
        self._ids: set[str] = set()
        self._woken = asyncio.Event()

    def add(self, session_id: str | None) -> None:
        if session_id is None or len(self._ids) >= MAX_DIRTY:
            self._any = True
        else:
            self._ids.add(session_id)
        self._woken.set()

    def concerns(self, acting: Acting) -> bool:
        """True if the workspace's sessions are among them; forgets them."""
        wanted, everything = self._ids, self._any
        self._ids, self._any = set(), False
        return everything or _any_in_workspace(wanted, acting.workspace_id)

    async def wait(self, seconds: float) -> None:
        self.first = False
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()


def _moment(given: str | None) -> datetime:
    """When a page was loaded, by its own word; now if it says nothing that is a time."""
    try:
        found = parse_datetime((given or "").replace(" ", "+"))
    except ValueError:
        found = None
    return found if found is not None and found.tzinfo is not None else timezone.now()


def _same_origin(scope: dict[str, Any]) -> bool:
    headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
    origin = headers.get(b"origin", "")
    return origin in settings.CSRF_TRUSTED_ORIGINS or urlsplit(origin).netloc == headers.get(b"host")


def _any_in_workspace(session_ids: Iterable[str], workspace_id: str) -> bool:
    wanted = list(session_ids)
    return bool(wanted) and Session.objects.filter(pk__in=wanted, workspace_id=workspace_id).exists()


async def _rendered(frame: Frame, view: str) -> list[dict[str, str]]:
    """The fragments of an event, made once for all sockets of this process that show the same of it."""
    made = _fragments.setdefault(frame, {})
    found = made.get(view)
    if found is None:
        found = made[view] = asyncio.ensure_future(reading.in_thread(lambda: _render(frame, view)))
    return await asyncio.shield(found)


def _render(frame: Frame, view: str) -> list[dict[str, str]]:
    if frame.event is None:
        return []
    try:
        session = Session.objects.select_related("agent", "environment").get(pk=frame.event.session_id)
        return render.event_frames(frame.event, session, view)
    except Session.DoesNotExist:
        return []
    except Exception:
        log.exception("Event %s could not be shown live; a reload shows it.", frame.event.id)
        return []


def _words(scope: dict[str, Any]) -> dict[str, str]:
    """What the socket's address asks for."""
    query: bytes = scope.get("query_string", b"")
    return {name: values[-1][:64] for name, values in parse_qs(query.decode("ascii", "replace")).items()}


def _asked(scope: dict[str, Any], name: str) -> str:
    return _words(scope).get(name, "")


def _after(scope: dict[str, Any]) -> int | None:
    """``?after=`` of the socket's address; what is no number counts as not given."""
    value = _asked(scope, "after")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= MAX_SEQ_DIGITS else None
