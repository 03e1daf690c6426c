"""Wake-ups: tell some worker that a thread has work. Only a hint; the sweeper finds what got lost."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from sessions import prepared
from sessions.harness import admission

log = logging.getLogger(__name__)

RUN_THREAD = "sessions.run_thread"
DRIVE_WORKFLOW = "sessions.drive_workflow"
DRIVE_DREAM = "sessions.drive_dream"
TRANSFER = "sessions.transfer"
RESUME_CAPPED = "sessions.resume_capped"
KEEP_WORKSPACE = "sessions.keep_workspace"
DISCARD_HERE = "sessions.discard_here"
SWEEP_HERE = "sessions.sweep_here"
BUILD_PACKAGES = "sessions.build_packages"
CALLED_AT_ONCE = 20
HANGS_SECONDS = 1.0  # a broker that is away refuses at once; one that takes longer hangs …
REST_SECONDS = 2.0  # … and is left alone for so long, so that it doesn't hold up one request after another
LIMITED = """
SELECT w.id, w.limits FROM agent_sessions_session s JOIN agents_workspace w ON w.id = s.workspace_id WHERE s.id = %s
"""

_hung_until = 0.0  # monotonic


def wake(thread_id: str) -> None:
    """Queue a wake-up now. A broker that is away is logged, never raised."""
    _send(RUN_THREAD, thread_id)


def drive_workflow(run_id: str) -> None:
    """Queue a step of a workflow run now."""
    _send(DRIVE_WORKFLOW, run_id)


def drive_dream(dream_id: str) -> None:
    """Queue the beginning of a dream now."""
    _send(DRIVE_DREAM, dream_id)


def drive_transfer(transfer_id: str) -> None:
    """Queue work on an archive now."""
    _send(TRANSFER, transfer_id)


def resume_later(after: str) -> None:
    """Queue a look at the sessions at a cap whose ids come after this one."""
    _send(RESUME_CAPPED, after)


def pass_on(thread_id: str) -> None:
    """A wake-up that this machine may not take goes to the machine that has the thread's sandbox."""
    if machine := admission.elsewhere(thread_id):
        _send(RUN_THREAD, thread_id, machine)


def keep_workspace(session_id: str, later: float = 0.0) -> None:
    """Queue a snapshot of a sandbox of this machine, so many seconds from now."""
    _send(KEEP_WORKSPACE, session_id, settings.HOLDFAST_MACHINE, later)


def discard_everywhere(session_id: str) -> None:
    """Queue the removal of what any machine has of a session's sandbox."""
    for machine in admission.machines_alive():
        _send(DISCARD_HERE, session_id, machine)


def sweep_everywhere() -> None:
    """Have every machine remove the sandboxes that no session there needs."""
    for machine in admission.machines_alive():
        _send(SWEEP_HERE, None, machine)


def build_packages(environment_id: str) -> None:
    """Have every machine install an environment's packages anew."""
    for machine in admission.machines_alive():
        _send(BUILD_PACKAGES, environment_id, machine)


def _send(task: str, object_id: str | None, machine: str = "", later: float = 0.0) -> None:
    options: dict[str, Any] = {"queue": settings.HOLDFAST_AT_MACHINE + machine} if machine else {}
    if later:
        options["countdown"] = later
    global _hung_until
    if (began := time.monotonic()) < _hung_until:
        return
    try:
        current_app.send_task(task, [] if object_id is None else [object_id], ignore_result=True, **options)
    except (OperationalError, OSError) as error:
        if (ended := time.monotonic()) - began > HANGS_SECONDS:
            _hung_until = ended + REST_SECONDS
        log.warning("The broker took no %s (%s); the sweeper will find the work.", task, type(error).__name__)


def wake_on_commit(thread_id: str) -> None:
    """Queue a wake-up once the transaction under way is committed."""
    transaction.on_commit(lambda: wake(thread_id))


def call_next(workspace_id: str) -> None:
    """A place in a workspace is free: wake those whose turn it is. More than there is room for does no harm."""
    for thread_id, _ in admission.waiting(workspace_id, CALLED_AT_ONCE):
        wake(thread_id)


def make_room(session_id: str) -> None:
    """A session came to rest: where only so many may run at once, call the next ones."""
    found = prepared.row(LIMITED, [session_id])
    if found is not None and admission.limits_of(found[1]) != (None, None):
        call_next(found[0])
