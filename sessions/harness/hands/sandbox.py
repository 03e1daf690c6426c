"""A session's sandbox as a place of calls: opened at the first one, opened again where it got lost."""

from __future__ import annotations

import contextlib
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
    SandboxError,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
    Upload,
)
from contract import blobs
from credentials.egress.client import EgressUnavailable
from sessions import events as ev
from sessions import outputs
from sessions.events import Draft
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.hands.network import Network, denials
from sessions.models import Resource, Session
from sessions.mounts import in_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from credentials.egress.client import Registered
    from sessions.harness.hands.base import Turn
    from sessions.harness.state import Call

REOPENINGS = 3
WAIT_FOR_HOST_SECONDS = 20.0
RETRY_HOST_SECONDS = 0.2


def backend() -> SandboxBackend:
    """The installation's sandboxes (settings ``SANDBOX``, ``SANDBOX_SOCKET``)."""
    return sandboxes.client(settings.HOLDFAST_SANDBOX, settings.HOLDFAST_SANDBOX_SOCKET)


class SandboxHand:
    """Calls tools in the session's sandbox. ``is_open``: it was opened in this turn."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._session_id = turn.spec.session_id
        self._backend = backend()
        self._spec = SandboxSpec(self._session_id)
        self._snapshot = ""
        self._network = Network(self._session_id, turn.spec.agent_name) if Network.path() else None
        self.is_open = False

    def open(self) -> list[Draft]:
        """Make the sandbox ready; waits a while for a host that is starting.

        The mark that it was opened is committed before any call is sent, so a session without the mark has
        never had a call in any sandbox.
        """
        if self.is_open:
            return []
        first, began = not self._turn.state.sandbox_opened, time.monotonic()
        session = Session.objects.select_related("environment").get(pk=self._session_id)
        if session.sandbox_config is None:
            session.sandbox_config = session.environment.config
            session.save(update_fields=["sandbox_config"])
        self._spec = SandboxSpec(self._session_id, uploads=tuple(_uploads(session)), first=first)
        self._snapshot = session.snapshot
        try:
            self._spec = self._connected(session)
            opened = self._open()
            problems = self._network.problems(session) if self._network and first else []
        except (SandboxError, EgressUnavailable) as error:
            raise CannotCarryOut(str(error)) from None
        self.is_open = True
        if not first:
            return []
        mark = {"origin": opened.origin, "layers": list(opened.layers), "duration_ms": _since(began)}
        return [Draft(ev.OPS_SANDBOX_OPENED, mark), *problems]

    def _connected(self, session: Session) -> SandboxSpec:
        """The spec with a network, if there is one; waits a while for a proxy that is starting."""
        if self._network is None:
            return self._spec
        told = self._patiently(partial(self._network.tell, session))
        environment = {**told.variables, **told.placeholders}
        return replace(self._spec, network="proxy", trust=told.trust, environment=environment)

    def _patiently(self, ask: Callable[[], Registered]) -> Registered:
        deadline = time.monotonic() + WAIT_FOR_HOST_SECONDS
        while True:
            try:
                return ask()
            except EgressUnavailable:
                if time.monotonic() > deadline or self._turn.give_up():
                    raise
                time.sleep(RETRY_HOST_SECONDS)

    def _open(self) -> Opened:
        deadline = time.monotonic() + WAIT_FOR_HOST_SECONDS
        while True:
            try:
                if self._snapshot and blobs.exists(self._snapshot):
                    with blobs.open(self._snapshot) as stream:
                        return self._backend.open(self._spec, stream)
                return self._backend.open(self._spec)
            except SandboxUnavailable:
                if time.monotonic() > deadline or self._turn.give_up():
                    raise
                time.sleep(RETRY_HOST_SECONDS)

    def call(self, call: Call, *, reattempt: bool) -> CallResult:
        """Run a call once; a sandbox that gets lost meanwhile is opened again and asked what it knows."""
        try:
            result = self._call(call, reattempt=reattempt)
        except SandboxError as error:
            raise CannotCarryOut(str(error)) from None
        if self._network is None:
            return result
        with contextlib.suppress(EgressUnavailable):
            refused = self._network.collect()
            return replace(result, content=[*result.content, *denials(refused)])
        return result

    def _call(self, call: Call, *, reattempt: bool) -> CallResult:
        for _ in range(REOPENINGS):
            try:
                return self._backend.call(self._session_id, call.id, call.name, call.input, reattempt=reattempt)
            except (SandboxLost, SandboxUnavailable):
                if self._turn.give_up():
                    raise
                reattempt = True
                self._spec = replace(self._spec, first=False)
                self._open()
        raise SandboxUnavailable("The sandbox was lost several times in a row while this call ran.")

    def finished(self, call: Call, result: CallResult) -> list[Draft]:
        """Store what the call left among the outputs, and tell of its requests."""
        if result.outputs:
            outputs.capture(self._session_id, result.outputs, self._read_output)
        return self._network.drafts(call.name) if self._network else []

    def tend(self) -> list[Draft]:
        """While calls run: what is to be committed meanwhile."""
        return self._network.tend() if self._network and self.is_open else []

    def interrupt(self) -> None:
        """Stop whatever runs in the sandbox."""
        with contextlib.suppress(SandboxLost, SandboxUnavailable):
            self._backend.interrupt(self._session_id)

    def _read_output(self, path: str) -> Iterator[bytes]:
        return self._backend.read_output(self._session_id, path)


def _uploads(session: Session) -> list[Upload]:
    rows = Resource.objects.filter(session=session, kind="file").select_related("file")
    return [
        Upload(in_sandbox(row.mount_path), row.file.size_bytes, partial(blobs.open, row.file.digest))
        for row in rows
        if row.file is not None
    ]


def _since(began: float) -> float:
    """Milliseconds since a reading of the monotonic clock."""
    return round((time.monotonic() - began) * 1000, 3)
