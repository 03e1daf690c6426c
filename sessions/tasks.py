"""Celery's tasks. Arguments are ids only; a task that runs twice or never does no harm."""

from __future__ import annotations

import logging

from celery import shared_task

log = logging.getLogger(__name__)

NO_ROOM_SECONDS = 15.0  # until a snapshot that found the disk full is tried again


@shared_task(name="sessions.run_thread")
def run_thread(thread_id: str) -> None:
    """Run a thread until it rests. The lease makes a second copy of the message do nothing.

    That its workspace is to be kept then is read from the log: a worker that died in the turn may have changed it.
    """
    from sessions import workspaces
    from sessions.harness import runner
    from sessions.wake import keep_workspace

    runner.run(thread_id)
    if session_id := workspaces.due_at_rest(thread_id):
        keep_workspace(session_id)


@shared_task(name="sessions.keep_workspace")
def keep_workspace(session_id: str) -> None:
    """Store a snapshot of an idle session's sandbox, so that it can be opened elsewhere; later if the disk is full."""
    from django.db import IntegrityError

    from contract.errors import NoRoom
    from sessions import wake, workspaces
    from sessions.repair import repair

    try:
        workspaces.keep(session_id)
    except NoRoom:
        wake.keep_workspace(session_id, later=NO_ROOM_SECONDS)
    except IntegrityError:  # the log refuses the note: the rows were changed by hand
        if not repair(session_id):
            raise
        wake.keep_workspace(session_id)


@shared_task(name="sessions.send_notice")
def send_notice(notice_id: int) -> None:
    """Tell one target that a call waits. A failure is tried again by the sweep."""
    from sessions.approvals import notices

    notices.send(notice_id)


@shared_task(name="sessions.resume_capped")
def resume_capped(after: str) -> None:
    """Let sessions go on that stopped at a cap and have room again; those whose ids come after this one."""
    from sessions import caps

    caps.resume_all(after=after)


@shared_task(name="sessions.discard_sandbox")
def discard_sandbox(session_id: str) -> None:
    """Remove the sandbox of a session that was deleted or archived, wherever it is."""
    from sessions import wake

    wake.discard_everywhere(session_id)


@shared_task(name="sessions.discard_here")
def discard_here(session_id: str) -> None:
    """Remove what this machine has of a session's sandbox."""
    from sessions import workspaces

    workspaces.discard(session_id)


@shared_task(name="sessions.sweep_here")
def sweep_here() -> None:
    """Remove the sandboxes of this machine that no session needs."""
    from sessions import workspaces

    workspaces.sweep_here()


@shared_task(name="sessions.build_packages")
def build_packages(environment_id: str) -> None:
    """Install an environment's packages anew on this machine."""
    from sessions import layers

    layers.build(environment_id)


@shared_task(name="sessions.deliver_webhooks")
def deliver_webhooks(endpoint_id: str) -> None:
    """Send what waits for a webhook endpoint."""
    from sessions.webhooks import delivery

    delivery.deliver(endpoint_id)


@shared_task(name="sessions.transfer")
def transfer(transfer_id: str) -> None:
    """Make an archive, check one, or bring one in."""
    from sessions.exchange import transfers

    transfers.carry_out(transfer_id)


@shared_task(name="sessions.drive_workflow")
def drive_workflow(run_id: str) -> None:
    """Take a workflow run's next steps."""
    from sessions.workflows import runs

    runs.drive(run_id)


@shared_task(name="sessions.drive_dream")
def drive_dream(dream_id: str) -> None:
    """Begin a dream."""
    from sessions.dreams import engine

    engine.drive(dream_id)
