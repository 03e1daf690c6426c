"""What nobody answered in time ends as its rule says: denied, so that the agent goes on, or the turn interrupted."""

from __future__ import annotations

import logging

from django.db import DatabaseError, transaction
from django.utils import timezone

from agents import rules
from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role
from sessions import events as ev
from sessions import inbox
from sessions.approvals import actions
from sessions.approvals.answers import Aside
from sessions.models.approvals import EXPIRED, WAITING, Approval

logger = logging.getLogger(__name__)

BATCH = 100
BY = "Holdfast, since nobody answered in time"


def expire_due() -> int:
    """End every approval whose time is over; returns how many. One that can't be ended keeps no other waiting."""
    due = Approval.objects.filter(state=WAITING, expires_at__lte=timezone.now()).order_by("expires_at")
    ended = 0
    for approval in due[:BATCH]:
        try:
            _end(approval)
            ended += 1
        except ApiError as error:
            logger.warning("Approval %s could not be ended: %s", approval.pk, error.message)
        except DatabaseError:
            raise
        except Exception:
            logger.exception("Approval %s could not be ended; the next sweep tries again.", approval.pk)
    return ended


def _end(approval: Approval) -> None:
    acting = Acting(approval.workspace_id, Role.OPERATOR, BY)
    with transaction.atomic():
        waiting = actions.locked(approval.pk, acting)
        if approval.on_expiry == "interrupt":
            inbox.send(waiting.session, [{"type": ev.USER_INTERRUPT}], acting)
            row = Approval.objects.filter(pk=approval.pk)
            row.update(state=EXPIRED, decided_at=timezone.now(), decided_label=BY, via="expiry")
            return
        seconds = int((due - approval.asked_at).total_seconds()) if (due := approval.expires_at) else 0
        text = f"Nobody answered within {rules.span(seconds)}."
        event = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": approval.pk, "result": "deny", "deny_message": text}
        inbox.send(waiting.session, [event], acting, {approval.pk: Aside("expiry")})
