"""Changing the caps of sessions (``sessions.bounds``), and what a change sets going again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from agents.additions import check_priced
from agents.models import Workspace
from contract import audit, happenings, limits
from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.schema import OURS
from sessions import events as ev
from sessions import log, nudges, threads
from sessions.approvals import book
from sessions.bounds import caps_of, own_caps, reached, reached_alone, used, used_alone
from sessions.events import Draft
from sessions.harness.limits import DAILY, KINDS, MONEY, Caps, Used
from sessions.models import Session, Thread
from sessions.wake import call_next, resume_later, wake_on_commit
from sessions.workflows import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contract.acting import Acting

logger = logging.getLogger(__name__)

BATCH = 500
MANY = 100  # child threads that are told of
STOPPED = Q(status="idle", stop_reason__type="budget_reached", stop_reason__has_key=OURS)  # threads, at a cap of ours


def overview(session: Session) -> dict[str, Any]:
    """Which cap of each kind applies, which level set it, and how much of it is used."""
    bounds, spent = caps_of(session), used(session)
    return {
        "type": "session_limits",
        "session_id": session.pk,
        "levels": {level: dict(caps) for level, caps in bounds.levels},
        "effective": _effective(bounds, spent),
        "used": {kind: int(bounds.amount(kind, spent)) for kind in KINDS},
        "approval_seconds": bounds.approval_seconds,
    }


def in_full(session: Session) -> dict[str, Any]:
    """``overview`` with what bounds child threads by themselves, the ``MANY`` newest: limits of their own agents."""
    children = Thread.objects.filter(session=session, archived_at=None).exclude(parent=None).order_by("-created_at")
    own: dict[str, Caps] = {}
    told = []
    for child in children[:MANY]:
        agent_id = str(child.agent.get("id"))
        if agent_id not in own:
            own[agent_id] = own_caps(session, child)
        bounds = own[agent_id]
        if effective := _effective(bounds, used_alone(child)):
            about = {"session_thread_id": child.pk, "agent_id": bounds.agent_id, "agent_name": child.agent_name}
            told.append({**about, "effective": effective})
    return {**overview(session), "threads": told}


def _effective(bounds: Caps, spent: Used) -> dict[str, Any]:
    """The tightest cap of each kind, the level that set it, and how much of it is used."""
    return {
        kind: {"limit": cap[1], "level": cap[0], "used": int(bounds.amount(kind, spent))}
        for kind in (*KINDS, *DAILY)
        if (cap := bounds.tightest(kind)) is not None
    }


def check_new(session: Session, models: Iterable[str]) -> None:
    """Refuse a session whose money is to be limited at any level, but whose models have no known price."""
    for level, caps in caps_of(session).levels:
        for kind in sorted(MONEY & caps.keys()):
            check_priced({kind: caps[kind]}, models, f"the {level}'s limit of {kind}")


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
        happenings.tell(happenings.WORKSPACE_LIMITS, workspace.pk, workspace_id=workspace.pk)
    return workspace


def follow_workspace(workspace_id: str) -> None:
    """A workspace's caps have changed, wherever that was: what waits or stopped is measured by the new ones."""
    book.give_time(Session.objects.filter(workspace=workspace_id, pending_count__gt=0))
    transaction.on_commit(lambda: resume_all(session__workspace=workspace_id))
    transaction.on_commit(lambda: call_next(workspace_id))
    transaction.on_commit(lambda: nudges.publish_workspace(workspace_id))


def follow_agent(agent_id: str) -> None:
    """An agent's caps may have changed: those of its sessions, and of threads that it has in other agents' sessions."""
    elsewhere = Thread.objects.exclude(parent=None).filter(session__pending_count__gt=0, agent__id=agent_id)
    mine = Q(agent=agent_id) | Q(pk__in=elsewhere.values("session_id"))
    book.give_time(Session.objects.filter(mine, pending_count__gt=0))
    transaction.on_commit(lambda: resume_all(Q(session__agent=agent_id) | Q(agent__id=agent_id)))


def follow_installation() -> None:
    """The settings may have changed with this start."""
    book.give_time(Session.objects.filter(pending_count__gt=0))
    resume_all()


def resume_all(*which: Q, after: str = "", **where: Any) -> int:
    """Let every session go on that stopped at a cap and has room again, ``BATCH`` of them now and the rest by a task;
    how many did now. ``after``: only sessions whose id comes later.
    """
    stopped = Thread.objects.filter(STOPPED, *which, session__archived_at=None, session_id__gt=after, **where)
    ids = list(stopped.order_by("session_id").values_list("session_id", flat=True).distinct()[: BATCH + 1])
    if len(ids) > BATCH:
        resume_later(ids[BATCH - 1])
    return sum(_resumed(session_id) for session_id in ids[:BATCH])


def _resumed(session_id: str) -> bool:
    """See ``resume``. A session whose rows can't be read, or that its log refuses, keeps no other at rest."""
    try:
        return resume(session_id)
    except (IntegrityError, *ev.UNREADABLE):
        logger.exception("Session %s stays at its cap: its rows were changed by hand.", session_id)
        return False


def resume(session_id: str) -> bool:
    """Let the threads of a session go on that stopped at a cap, if there is room again."""
    with transaction.atomic():
        session = Session.objects.select_for_update().filter(pk=session_id, archived_at=None).first()
        if session is None or session.status == "terminated" or reached(session):
            return False
        stopped = Thread.objects.select_for_update().filter(STOPPED, session=session).order_by("id")
        capped = [thread for thread in stopped if reached_alone(session, thread) is None]
        for thread in capped:
            log.append(session_id, thread.pk, [Draft(ev.THREAD_RUNNING, threads.about(thread))])
            wake_on_commit(thread.pk)
        runs.resume(session_id)
    return bool(capped)


def refuse_at_cap(session: Session, where: str, accepted: Iterable[str]) -> InvalidRequest:
    """The error for input that a session at a cap does not take."""
    cap = reached(session)
    why = cap.sentence() if cap else "The session's budget is used up; raise or remove it to go on."
    return InvalidRequest(f"{where}.type: {why} Until then the session takes only {', '.join(sorted(accepted))}.")
