"""Writing down what is to be told, in the transaction that makes it happen.

So an event is told if and only if it happened: a crash between the change and its delivery loses nothing, and a
change that is taken back is never told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from contract import ids
from contract.times import timestamp
from sessions import events as ev
from sessions import prepared
from sessions.models import Event, Thread, WebhookDelivery, WebhookEndpoint
from sessions.models.webhooks import ENABLED, PENDING
from sessions.webhooks import kinds
from sessions.webhooks.wake import wake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from contract.happenings import Happening

OF_SESSION = prepared.Question(
    lambda: WebhookEndpoint.objects.filter(state=ENABLED, workspace__sessions=prepared.TEXT).order_by("pk")
)
MAX_PENDING = 1000  # of one endpoint; what comes on top is dropped and counted


def organization_id() -> str:
    """There is one organization: the installation."""
    return f"org_{settings.HOLDFAST_CHANNEL_PREFIX}"


def note(happening: Happening) -> None:
    """Listener of ``contract.happenings``."""
    if happening.type not in kinds.shapes():
        return
    there = WebhookEndpoint.objects.filter(state=ENABLED, workspace_id=happening.workspace_id)
    for endpoint in _wanting([happening.type], there.order_by("pk")):
        _write(endpoint, happening.type, happening.id, happening.beside)


def note_log(session_id: str, stored: Sequence[Event]) -> None:
    """What was just appended to a session's log. Costs one query if it may matter to anybody, else none."""
    wanted = [(event, kind) for event in stored for kind in kinds.of_event(event)]
    if not wanted:
        return
    types = sorted({kind for _, kind in wanted})
    for endpoint in _wanting(types, OF_SESSION.rows(session_id)):
        for event, kind in wanted:
            if kind in endpoint.enabled_events and _counts(session_id, event, kind):
                _write(endpoint, kind, session_id, _beside(event, kind))


def _wanting(types: Iterable[str], endpoints: Iterable[WebhookEndpoint]) -> list[WebhookEndpoint]:
    """Those that want any of these types."""
    wanted = set(types)
    return [endpoint for endpoint in endpoints if wanted & set(endpoint.enabled_events)]


def _counts(session_id: str, event: Event, kind: str) -> bool:
    if event.type in kinds.OF_CHILDREN:
        thread_id = event.payload.get("session_thread_id", "")
        return Thread.objects.filter(pk=thread_id, session_id=session_id).exclude(parent=None).exists()
    if kind == "session.budget_reached":
        return not _told_of_budget(session_id, event)
    return True


def _told_of_budget(session_id: str, event: Event) -> bool:
    """True if the session has come to rest at this value of its budget before (spec core 15.3)."""
    before = Event.objects.filter(session_id=session_id, seq__lt=event.seq)
    changed = before.filter(type=ev.SESSION_UPDATED, payload__has_key="budget").order_by("-seq").first()
    since = before.filter(seq__gt=changed.seq) if changed else before
    return since.filter(type=ev.STATUS_IDLE, payload__stop_reason__type="budget_reached").exists()


def _beside(event: Event, kind: str) -> dict[str, str]:
    named = "session_thread_id" in kinds.shapes()[kind].model_fields
    return {"session_thread_id": event.payload["session_thread_id"]} if named else {}


def _write(endpoint: WebhookEndpoint, kind: str, object_id: str, beside: Mapping[str, Any]) -> None:
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, state=PENDING).count()
    if waiting >= MAX_PENDING:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(dropped=F("dropped") + 1)
        return
    now = timezone.now()
    event_id = ids.webhook_event_id()
    event = {
        "type": "event",
        "id": event_id,
        "created_at": timestamp(now),
        "data": kinds.data(kind, object_id, endpoint.workspace_id, organization_id(), beside),
    }
    WebhookDelivery.objects.create(
        endpoint=endpoint,
        event_id=event_id,
        event_type=kind,
        body=json.dumps(event, separators=(",", ":")),
        next_attempt_at=now,
        created_at=now,
    )
    transaction.on_commit(lambda: wake(endpoint.pk))
