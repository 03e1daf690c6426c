"""Changing the caps of sessions (``sessions.bounds``), and what a change sets going again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from agents.additions import check_priced
from agents.models import Workspace
from contract import audit, limits
from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.schema import OURS
from sessions import events as ev
from sessions import log
from sessions.approvals import book
from sessions.bounds import caps_of, reached
from sessions.events import Draft
from sessions.harness.limits import KINDS, Used
from sessions.models import Session, Thread
from sessions.projected import session_columns
from sessions.wake import call_next, wake_on_commit
from sessions.workflows import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contract.acting import Acting

BATCH = 500


def overview(session: Session) -> dict[str, Any]:
    """Which cap of each kind applies, which level set it, and how much of it is used."""
    columns, now, bounds = session_columns(session), timezone.now(), caps_of(session)
    used = Used.of(columns.spent, columns.cost(now), columns.clock.active_at(now))
    effective = {
        kind: {"limit": cap[1], "level": cap[0], "used": int(getattr(used, kind))}
        for kind in KINDS
        if (cap := bounds.tightest(kind)) is not None
    }
    return {
        "type": "session_limits",
        "session_id": session.pk,
        "levels": {level: dict(caps) for level, caps in bounds.levels},
        "effective": effective,
        "approval_seconds": bounds.approval_seconds,
    }


def check_new(session: Session, models: Iterable[str]) -> None:
    """Refuse a session whose money is to be limited at any level, but whose models have no known price."""
    for level, caps in caps_of(session).levels:
        check_priced(caps, models, f"the {level}'s limit of list_cost")


def change_session(session: Session, sent: Mapping[str, Any] | None, acting: Acting) -> list[Draft]:
    """Lay sent limits over a locked session's own; what is to be logged of it. Work goes on where there is room."""
    after = limits.merged(session.limits, sent)
    if after == session.limits:
        return []
    check_priced(after, [session.agent_snapshot["model"]["id"]], "holdfast.limits.list_cost")
    session.limits = after
    session.save(update_fields=["limits"])
    book.give_time([session])
    return [Draft(ev.OPS_LIMITS_CHANGED, {"level": "session", "limits": after, "by": acting.label})]


@audit.logged("workspace.limits_changed", "agents.Workspace")
def change_workspace(sent: Mapping[str, Any] | None, acting: Acting) -> Workspace:
    """Lay sent limits over the workspace's; sessions that had stopped at them go on."""
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        workspace = Workspace.objects.select_for_update().get(pk=acting.workspace_id)
        workspace.limits = limits.merged(workspace.limits, sent)
        workspace.save(update_fields=["limits"])
        book.give_time(Session.objects.filter(workspace=workspace, pending_count__gt=0))
        transaction.on_commit(lambda: resume_all(workspace_id=acting.workspace_id))
        transaction.on_commit(lambda: call_next(acting.workspace_id))
    return workspace


def resume_all(**which: Any) -> int:
    """Let every session go on that stopped at a cap and has room again; how many did."""
    stopped = Session.objects.filter(status="idle", stop_reason__type="budget_reached", **which)
    ids = list(stopped.filter(stop_reason__has_key=OURS).values_list("pk", flat=True)[:BATCH])
    return sum(resume(session_id) for session_id in ids)


def resume(session_id: str) -> bool:
    """Let the threads of a session go on that stopped at a cap, if there is room again."""
    with transaction.atomic():
        session = Session.objects.select_for_update().filter(pk=session_id, archived_at=None).first()
        if session is None or session.status == "terminated" or reached(session):
            return False
        threads = Thread.objects.select_for_update().filter(
            session=session, status="idle", stop_reason__type="budget_reached"
        )
        capped = [thread for thread in threads if OURS in (thread.stop_reason or {})]
        for thread in capped:
            about = {"session_thread_id": thread.pk, "agent_name": thread.agent_name}
            log.append(session_id, thread.pk, [Draft(ev.THREAD_RUNNING, about)])
            wake_on_commit(thread.pk)
        runs.resume(session_id)
    return bool(capped)


def refuse_at_cap(session: Session, where: str, accepted: Iterable[str]) -> InvalidRequest:
    """The error for input that a session at a cap does not take."""
    cap = reached(session)
    why = cap.sentence() if cap else "The session's budget is used up; raise or remove it to go on."
    return InvalidRequest(f"{where}.type: {why} Until then the session takes only {', '.join(sorted(accepted))}.")
