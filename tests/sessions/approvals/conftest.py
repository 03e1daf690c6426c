"""A session whose log holds calls that wait, without a model or a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model

from agents.models import Membership
from contract.acting import Acting
from contract.roles import Role
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Approval, Session, Thread
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from agents.models import Workspace


@dataclass
class Desk:
    """One session and those who decide."""

    session: Session
    thread: Thread
    ann: Acting
    ben: Acting

    @property
    def workspace(self) -> Workspace:
        return self.session.workspace

    def asks(self, *commands: str, rule: dict[str, Any] | None = None) -> list[Approval]:
        """The agent calls bash and waits, as the loop leaves it."""
        why: dict[str, Any] = {"source": "policy", "policy": "always_ask"}
        if rule is not None:
            why = {"source": "rule", "index": 0, "rule": rule}
        about = {"session_thread_id": self.thread.pk, "agent_name": "Demo"}
        calls = [
            Draft(
                ev.TOOL_USE,
                {
                    "name": "bash",
                    "input": {"command": command},
                    "evaluated_permission": "ask",
                    "evaluation": {"type": "always_ask"},
                },
                private={"permission": why},
            )
            for command in commands
        ]
        stored = log.append(self.session.pk, self.thread.pk, [Draft(ev.THREAD_RUNNING, about), *calls])
        ids = [event.id for event in stored if event.type == ev.TOOL_USE]
        stop = {"stop_reason": ev.requires_action(ids), "stop_details": None}
        log.append(self.session.pk, self.thread.pk, [Draft(ev.THREAD_IDLE, {**about, **stop})])
        return [Approval.objects.get(pk=call_id) for call_id in ids]

    def events(self, *types: str) -> list[Any]:
        return [event for event in log.read(self.session.pk) if event.type in types]


def member(workspace: Workspace, name: str, role: Role = Role.OPERATOR) -> Acting:
    user = get_user_model().objects.create_user(name)
    Membership.objects.create(workspace=workspace, user=user, role=role.value)
    return Acting(workspace.pk, role, name, user_id=user.pk)


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("sessions.wake.wake", lambda thread_id: None)
    session, thread = make_session()
    ann, ben = member(session.workspace, "ann"), member(session.workspace, "ben", Role.DEVELOPER)
    Session.objects.filter(pk=session.pk).update(created_by_id=ann.user_id)
    session.refresh_from_db()
    return Desk(session, thread, ann, ben)
