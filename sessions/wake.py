"""Wake-ups: tell some worker that a thread has work. Only a hint; the sweeper finds what got lost."""

from __future__ import annotations

import logging

from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def wake(thread_id: str) -> None:
    """Queue a wake-up now. A broker that is away is logged, never raised."""
    from sessions.tasks import run_thread

    try:
        run_thread.delay(thread_id)
    except (OperationalError, OSError) as error:
        log.warning("The broker took no wake-up (%s); the sweeper will find the thread.", type(error).__name__)


def drive_workflow(run_id: str) -> None:
    """Queue a step of a workflow run now; what a broker that is away did not take, the sweeper finds."""
    from sessions.tasks import drive_workflow as task

    try:
        task.delay(run_id)
    except (OperationalError, OSError) as error:
        log.warning("The broker took no workflow step (%s); the sweeper will find the run.", type(error).__name__)


def wake_on_commit(thread_id: str) -> None:
    """Queue a wake-up once the transaction under way is committed."""
    transaction.on_commit(lambda: wake(thread_id))
