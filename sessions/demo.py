"""A first session for who has none: the demo model really runs its tools, and needs no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from agents.actions import create_agent, create_environment
from agents.models import AgentVersion, Environment
from agents.providers.registry import DEMO
from contract.roles import Permission
from sessions import actions
from sessions.forms import message

if TYPE_CHECKING:
    from contract.acting import Acting
    from sessions.models import Session

TITLE = "A first look"
TASK = (
    "Write notes.md with `Everything an agent does is on the log.`. Run `cat notes.md`. "
    "Run `for step in 1 2 3; do echo step $step; sleep 1; done`."
)
AGENT = {
    "name": "Demo",
    "model": DEMO,
    "description": "Follows rules, no AI: works without a key.",
    "tools": [{"type": "agent_toolset_20260401"}],
}


def start_demo(acting: Acting) -> Session:
    """Start a session on the demo model; an agent and an environment for it are made where there are none.

    Raises ``PermissionDenied`` where one is missing and the role may not make it.
    """
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        body = {
            "agent": _agent(acting),
            "environment_id": _environment(acting),
            "title": TITLE,
            "initial_events": [message(TASK, ())],
        }
        return actions.create_session(body, acting)


def _agent(acting: Acting) -> str:
    current = AgentVersion.objects.filter(
        version=F("agent__version"), agent__workspace_id=acting.workspace_id, agent__archived_at=None
    )
    found = current.filter(spec__model__id=DEMO).order_by("agent__created_at").values_list("agent_id", flat=True)
    return found.first() or create_agent(AGENT, acting).agent_id


def _environment(acting: Acting) -> str:
    rows = Environment.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
    here = rows.exclude(config__type="self_hosted").order_by("created_at").values_list("pk", flat=True)
    return here.first() or create_environment({"name": f"Demo {timezone.now():%Y-%m-%d %H:%M:%S}"}, acting).pk
