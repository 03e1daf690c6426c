"""The work queue: who holds which session, for how long, and what happens when a worker is lost.

Every step is one short transaction on the item's row. The session's log is told afterwards: it has locks of its own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from contract import ids, metadata
from contract.errors import ApiError, Conflict, InvalidRequest, NotFound
from contract.times import timestamp
from sessions import events as ev
from sessions.models import Event, Session, Thread, Work, WorkerSeen
from sessions.models.work import ACTIVE, QUEUED, STARTING, STOPPED, STOPPING
from sessions.work import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.models import Environment
    from contract.acting import Acting

FIRST = "NO_HEARTBEAT"
TTL_BOUNDS = (5, 3600)
SEEN_SECONDS = 30
KEPT = timedelta(days=30)
MAX_PAUSE = 60.0
BATCH = 100
FORGOTTEN = 10_000  # rows that one look removes
QUEUED_AGAIN = "The session is queued again for the next worker."
BEGUN = " What this one had begun the SDK's worker runs again; manage.py environment_worker tells it as unknown."

ENSURE = """
INSERT INTO agent_sessions_work (id, environment_id, session_id, state, metadata, attempt, available_at, worker,
  token_digest, latest_heartbeat, ttl_seconds, created_at)
SELECT %(id)s, s.environment_id, s.id, 'queued', '{}', %(attempt)s,
  clock_timestamp() + %(pause)s * interval '1 second', '', '', '', 0, clock_timestamp()
FROM agent_sessions_session s JOIN agents_environment e ON e.id = s.environment_id
WHERE s.id = %(session)s AND e.config->>'type' = 'self_hosted' AND s.archived_at IS NULL AND s.status <> 'terminated'
ON CONFLICT (session_id) WHERE NOT state = 'stopped' DO NOTHING
"""
CLAIM = """
UPDATE agent_sessions_work SET claimed_at = clock_timestamp(), worker = %(worker)s, token_digest = %(digest)s
WHERE id = (
  SELECT id FROM agent_sessions_work
  WHERE environment_id = %(environment)s AND state = 'queued' AND available_at <= clock_timestamp()
    AND (claimed_at IS NULL OR claimed_at < clock_timestamp() - %(age)s * interval '1 millisecond')
  ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


class LeaseMismatch(ApiError):
    """412: another heartbeat came in between, or the item is no longer this worker's."""

    status = 412
    type = "invalid_request_error"


def follow(session_id: str, stored: Sequence[Event]) -> None:
    """A session that starts to run, or waits for a worker's answers, gets an item unless it has one."""
    if any(event.type == ev.STATUS_RUNNING or _waits(event) for event in stored):
        ensure(session_id)


def _waits(event: Event) -> bool:
    return event.type == ev.STATUS_IDLE and (event.payload.get("stop_reason") or {}).get("type") == "requires_action"


def ensure(session_id: str, *, attempt: int = 0) -> None:
    """Queue a session of a self_hosted environment; any other, and one that is queued or served, stays as it is."""
    pause = min(MAX_PAUSE, 2.0**attempt) if attempt else 0.0
    with connection.cursor() as cursor:
        cursor.execute(ENSURE, {"id": ids.work_id(), "session": session_id, "attempt": attempt, "pause": pause})


def poll(environment: Environment, worker: str, reclaim_older_than_ms: int) -> tuple[Work, str] | None:
    """The oldest item that waits, claimed for ``worker``, and its secret; None if there is none."""
    digest, secret = keys.new_token()
    claim: dict[str, str | int] = {"environment": environment.pk, "worker": worker, "digest": digest}
    claim["age"] = reclaim_older_than_ms
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, claim)
        row = cursor.fetchone()
    return (Work.objects.get(pk=row[0]), secret) if row else None


def seen(environment: Environment, worker: str) -> None:
    """A worker asked for work. One statement, as each of them asks every second."""
    row = WorkerSeen(environment=environment, worker=worker, polled_at=timezone.now())
    key = ["environment", "worker"]
    WorkerSeen.objects.bulk_create([row], update_conflicts=True, unique_fields=key, update_fields=["polled_at"])


def find(environment_id: str, work_id: str, acting: Acting) -> Work:
    rows = Work.objects.filter(environment_id=environment_id, environment__workspace_id=acting.workspace_id)
    return _found(rows.filter(pk=work_id).first(), work_id)


def _lock(environment_id: str, work_id: str, acting: Acting) -> Work:
    rows = Work.objects.select_for_update(of=("self",)).select_related("environment")
    mine = rows.filter(environment_id=environment_id, environment__workspace_id=acting.workspace_id)
    return _found(mine.filter(pk=work_id).first(), work_id)


def _found(work: Work | None, work_id: str) -> Work:
    if work is None:
        raise NotFound(f"There is no work item {work_id} in this environment.")
    return work


def acknowledge(environment_id: str, work_id: str, acting: Acting) -> Work:
    """Take a claimed item off the queue. Again is the same: the first heartbeat decides who has it."""
    with transaction.atomic():
        work = _lock(environment_id, work_id, acting)
        if work.state == STOPPED:
            raise Conflict(f"Work item {work_id} is stopped.")
        if work.state == QUEUED:
            if work.claimed_at is None:
                raise InvalidRequest(f"Work item {work_id} was claimed by no poll.")
            work.state, work.acknowledged_at = STARTING, timezone.now()
            _extend(work, settings.HOLDFAST_WORK_LEASE_SECONDS)
            work.save(update_fields=["state", "acknowledged_at", "lease_until", "ttl_seconds"])
    return work


def heartbeat(
    environment_id: str, work_id: str, acting: Acting, *, expected: str | None, ttl_seconds: int | None
) -> dict[str, Any]:
    """Extend the lease if ``expected`` is the last heartbeat's text (spec advanced 16.5); else ``LeaseMismatch``."""
    with transaction.atomic():
        work = _lock(environment_id, work_id, acting)
        if work.state in (STOPPING, STOPPED):
            return _beat(work, extended=False)
        if work.state == QUEUED or (expected is not None and expected != (work.latest_heartbeat or FIRST)):
            raise LeaseMismatch(
                "The heartbeat does not follow the last one; the work item is queued again or another worker has it.",
                error_code="heartbeat_precondition_failed",
                current_state=_beat(work, extended=False),
            )
        first = work.started_at is None
        work.state, work.latest_heartbeat = ACTIVE, timezone.now().isoformat(timespec="microseconds")
        work.started_at = work.started_at or timezone.now()
        low, high = TTL_BOUNDS
        _extend(work, min(high, max(low, ttl_seconds or settings.HOLDFAST_WORK_LEASE_SECONDS)))
        work.save(update_fields=["state", "latest_heartbeat", "started_at", "lease_until", "ttl_seconds"])
    if first:
        tell(work, ev.OPS_OUTSIDE_STARTED, attempt=work.attempt + 1)
    return _beat(work, extended=True)


def _beat(work: Work, *, extended: bool) -> dict[str, Any]:
    last = work.latest_heartbeat or (None if work.state == QUEUED else timestamp(timezone.now()))
    return {
        "type": "work_heartbeat",
        "last_heartbeat": last,
        "lease_extended": extended,
        "state": work.state,
        "ttl_seconds": work.ttl_seconds,
    }


def _extend(work: Work, seconds: float) -> None:
    work.ttl_seconds = int(seconds)
    work.lease_until = timezone.now() + timedelta(seconds=work.ttl_seconds)


def stop(environment_id: str, work_id: str, acting: Acting, *, force: bool) -> Work:
    """End an item: its worker hears of it at the next heartbeat, or with ``force`` it is over at once."""
    with transaction.atomic():
        work = _lock(environment_id, work_id, acting)
        if work.state == STOPPED:
            raise Conflict(f"Work item {work_id} is already stopped.")
        now = timezone.now()
        work.stop_requested_at = work.stop_requested_at or now
        over = force or work.state == QUEUED
        if over:
            _end(work)
        else:
            work.state = STOPPING
        work.save()
    if over:
        _go_on(work)
    return work


def _end(work: Work) -> None:
    work.state, work.stopped_at, work.lease_until, work.token_digest = STOPPED, timezone.now(), None, ""


def _go_on(work: Work) -> None:
    """Queue the session again if calls of it wait for a worker, a little later each time that nothing came of it."""
    if open_calls(work.session_id):
        progress = Event.objects.filter(
            session_id=work.session_id, type=ev.USER_TOOL_RESULT, created_at__gt=work.created_at
        )
        attempt = 1 if progress.exists() else work.attempt + 1
        tell(work, ev.OPS_OUTSIDE_LOST, cause="The worker let go of the session while calls waited for it.")
        ensure(work.session_id, attempt=attempt)
    elif Thread.objects.filter(session_id=work.session_id, status__in=("running", "rescheduling")).exists():
        ensure(work.session_id)


def open_calls(session_id: str) -> int:
    """How many calls of a session wait for a worker's result."""
    return Session.objects.filter(pk=session_id).values_list("outside_count", flat=True).first() or 0


def reclaim() -> int:
    """Give items whose workers fell silent to others. Called by the sweeper; how many there were."""
    lost = 0
    for work_id in list(_expired().values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            work = _expired().select_for_update(skip_locked=True).filter(pk=work_id).first()
            if work is None:
                continue
            ended = work.state == STOPPING
            worker, seconds = work.worker, work.ttl_seconds
            _end(work) if ended else _requeue(work)
            work.save()
        lost += 1
        work.worker = worker
        if ended:
            _go_on(work)
        else:
            cause = f"The worker sent no heartbeat for {seconds} seconds."
            tell(work, ev.OPS_OUTSIDE_LOST, cause=cause)
    return lost


def _expired() -> Any:
    return Work.objects.filter(Q(state__in=(STARTING, ACTIVE, STOPPING)), lease_until__lt=timezone.now())


def _requeue(work: Work) -> None:
    """Back to the queue under the same id; the old claim's token is worth nothing from now on."""
    work.state, work.attempt, work.available_at = QUEUED, work.attempt + 1, timezone.now()
    work.claimed_at = work.acknowledged_at = work.started_at = work.lease_until = None
    work.worker = work.token_digest = work.latest_heartbeat = ""


def mend() -> None:
    """Queue sessions whose calls wait for a worker and that have no item: a crash came between stop and queue."""
    waiting = Session.objects.filter(outside_count__gt=0, archived_at=None).exclude(status="terminated")
    served = Work.objects.exclude(state=STOPPED).values("session_id")
    for session_id in waiting.exclude(pk__in=served).values_list("pk", flat=True)[:BATCH]:
        ensure(session_id)


def forget() -> None:
    """Remove what is a month old, at most ``FORGOTTEN`` of each: items that ended, and workers that ask for nothing
    any more, since each process has a name of its own.
    """
    before = timezone.now() - KEPT
    ended = Work.objects.filter(state=STOPPED, stopped_at__lt=before).order_by("stopped_at")
    silent = WorkerSeen.objects.filter(polled_at__lt=before).order_by("polled_at")
    for model, rows in ((Work, ended), (WorkerSeen, silent)):
        model._default_manager.filter(pk__in=list(rows.values_list("pk", flat=True)[:FORGOTTEN])).delete()


def change(environment_id: str, work_id: str, patch: Mapping[str, str | None], acting: Acting) -> Work:
    """Merge metadata."""
    with transaction.atomic():
        work = _lock(environment_id, work_id, acting)
        work.metadata = metadata.merge(work.metadata, patch)
        work.save(update_fields=["metadata"])
    return work


def stats(environment: Environment) -> dict[str, Any]:
    """Items that wait, items claimed and not acknowledged, the oldest one, workers seen lately."""
    queued = Work.objects.filter(environment=environment, state=QUEUED)
    oldest = queued.order_by("created_at").values_list("created_at", flat=True).first()
    recent = timezone.now() - timedelta(seconds=SEEN_SECONDS)
    return {
        "type": "work_queue_stats",
        "depth": queued.filter(claimed_at=None).count(),
        "pending": queued.exclude(claimed_at=None).count(),
        "oldest_queued_at": timestamp(oldest) if oldest else None,
        "workers_polling": WorkerSeen.objects.filter(environment=environment, polled_at__gte=recent).count(),
    }


def tell(work: Work, event_type: str, **fields: Any) -> None:
    """Put what happened to an item on its session's timeline."""
    from sessions import log

    primary = Thread.objects.filter(session_id=work.session_id, parent=None).values_list("pk", flat=True).first()
    if primary is None:
        return
    payload = {"work_id": work.pk, "worker": work.worker, **fields}
    if event_type == ev.OPS_OUTSIDE_LOST:
        payload["retry"] = QUEUED_AGAIN + (BEGUN if open_calls(work.session_id) else "")
    log.append(work.session_id, primary, [ev.Draft(event_type, payload)])
