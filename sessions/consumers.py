"""The pages' websockets: a session's events as ready fragments, and the overview's counters and lists.

A frame is JSON ``{"seq", "type", "content", "target", "swap"}``: htmx puts ``content`` in place, the
page remembers ``seq`` and comes back with ``?after=<seq>``. One event may need several frames; only
the last of them bears its ``seq``. Frames without ``content`` only tell scripts that it happened.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from contract import together, zones
from sessions import filters, hub, listing, liveparts, livetrace, reading, render, streams
from sessions.approvals import live
from sessions.models import Session
from sessions.presence import Presence, Refused
from sessions.sockets import (
    PAUSE_SECONDS,
    LiveSocket,
    PartsSocket,
    WatchedSocket,
    WorkspaceSocket,
    asked,
    words,
)

if TYPE_CHECKING:
    from datetime import datetime

    from contract.acting import Acting
    from sessions.frames import Frame

log = logging.getLogger(__name__)

TOO_MANY = 4429
SOCKETS_PER_PERSON = 200
MAX_SEQ_DIGITS = 18
BESIDE_SECONDS = 1.0
MAX_AGENTS = 50

_fragments: WeakKeyDictionary[Frame, dict[str, asyncio.Future[list[dict[str, str]]]]] = WeakKeyDictionary()


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
        self._view, self._thread = asked(self.scope, "view"), asked(self.scope, "thread") or None
        deltas = frozenset() if self._view else streams.PREVIEWED
        opening = streams.subscribe(
            session_id, after, thread_id=self._thread, deltas=deltas, ops=True, midway=True, owner=owner
        )
        await together.until(
            asyncio.FIRST_COMPLETED, self._followed(await opening, presence), self._beside(session_id, after)
        )

    async def _followed(self, opened: streams.Stream, presence: Presence) -> None:
        async with opened as stream:
            async for frame in stream:
                await presence.check()
                await self._show(frame)

    async def _beside(self, session_id: str, after: int | None) -> None:
        """Whenever the log grew, on whichever thread: the trace, or a word that something happened."""
        grown = asyncio.Event()
        stop = hub.current().watch(lambda about: grown.set() if about in (session_id, None) else None)
        trace = livetrace.Live.asked(session_id, words(self.scope), after) if self._view == "trace" else None
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
        return max(PAUSE_SECONDS, 10 * (time.monotonic() - at))

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


class InboxSocket(PartsSocket):
    """``/ws/inbox/``: the overview of the person's workspace."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        return render.inbox_frames(acting, zones.zone_of(self.scope.get("cookies", {})))


class SystemSocket(WatchedSocket):
    """``/ws/system/``: how the installation does."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        return render.system_frames(acting)


class PartSocket(WatchedSocket):
    """``/ws/part/?show=NAME&of=ID``: one live part of a page, by its name in ``liveparts.PARTS``."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        return liveparts.frames(asked(self.scope, "show"), asked(self.scope, "of"), acting)


class LimitsSocket(PartsSocket):
    """``/ws/limits/``: what the workspace may use and uses, what runs and what waits."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        return render.limits_frames(acting)


class ListSocket(WorkspaceSocket):
    """``/ws/list/?<filters>&page=&at=``: the rows of one page of the list as they change, and how many are new."""

    _live: listing.Live | None = None

    async def refresh(self, acting: Acting) -> None:
        live = self._live = self._live or self._begun()
        for fragment in await reading.in_thread(lambda: live.frames(acting)):
            await self.frame("list", fragment)

    def _begun(self) -> listing.Live:
        given = words(self.scope)
        zone = zones.zone_of(self.scope.get("cookies", {}))
        return listing.Live(filters.chosen(given), given.get("page"), _moment(given.get("at")), zone)


class AgentsSocket(PartsSocket):
    """``/ws/agents/?ids=a,b``: the figures of the agents a page shows, sent again where they changed."""

    def parts(self, acting: Acting) -> list[dict[str, str]]:
        ids = asked(self.scope, "ids", MAX_AGENTS * 64)
        return render.agent_frames([one for one in ids.split(",") if one][:MAX_AGENTS], acting)


class ApprovalsSocket(WorkspaceSocket):
    """``/ws/approvals/?at=T&only=ID``: calls that wait since T, and those answered since; of one if it is named."""

    _changes: live.Changes | None = None

    async def refresh(self, acting: Acting) -> None:
        if self._changes is None:
            self._changes = live.Changes(_moment(asked(self.scope, "at")), asked(self.scope, "only"))
        changes = self._changes
        fragment = await reading.in_thread(lambda: changes.frame(acting))
        if fragment is not None:
            await self.frame("approvals", fragment)


def _moment(given: str | None) -> datetime:
    """When a page was loaded, by its own word; now if it says nothing that is a time."""
    try:
        found = parse_datetime((given or "").replace(" ", "+"))
    except ValueError:
        found = None
    return found if found is not None and found.tzinfo is not None else timezone.now()


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


def _after(scope: dict[str, Any]) -> int | None:
    """``?after=`` of the socket's address; what is no number counts as not given."""
    value = asked(scope, "after")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= MAX_SEQ_DIGITS else None
