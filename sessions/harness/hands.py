"""The hands of one turn: its session's sandbox, opened at the first call that needs it."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from agents.sandboxes import registry as sandboxes
from agents.sandboxes.base import (
    CallResult,
    Opened,
    SandboxBackend,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
    Upload,
)
from contract import blobs
from sessions.models import Resource, Session
from sessions.mounts import in_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sessions.harness.state import Call

REOPENINGS = 3
WAIT_FOR_HOST_SECONDS = 20.0
RETRY_HOST_SECONDS = 0.2


def backend() -> SandboxBackend:
    """The installation's sandboxes (settings ``SANDBOX``, ``SANDBOX_SOCKET``)."""
    return sandboxes.client(settings.HOLDFAST_SANDBOX, settings.HOLDFAST_SANDBOX_SOCKET)


class Hands:
    """Calls tools in the session's sandbox and opens it again where it got lost.

    Not shared between turns. ``open`` touches the database and belongs to the turn's own thread;
    ``call`` doesn't and may run in many threads side by side.
    """

    def __init__(self, session_id: str, give_up: Callable[[], bool]) -> None:
        self._session_id = session_id
        self._give_up = give_up
        self._backend = backend()
        self._spec = SandboxSpec(session_id)
        self._snapshot = ""
        self.is_open = False

    def open(self, *, first: bool) -> Opened:
        """Make the sandbox ready; waits a while for a host that is starting.

        ``first``: no call of this session was ever sent to a sandbox. Raises ``SandboxUnavailable``.
        """
        session = Session.objects.only("id", "snapshot").get(pk=self._session_id)
        self._spec = SandboxSpec(self._session_id, uploads=tuple(_uploads(session)), first=first)
        self._snapshot = session.snapshot
        opened = self._open()
        self.is_open = True
        return opened

    def _open(self) -> Opened:
        deadline = time.monotonic() + WAIT_FOR_HOST_SECONDS
        while True:
            try:
                if self._snapshot and blobs.exists(self._snapshot):
                    with blobs.open(self._snapshot) as stream:
                        return self._backend.open(self._spec, stream)
                return self._backend.open(self._spec)
            except SandboxUnavailable:
                if time.monotonic() > deadline or self._give_up():
                    raise
                time.sleep(RETRY_HOST_SECONDS)

    def call(self, call: Call, *, reattempt: bool) -> CallResult:
        """Run a call once; a sandbox that gets lost meanwhile is opened again and asked what it knows.

        Raises ``SandboxUnavailable`` if there is no host to ask.
        """
        for _ in range(REOPENINGS):
            try:
                return self._backend.call(self._session_id, call.id, call.name, call.input, reattempt=reattempt)
            except (SandboxLost, SandboxUnavailable):
                if self._give_up():
                    raise
                reattempt = True
                self._spec = replace(self._spec, first=False)
                self._open()
        raise SandboxUnavailable("The sandbox was lost several times in a row while this call ran.")

    def interrupt(self) -> None:
        """Stop whatever runs in the sandbox."""
        try:
            self._backend.interrupt(self._session_id)
        except (SandboxLost, SandboxUnavailable):
            return

    def read_output(self, path: str) -> Iterator[bytes]:
        """Stream one output; see ``SandboxBackend.read_output``."""
        return self._backend.read_output(self._session_id, path)


def _uploads(session: Session) -> list[Upload]:
    rows = Resource.objects.filter(session=session, kind="file").select_related("file")
    return [
        Upload(in_sandbox(row.mount_path), row.file.size_bytes, partial(blobs.open, row.file.digest))
        for row in rows
        if row.file is not None
    ]
