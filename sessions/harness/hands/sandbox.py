"""A session's sandbox as a place of calls: opened at the first one, opened again where it got lost."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from django.conf import settings
from django.db import connection

from agents.memory.mounted import Memories, told
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
from contract import blobs, tracing
from credentials.crypto import CannotOpen
from credentials.egress.client import EgressUnavailable
from sessions import events as ev
from sessions import outputs, prepared, resources, snapshots
from sessions.events import Draft
from sessions.harness.hands import checkouts, environments, memory, skills
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.hands.door import door
from sessions.harness.hands.network import Network, denials
from sessions.ledgers import parsed
from sessions.log import UnknownThread
from sessions.models import Resource, Session
from sessions.mounts import in_sandbox
from sessions.teams import Team

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sessions.harness.hands.base import Turn
    from sessions.harness.state import Call
    from sessions.models import File

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

REOPENINGS = 3
WAIT_FOR_HOST_SECONDS = 20.0
RETRY_HOST_SECONDS = 0.2
LOOK_SECONDS = 0.5
SESSION = prepared.Question(lambda: Session.objects.select_related("environment").filter(pk=prepared.TEXT).order_by())
SETTLE = """
WITH was AS (SELECT id, xmin FROM agent_sessions_session WHERE id = %s FOR UPDATE)
UPDATE agent_sessions_session s SET sandbox_config = coalesce(s.sandbox_config, %s::jsonb), machine = %s
FROM was WHERE s.id = was.id RETURNING s.sandbox_config, was.xmin::text, s.xmin::text
"""
USED = "SELECT 1 FROM agent_sessions_event WHERE session_id = %s AND type = %s LIMIT 1"


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
        self._memories = Memories(
            [], partial(self._backend.exchange, self._session_id), memory.Shelf("", self._session_id)
        )
        self._running: set[str] = set()
        self._running_lock = threading.Lock()
        self._network = Network(self._session_id, turn.spec.agent_name) if Network.path() else None
        self._damaged = ""
        self._earlier = 0  # the number of the snapshot that is restored in place of a damaged one
        self._moved_from = ""  # the machine that had the sandbox until now
        self._left_out: set[str] = set()  # sentences about outputs that were not kept, told once a turn
        self._reopened: list[Draft] = []  # by calls, in the pool; committed with their results
        self.is_open = False

    def alone(self) -> AbstractContextManager[None]:
        """To be held while the sandbox is opened and until its mark is committed, where threads share it."""
        if self.is_open or self._turn.spec.team == Team():
            return contextlib.nullcontext()
        return door(self._session_id, self._turn.give_up)

    def open(self) -> list[Draft]:
        """Make the sandbox ready; waits a while for a host that is starting.

        The mark that it was opened is committed before any call is sent, so a session without the mark has
        never had a call in any sandbox.
        """
        if self.is_open:
            if self._network:
                self._network.renew()
            self._bring_in()
            return []
        seen, began = self._turn.state.sandbox_opened, time.monotonic()
        first = not seen and not self._was_used()
        session = self._session()
        self._settle(session)
        kinds = resources.kinds(session.id)
        mounts = memory.mounts(session.id) if resources.MEMORY_STORE in kinds else []
        shelf = memory.Shelf(session.workspace_id, session.id)
        self._memories = Memories(mounts, partial(self._backend.exchange, session.id), shelf)
        self._spec = SandboxSpec(
            self._session_id,
            uploads=(*(_uploads(session) if resources.FILE in kinds else ()), *skills.uploads(session)),
            folders=tuple(mount.folder for mount in mounts),
            first=first,
        )
        self._snapshot = session.snapshot
        try:
            self._spec = self._connected(session)
            installed = self._furnish(session, first=first)
            opened = self._open()
            self._memories.bring_in()
            problems = self._network.problems(session, first=first) if self._network else []
            if resources.REPOSITORY in kinds:
                problems += self._check_out(session, anew=opened.origin == "fresh")
        except (SandboxError, EgressUnavailable, CannotOpen) as error:
            raise CannotCarryOut(str(error)) from None
        self.is_open = True
        if seen:
            return [*self._told(opened), *problems]
        mark = {"origin": opened.origin, "layers": list(opened.layers), "duration_ms": _since(began)}
        lost = self._told(opened) if not first or self._moved_from or self._damaged else []
        return [Draft(ev.OPS_SANDBOX_OPENED, mark), *lost, *installed, *problems]

    def _settle(self, session: Session) -> None:
        """Keep the environment's configuration as it is when the session first has a sandbox, and where that is."""
        if session.machine != settings.HOLDFAST_MACHINE:
            self._move(session)
        elif session.sandbox_config is not None:
            return
        config = json.dumps(session.environment.config)
        row = prepared.row(SETTLE, [session.pk, config, session.machine])
        if row is None:
            raise UnknownThread(self._turn.spec.thread_id)
        session.sandbox_config = parsed(row[0])
        kept = self._turn.lease.kept
        if kept is not None and kept.version == row[1]:  # nobody but us touched the row
            self._turn.lease.kept = replace(kept, version=row[2])

    def _session(self) -> Session:
        """The session with its environment, as they are now. Raises ``UnknownThread`` if it was deleted."""
        found = SESSION.rows(self._session_id)
        if not found:
            raise UnknownThread(self._turn.spec.thread_id)
        return found[0]

    def _move(self, session: Session) -> None:
        """The session's sandbox is this machine's from now on.

        What this machine may still have of an earlier stay is older than the last snapshot, and removed.
        """
        if session.machine:
            try:
                self._patiently(partial(self._backend.close, session.id, discard=True))
            except SandboxError as error:
                raise CannotCarryOut(str(error)) from None
        self._moved_from, session.machine = session.machine, settings.HOLDFAST_MACHINE

    def _was_used(self) -> bool:
        """Whether any thread of the session may have sent a call to a sandbox: the mark is on the log."""
        return prepared.row(USED, [self._session_id, ev.OPS_SANDBOX_OPENED]) is not None

    def _is_sound(self) -> bool:
        """Whether there is a snapshot to restore: the last one, or an earlier one where that is gone or damaged."""
        if snapshots.is_sound(self._snapshot):
            return True
        logger.error("The snapshot %s of session %s is gone or damaged.", self._snapshot, self._session_id)
        self._damaged = self._snapshot
        self._snapshot, self._earlier = snapshots.earlier(self._session_id, self._damaged) or ("", 0)
        return bool(self._snapshot)

    def _told(self, opened: Opened) -> list[Draft]:
        """Say so if the sandbox was not simply there still."""
        if opened.origin in ("running", "kept"):
            return []
        told: dict[str, str | int] = {"origin": opened.origin}
        if self._damaged:
            told["damaged_snapshot"] = self._damaged
        if self._earlier:
            told["earlier_snapshot"] = self._earlier
        if self._moved_from:
            told |= {"from": self._moved_from, "to": settings.HOLDFAST_MACHINE}
        self._moved_from = ""
        return [Draft(ev.OPS_SANDBOX_RESTORED, told)]

    def _connected(self, session: Session) -> SandboxSpec:
        """The spec with a network, if there is one; waits a while for a proxy that is starting."""
        if self._network is None:
            return self._spec
        told = self._patiently(partial(self._network.tell, session))
        return replace(self._spec, network="proxy", trust=told.trust, environment=told.environment)

    def _furnish(self, session: Session, *, first: bool) -> list[Draft]:
        """Show the environment's packages; before the first opening those are installed that nobody installed yet."""
        wanted = environments.packages(session)
        self._spec = replace(self._spec, packages=tuple(wanted))
        if not first or not wanted:
            return []
        return environments.install(self._backend, self._network, wanted, self._turn.give_up)

    def _check_out(self, session: Session, *, anew: bool) -> list[Draft]:
        """Put the session's repositories there, once; those that could not be had are tried again in each turn."""
        if self._network is None:
            return []
        drafts = checkouts.check_out(session, self._bash, anew=anew)
        if drafts:
            self._network.collect()
            drafts = [*self._network.drafts("clone"), *drafts]
        return drafts

    def _bash(self, call_id: str, command: str, seconds: int) -> CallResult:
        """An errand of our own in the sandbox, in the shell that the agent uses too; ends with the turn."""
        tool_input = {"command": command, "timeout_ms": seconds * 1000}
        pool = ThreadPoolExecutor(1, thread_name_prefix="errand")
        try:
            work = pool.submit(self._backend.call, self._session_id, call_id, "bash", tool_input)
            while not wait([work], timeout=LOOK_SECONDS).done:
                if self._turn.give_up():
                    self.interrupt()
            return work.result()
        finally:
            pool.shutdown(wait=False)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + WAIT_FOR_HOST_SECONDS
        while True:
            try:
                return ask()
            except (EgressUnavailable, SandboxUnavailable):
                if time.monotonic() > deadline or self._turn.give_up():
                    raise
                time.sleep(RETRY_HOST_SECONDS)

    def _open(self) -> Opened:
        deadline = time.monotonic() + WAIT_FOR_HOST_SECONDS
        while True:
            try:
                if self._snapshot and self._is_sound():
                    with snapshots.open_plain(self._snapshot) as stream:
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
        finally:
            if self._memories.any:
                connection.close()
        if self._network is None:
            return result
        with contextlib.suppress(EgressUnavailable):
            refused = self._network.collect_after_call()
            return replace(result, content=[*result.content, *denials(refused)])
        return result

    def _bring_in(self) -> None:
        try:
            self._memories.bring_in()
        except SandboxError as error:
            raise CannotCarryOut(str(error)) from None

    def _send(self, call: Call, *, reattempt: bool) -> CallResult:
        with self._running_lock:
            self._running.add(call.id)
        try:
            lane = self._turn.spec.thread_id
            with tracing.span("sandbox.call", {"holdfast.sandbox": self._session_id}):
                return self._backend.call(
                    self._session_id, call.id, call.name, call.input, reattempt=reattempt, lane=lane
                )
        finally:
            with self._running_lock:
                self._running.discard(call.id)

    def _call(self, call: Call, *, reattempt: bool) -> CallResult:
        last = ""
        for _ in range(REOPENINGS):
            try:
                result = self._send(call, reattempt=reattempt)
                return told(result, self._memories.send_out())
            except (SandboxLost, SandboxUnavailable) as error:
                if self._turn.give_up():
                    raise
                reattempt, last = True, str(error)
                self._reopen()
        raise SandboxUnavailable(f"The sandbox was lost {REOPENINGS} times in a row while this call ran. {last}")

    def _reopen(self) -> None:
        """Open a sandbox that got lost again."""
        self._spec = replace(self._spec, first=False)
        self._reopened.extend(self._told(self._open()))
        self._memories.forget()
        self._memories.bring_in()

    def _captured(self, result: CallResult) -> list[str]:
        """Store the outputs. A sandbox that gets lost meanwhile is opened again: after a turn's last call nobody would
        look at them once more.
        """
        lost: Exception | None = None
        for _ in range(REOPENINGS):
            try:
                if lost is not None:
                    self._reopen()
                return outputs.capture(self._session_id, result.outputs, self._read_output)
            except (SandboxError, EgressUnavailable) as error:
                lost = error
                if self._turn.give_up():
                    break
        return [f"The outputs of a call were not kept: {lost}"]

    def finished(self, call: Call, result: CallResult) -> list[Draft]:
        """Store what the call left among the outputs, and tell of its requests."""
        told = self._captured(result) if result.outputs else []
        left_out = [Draft(ev.OPS_OUTPUT_LEFT_OUT, {"message": text}) for text in told if text not in self._left_out]
        self._left_out.update(told)
        reopened = self._reopened[:]
        del self._reopened[: len(reopened)]  # calls that run yet go on adding to it
        return [*reopened, *left_out] + (self._network.drafts(call.name) if self._network else [])

    def tend(self) -> list[Draft]:
        """While calls run: what is to be committed meanwhile."""
        return self._network.tend() if self._network and self.is_open else []

    def interrupt(self) -> None:
        """Stop this turn's calls; other threads of the session use the same sandbox."""
        with self._running_lock:
            running = list(self._running)
        for call_id in running:
            with contextlib.suppress(SandboxLost, SandboxUnavailable):
                self._backend.interrupt(self._session_id, call_id)

    def _read_output(self, path: str) -> Iterator[bytes]:
        return self._backend.read_output(self._session_id, path)


def _uploads(session: Session) -> list[Upload]:
    rows = Resource.objects.filter(session=session, kind="file").select_related("file")
    return [
        Upload(in_sandbox(row.mount_path), row.file.size_bytes, partial(_sound, row.file))
        for row in rows
        if row.file is not None
    ]


def _sound(file: File) -> BinaryIO:
    """An upload's bytes, read once before they are mounted. Raises ``SandboxError`` where they are gone or damaged."""
    if blobs.is_sound(file.digest):
        return blobs.open(file.digest)
    named = f"The uploaded file {file.filename} ({file.pk})"
    if blobs.exists(file.digest):
        raise SandboxError(
            f"{named} is damaged in DATA_DIR/blobs and was not mounted. Uploading the file again repairs it."
        )
    raise SandboxError(
        f"{named} is missing from DATA_DIR/blobs of this machine; do all machines share that directory? "
        "Uploading the file again repairs it."
    )


def _since(began: float) -> float:
    """Milliseconds since a reading of the monotonic clock."""
    return round((time.monotonic() - began) * 1000, 3)
