"""Workspaces between turns: snapshots are blobs, noted on the log by their names."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from agents.sandboxes.base import SandboxLost, SandboxUnavailable
from contract.errors import NoRoom
from credentials.egress.client import EgressUnavailable
from sessions import events as ev
from sessions import log, prepared, snapshots
from sessions.events import Draft
from sessions.harness.hands.network import Network
from sessions.harness.hands.sandbox import backend
from sessions.models import Event, Session

logger = logging.getLogger(__name__)

# What may have changed a workspace, by its entry on the log; what a restored one holds is the snapshot's.
CHANGING = (*sorted(ev.RESULTS), ev.OPS_SANDBOX_OPENED, ev.OPS_REPOSITORY_READY)

# Asked at the end of every turn.
RESTING = """
SELECT s.machine, s.snapshot, s.last_seq, t.id, t.agent_name
FROM agent_sessions_session s JOIN agent_sessions_thread t ON t.session_id = s.id AND t.parent_id IS NULL
WHERE s.id = %s AND s.status = 'idle'
"""
LOCK = "SELECT 1 FROM agent_sessions_session WHERE id = %s FOR UPDATE"
# Asked at the end of every turn, too.
DUE = f"""
SELECT s.id FROM agent_sessions_session s JOIN agent_sessions_thread t ON t.session_id = s.id
WHERE {{}} AND s.machine <> '' AND EXISTS (
  SELECT FROM agent_sessions_event e WHERE e.session_id = s.id AND e.type IN ({", ".join(map(repr, CHANGING))})
  AND e.seq > coalesce((SELECT max(k.seq) FROM agent_sessions_event k
                        WHERE k.session_id = s.id AND k.type = {ev.OPS_SNAPSHOT!r}), 0)) LIMIT 1
"""  # noqa: S608  types of ours
OF_SESSION = DUE.format("s.id = %s")
AT_REST = DUE.format("t.id = %s AND s.status = 'idle'")
RAN = "SELECT 1 FROM agent_sessions_event WHERE session_id = %s AND seq > %s AND type = %s LIMIT 1"


def keep(session_id: str) -> str | None:
    """Snapshot an idle session's sandbox; returns the blob's digest, None if there was nothing to keep.

    A session that runs again meanwhile is left alone, and what was read of its workspace is not noted: its next rest
    takes the snapshot. Raises ``NoRoom``.
    """
    asked_at = time.time()
    found = prepared.row(RESTING, [session_id])
    if found is None:
        return None
    machine, snapshot, rested_at, thread_id, agent_name = found
    if machine != settings.HOLDFAST_MACHINE:
        if machine:
            logger.warning("The sandbox of session %s is on %s, not here.", session_id, machine)
        return None
    _tell_of_requests(session_id, thread_id, agent_name, asked_at)
    try:
        digest, size = snapshots.put(backend().snapshot(session_id))
    except (SandboxLost, SandboxUnavailable) as error:
        logger.warning("The workspace of session %s was not kept: %s", session_id, error)
        return None
    except NoRoom as error:
        _tell_once(session_id, thread_id, Draft(ev.OPS_NO_ROOM, {"message": error.message}))
        raise
    if digest == snapshot and not is_due(session_id):
        return digest
    noted = Draft(ev.OPS_SNAPSHOT, {"digest": digest, "size": size})
    return digest if _noted(session_id, thread_id, noted, rested_at=rested_at) else None


def is_due(session_id: str) -> bool:
    """Whether calls may have changed a sandbox's workspace since the last snapshot on the session's log."""
    return prepared.row(OF_SESSION, [session_id]) is not None


def due_at_rest(thread_id: str) -> str | None:
    """The session of a thread if it rests and ``is_due``."""
    row = prepared.row(AT_REST, [thread_id])
    return None if row is None else str(row[0])


def _noted(session_id: str, thread_id: str, snapshot: Draft, *, rested_at: int) -> bool:
    """Put a snapshot on the log. False if the session ran after its entry ``rested_at``, or was deleted: calls that
    came after the snapshot was read would stand before it there, and a sandbox restored from it would lack them.
    """
    with transaction.atomic():
        prepared.row(LOCK, [session_id])
        if prepared.row(RAN, [session_id, rested_at, ev.STATUS_RUNNING]) is not None:
            return False
        try:
            log.append(session_id, thread_id, [snapshot])
        except log.UnknownThread:
            return False
        return True


def _tell_once(session_id: str, thread_id: str, draft: Draft) -> None:
    """Put a note on the log unless it is the last entry there."""
    last = Event.objects.filter(session_id=session_id).order_by("-seq").values_list("type", flat=True).first()
    if last != draft.type:
        log.append(session_id, thread_id, [draft])


def _tell_of_requests(session_id: str, thread_id: str, agent_name: str, before: float) -> None:
    """Put on the log what the sandbox asked of the network and the turn that ended did not see end.

    Only what began ``before`` the session was seen at rest: the rest belongs to the next turn.
    """
    if Network.path() is None:
        return
    network = Network(session_id, agent_name)
    try:
        network.collect(before=before)
        if drafts := network.drafts():
            log.append(session_id, thread_id, drafts)
            network.acknowledge()
    except EgressUnavailable as error:
        logger.warning("The last requests of session %s are not on its log: %s", session_id, error)


def discard(session_id: str) -> None:
    """Remove a session's sandbox, its directory and its journal."""
    try:
        backend().close(session_id, discard=True)
    except SandboxLost:
        return
    except SandboxUnavailable as error:
        logger.warning("The sandbox of session %s will be swept later: %s", session_id, error)


def sweep_here() -> list[str]:
    """Remove every sandbox of this machine whose session has ended, is gone or has moved; returns their ids."""
    # What works elsewhere, or nowhere yet, may be opened here before the host looks: it has time until the next sweep.
    needed = Q(machine=settings.HOLDFAST_MACHINE) | Q(status__in=("running", "rescheduling"))
    here = Session.objects.filter(needed).exclude(status="terminated")
    try:
        return backend().sweep(list(here.values_list("pk", flat=True)))
    except SandboxUnavailable:
        return []
