"""How many statements a page takes, fixed in `query_counts.json`: at most 12, and no more with more rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contract.roles import Role
from sessions import events as ev
from sessions.actions import create_session
from sessions.events import Draft
from sessions.models import Machine
from tests.web.conftest import World, bash, make_world, person, text

BASELINE: dict[str, int] = json.loads((Path(__file__).parent / "query_counts.json").read_text())
MOST = 12
WHOLE = {"session resources", "session progress"}  # tabs as pages of their own: the head is read besides
TABS = ("session", "progress", "tools", "resources", "threads", "access")


@pytest.fixture
def world(db: None) -> World:
    """A world of each test's own: what is cached of a session that another test asked for is not counted."""
    return make_world()


def count(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def paths(world: World) -> dict[str, str]:
    """Every page that answers a plain GET, by a short name; ``test_static`` weighs the same ones."""
    return {**of_work(world), **of_set_up(world), **of_the_installation(world)}


def of_work(world: World) -> dict[str, str]:
    session = f"/sessions/{world.session.pk}/"
    inspector = {f"session {tab}": f"{session}inspect/{tab}/" for tab in TABS}
    return {
        "overview": "/",
        "approvals": "/approvals/",
        "approval": f"/approvals/{world.approval.pk}/",
        "approvals decided": "/approvals/?tab=history",
        "approvals counted": "/approvals/count/",
        "notices": "/approvals/notices/",
        "new notice": "/approvals/notices/new/",
        "edit notice": f"/approvals/notices/{world.notice.pk}/edit/",
        "sessions": "/sessions/",
        "sessions searched": "/sessions/?q=ls&since=7d",
        "new session": "/sessions/new/",
        "import": "/sessions/import/",
        "replay": "/replay/",
        "session": session,
        "session events": f"{session}events/",
        "session files": f"{session}files/",
        "session trace": f"{session}trace/",
        "session event": f"{session}events/1/",
        "session thread": f"{session}threads/{world.thread.pk}/",
        "session changes": f"{session}changes/",
        **inspector,
        "session limits": f"{session}limits/",
        "fork": f"{session}fork/?at=1",
        "compare": f"{session}compare/{world.session.pk}/",
        "export": f"{session}export/preview/",
        "minimap": f"{session}minimap/",
        "pulse": f"{session}pulse/",
    }


def of_set_up(world: World) -> dict[str, str]:
    agent, vault = f"/agents/{world.agent.pk}/", f"/vaults/{world.vault.pk}/"
    store, skill = f"/memory/{world.store.pk}/", f"/skills/{world.skill.pk}/"
    memory = f"{store}memories/{world.memory.pk}/"
    return {
        "agents": "/agents/",
        "new agent": "/agents/new/",
        "agent": agent,
        "agent version": f"{agent}versions/1/",
        "edit agent": f"{agent}edit/",
        "environments": "/environments/",
        "new environment": "/environments/new/",
        "environment": f"/environments/{world.environment.pk}/",
        "workers": f"/environments/{world.outside.pk}/workers/",
        "vaults": "/vaults/",
        "new vault": "/vaults/new/",
        "vault": vault,
        "sign in to a server": f"{vault}sign-in/",
        "new credential": f"{vault}new/",
        "credential": f"/credentials/{world.credential.pk}/",
        "edit credential": f"/credentials/{world.credential.pk}/edit/",
        "memory": "/memory/",
        "new memory store": "/memory/new/",
        "memory store": f"{store}?in=/notes/",
        "edit memory store": f"{store}edit/",
        "new memory": f"{store}memories/new/",
        "one memory": memory,
        "edit memory": f"{memory}edit/",
        "dreams": "/dreams/",
        "new dream": "/dreams/new/",
        "dream": f"/dreams/{world.dream.pk}/",
        "skills": "/skills/",
        "new skill": "/skills/new/",
        "skill": skill,
        "new skill version": f"{skill}versions/new/",
        "files": "/files/",
    }


def of_the_installation(world: World) -> dict[str, str]:
    schedule, webhook = f"/schedules/{world.deployment.pk}/", f"/webhooks/{world.hook.pk}/"
    return {
        "schedules": "/schedules/",
        "new schedule": "/schedules/new/",
        "schedule": schedule,
        "edit schedule": f"{schedule}edit/",
        "webhooks": "/webhooks/",
        "new webhook": "/webhooks/new/",
        "webhook": webhook,
        "edit webhook": f"{webhook}edit/",
        "limits": "/limits/",
        "edit limits": "/limits/edit/",
        "usage": "/usage/",
        "usage by person": "/usage/?by=user",
        "system": "/system/",
        "errors": "/system/errors/",
        "audit": "/audit/",
        "archives": "/archives/",
        "members": "/members/",
        "new member": "/members/new/",
        "remove member": f"/members/{world.member.pk}/remove/",
        "keys": "/keys/",
        "new key": "/keys/new/",
        "account": "/account/",
        "confirm": "/account/confirm/",
        "try an agent": f"/agents/{world.agent.pk}/try/",
        "shortcuts": "/help/shortcuts/",
        "palette": "/help/palette/?q=tidy",
    }


AFTER_A_SIGN_IN = {  # of an administrator of the installation, who proved just now who they are
    "machine": "/system/machines/rack-1/",
    "new password": "/account/password/",
    "authenticator app": "/account/codes/app/",
    "new passkey": "/account/passkeys/new/",
}


@pytest.fixture
def root(world: World) -> Client:
    user, _client = person("root", world.workspace, Role.ADMIN)
    get_user_model().objects.filter(pk=user.pk).update(is_superuser=True)
    Machine.objects.create(name="rack-1", seen_at=timezone.now())
    browser = Client()
    browser.post("/login", {"username": "root", "password": "only for tests"})
    return browser


def counts(world: World, root: Client) -> dict[str, int]:
    found = {name: count(world.alice, path) for name, path in paths(world).items()}
    return found | {name: count(root, path) for name, path in AFTER_A_SIGN_IN.items()}


def something_everywhere(world: World) -> None:
    """A session that runs, with a call that waits, and one that is done."""
    world.append(world.running(), bash("make", ask=True), bash("ls"), Draft(ev.AGENT_MESSAGE, {"content": text("hi")}))
    body = {"agent": world.agent.pk, "environment_id": world.environment.pk, "title": "Another"}
    create_session(body, world.acting)


def test_the_statements_of_each_page_are_as_committed(world: World, root: Client) -> None:
    something_everywhere(world)
    found = counts(world, root)
    print(json.dumps(found, indent=2))  # shown when they differ: the new baseline
    assert found == BASELINE
    assert max(number for name, number in found.items() if name not in WHOLE) <= MOST
    assert all(found[name] <= MOST + 1 for name in WHOLE)


def test_pages_cost_the_same_however_much_they_show(world: World, root: Client) -> None:
    something_everywhere(world)
    before = counts(world, root)
    for _ in range(3):
        something_everywhere(world)
        world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text("more")}) for _ in range(20)])
    assert counts(world, root) == before
