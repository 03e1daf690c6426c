"""How many statements a page takes, fixed in `query_counts.json`: at most 12, and no more with more rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import events as ev
from sessions.actions import create_session
from sessions.events import Draft
from tests.web.conftest import World, bash, text

if TYPE_CHECKING:
    from django.test import Client

BASELINE: dict[str, int] = json.loads((Path(__file__).parent / "query_counts.json").read_text())
MOST = 12


def count(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def counts(world: World) -> dict[str, int]:
    session = f"/sessions/{world.session.pk}/"
    paths = {
        "overview": "/",
        "approvals": "/approvals/",
        "audit": "/audit/",
        "members": "/members/",
        "account": "/account/",
        "sessions": "/sessions/",
        "sessions searched": "/sessions/?q=ls&since=7d",
        "usage": "/usage/",
        "usage by person": "/usage/?by=user",
        "system": "/system/",
        "errors": "/system/errors/",
        "new session": "/sessions/new/",
        "session": session,
        "session events": f"{session}events/",
        "session files": f"{session}files/",
        "session trace": f"{session}trace/",
        "session event": f"{session}events/1/",
        "session tools": f"{session}inspect/tools/",
        "session progress": f"{session}inspect/progress/",
        "limits": "/limits/",
        "edit limits": "/limits/edit/",
        "session changes": f"{session}changes/",
        "fork": f"{session}fork/?at=1",
        "compare": f"{session}compare/{world.session.pk}/",
        "minimap": f"{session}minimap/",
        "pulse": f"{session}pulse/",
        "schedules": "/schedules/",
        "schedule": f"/schedules/{world.deployment.pk}/",
        "new schedule": "/schedules/new/",
        "notices": "/approvals/notices/",
        "edit notice": f"/approvals/notices/{world.notice.pk}/edit/",
        "webhooks": "/webhooks/",
        "webhook": f"/webhooks/{world.hook.pk}/",
        "new webhook": "/webhooks/new/",
        "agents": "/agents/",
        "agent": f"/agents/{world.agent.pk}/",
        "agent version": f"/agents/{world.agent.pk}/versions/1/",
        "edit agent": f"/agents/{world.agent.pk}/edit/",
        "memory": "/memory/",
        "memory store": f"/memory/{world.store.pk}/?in=/notes/",
        "one memory": f"/memory/{world.store.pk}/memories/{world.memory.pk}/",
        "skills": "/skills/",
        "skill": f"/skills/{world.skill.pk}/",
        "files": "/files/",
        "environments": "/environments/",
        "environment": f"/environments/{world.environment.pk}/",
        "keys": "/keys/",
    }
    return {name: count(world.alice, path) for name, path in paths.items()}


def something_everywhere(world: World) -> None:
    """A session that runs, with a call that waits, and one that is done."""
    world.append(world.running(), bash("make", ask=True), bash("ls"), Draft(ev.AGENT_MESSAGE, {"content": text("hi")}))
    body = {"agent": world.agent.pk, "environment_id": world.environment.pk, "title": "Another"}
    create_session(body, world.acting)


def test_the_statements_of_each_page_are_as_committed(world: World) -> None:
    something_everywhere(world)
    found = counts(world)
    print(json.dumps(found, indent=2))  # shown when they differ: the new baseline
    assert found == BASELINE
    assert max(found.values()) <= MOST


def test_pages_cost_the_same_however_much_they_show(world: World) -> None:
    something_everywhere(world)
    before = counts(world)
    for _ in range(3):
        something_everywhere(world)
        world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text("more")}) for _ in range(20)])
    assert counts(world) == before
