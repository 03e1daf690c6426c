"""What every live page's socket shares: who may open one, how it ends, and when a workspace is looked at again."""

from __future__ import annotations

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from contract import together
from contract.errors import NotFound, PermissionDenied
from sessions import hub, nudges, reading
from sessions.models import Session
from sessions.presence import NOT_YOURS, Presence, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contract.acting import Acting

log = logging.getLogger(__name__)

COME_BACK = 4000
NORMAL = 1000
PAUSE_SECONDS = 0.5
CHECK_SECONDS = 15.0
WATCHED_SECONDS = 3.0
MAX_DIRTY = 500
GUARD_SECONDS = 30.0  # a nudge comes sooner; this is for those that get lost


class LiveSocket(AsyncWebsocketConsumer, ABC):  # type: ignore[misc]  # channels has no types
    """What all sockets share: a task that writes until it ends, is refused or the browser leaves."""

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
        except (NotFound, PermissionDenied):
            code = NOT_YOURS
        except Exception:
            log.exception("A live page lost its socket; it will come back.")
            code = COME_BACK
        await self.close(code=code)

    async def _write_while_allowed(self) -> None:
        await together.until(asyncio.FIRST_COMPLETED, self.write(), self._guard())

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

    @abstractmethod
    async def write(self) -> None:
        """Write frames until there will be no more."""

    async def frame(self, kind: str, fragment: dict[str, str] | None, seq: int | None = None) -> None:
        """Send one frame of type ``kind``."""
        body: dict[str, Any] = {"type": kind, **(fragment or {})}
        if seq is not None:
            body["seq"] = seq
        await self.send(text_data=json.dumps(body, separators=(",", ":")))


class WorkspaceSocket(LiveSocket):
    """What shows a whole workspace: ``refresh`` is called at first, and whenever one of its sessions' logs grew or a
    nudge was about the workspace.
    """

    async def write(self) -> None:
        presence = Presence(self.scope)
        dirty = _Dirty()
        stop = hub.current().watch(dirty.add)
        try:
            while True:
                acting = await presence.check()
                if dirty.first or await reading.in_thread(partial(dirty.concerns, acting)):
                    await self.refresh(acting)
                await asyncio.sleep(PAUSE_SECONDS)
                await dirty.wait(CHECK_SECONDS)
        finally:
            stop()

    @abstractmethod
    async def refresh(self, acting: Acting) -> None:
        """Send what changed."""


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

    @abstractmethod
    def parts(self, acting: Acting) -> list[dict[str, str]]:
        """All of the page's live parts as they are now."""


class WatchedSocket(PartsSocket):
    """Parts that are on no session's log: looked at every few seconds."""

    async def write(self) -> None:
        presence = Presence(self.scope)
        while True:
            await self.refresh(await presence.check())
            await asyncio.sleep(WATCHED_SECONDS)


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


def _same_origin(scope: dict[str, Any]) -> bool:
    headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
    origin = headers.get(b"origin", "")
    return origin in settings.CSRF_TRUSTED_ORIGINS or urlsplit(origin).netloc == headers.get(b"host")


def _any_in_workspace(session_ids: Iterable[str], workspace_id: str) -> bool:
    wanted = list(session_ids)
    if nudges.workspace(workspace_id) in wanted:
        return True
    return bool(wanted) and Session.objects.filter(pk__in=wanted, workspace_id=workspace_id).exists()


def words(scope: Mapping[str, Any], longest: int = 200) -> dict[str, str]:
    """What the socket's address asks for; no word is longer than ``longest``."""
    query: bytes = scope.get("query_string", b"")
    return {name: values[-1][:longest] for name, values in parse_qs(query.decode("ascii", "replace")).items()}


def asked(scope: Mapping[str, Any], name: str, longest: int = 64) -> str:
    return words(scope, longest).get(name, "")
