"""Sessions with several threads, run to rest in the test's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions import inbox, log
from sessions.harness import runner
from sessions.models import Event, Session, Thread, WorkflowRun
from sessions.verify import verify
from sessions.workflows import runs
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 2_000


def member(name: str, tools: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A saved agent, as a session's snapshot holds it."""
    return {
        "type": "agent",
        "id": f"agent_{name}",
        "version": 1,
        "name": name,
        "description": f"Does what {name} does.",
        "model": {"id": "demo", "effort": None, "speed": "standard", "inference_geo": None},
        "system": None,
        "tools": list(tools),
        "mcp_servers": [],
        "skills": [],
        "execution_identity": {"type": "service_account"},
    }


def multiagent(*members: dict[str, Any], advisor: str | None = None) -> dict[str, Any]:
    enabled = {"type": "enabled", "inline_agents": {"type": "enabled"}, "predefined_agents": list(members)}
    return {
        "type": "multiagent_20261001",
        "subagents": enabled,
        "workflows": enabled,
        "advisor": {"type": "enabled", "model": advisor} if advisor else {"type": "disabled"},
    }


def team_session(*members: dict[str, Any], advisor: str | None = None) -> tuple[Session, Thread]:
    """An idle session whose agent leads ``members``."""
    session, thread = make_session(tools=[])
    session.agent_snapshot = {**session.agent_snapshot, "multiagent": multiagent(*members, advisor=advisor)}
    session.save(update_fields=["agent_snapshot"])
    return session, thread


def send(session: Session, *events: dict[str, Any]) -> list[Event]:
    return inbox.send(session, events, acting(session.workspace))


def say(session: Session, text: str) -> None:
    send(session, {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": text}]})


def settle(session: Session) -> Session:
    """Run every thread and every workflow run that has something to do, until all rest; the log must be sound."""
    for _ in range(ROUNDS):
        busy = list(Thread.objects.filter(session=session, status__in=("running", "rescheduling")).order_by("id"))
        for thread in busy:
            runner.run(thread.id)
        open_runs = WorkflowRun.objects.filter(session=session, status="running")
        for run_id in open_runs.values_list("pk", flat=True):
            runs.drive(run_id)
        if not busy and not open_runs.exists():
            break
    session.refresh_from_db()
    complaints = verify(session)
    assert complaints == [], complaints
    return session


def entries(session: Session, *types: str) -> list[Event]:
    return [event for event in log.read(session.id, limit=100_000) if not types or event.type in types]


def texts(event: Event) -> str:
    return "\n".join(block["text"] for block in event.payload["content"])
