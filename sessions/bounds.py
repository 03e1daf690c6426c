"""The caps that apply to a session, from the installation down to itself: what is stored, read and compared.

They are guard rails, not part of a version: the agent's limits are those of its current version, so that raising one
helps sessions that are already running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from agents.models import AgentVersion
from contract.schema import OURS
from sessions.harness.limits import Caps, Reached, Used
from sessions.projected import session_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sessions.models import Session, Thread


def caps_of(session: Session) -> Caps:
    """All levels that bound this session. One query."""
    of_agent, of_workspace = stored(session.agent_id)
    return Caps(
        (
            ("installation", settings.HOLDFAST_LIMITS),
            ("workspace", of_workspace),
            ("agent", of_agent),
            ("session", session.limits),
        )
    )


def stored(agent_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The limits of an agent's current version and of its workspace."""
    versions = AgentVersion.objects.filter(agent_id=agent_id).order_by("-version")
    found = versions.values_list(f"spec__{OURS}__limits", "agent__workspace__limits").first()
    return (found[0] or {}, found[1]) if found else ({}, {})


def own_caps(session: Session, thread: Thread) -> Caps:
    """What bounds a child thread by itself, besides what bounds the session: the limits of its own agent."""
    agent_id = thread.agent.get("id")
    if thread.parent_id is None or agent_id in (None, session.agent_id):
        return Caps()
    return Caps((("agent", stored(agent_id)[0]),))


def reached(session: Session) -> Reached | None:
    """The cap that leaves a session no room for another model request."""
    columns, now = session_columns(session), timezone.now()
    used = Used.of(columns.spent, columns.cost(now), columns.clock.active_at(now))
    return caps_of(session).reached(used)
