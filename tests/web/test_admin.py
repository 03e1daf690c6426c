"""The admin: the log can't be written, secrets can't be read, keys can be revoked."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from contract.secret import Secret
from credentials.connections import connection_for
from credentials.models import ModelConnection
from sessions import events as ev
from sessions.events import Draft
from tests.web.conftest import World, text

LISTS = (
    *("agents/workspace", "agents/membership", "agents/agent", "agents/environment", "auth/user"),
    *("credentials/apikey", "credentials/modelconnection", "credentials/auditrecord"),
    *("agent_sessions/session", "agent_sessions/event", "agent_sessions/file"),
)


@pytest.fixture
def root(world: World, django_user_model: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(django_user_model.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_in_our_look(root: Client, name: str) -> None:
    response = root.get(f"/admin/{name}/")
    assert response.status_code == 200
    assert "css/admin.css" in response.content.decode()


def test_the_log_is_read_and_never_written(world: World, root: Client) -> None:
    (event,) = world.append(Draft(ev.AGENT_MESSAGE, {"content": text("hi")}, private={"thinking": "s3cret"}))
    address = f"/admin/agent_sessions/event/{event.pk}/change/"
    assert root.get(address).status_code == 200
    assert "s3cret" not in root.get(address).content.decode()
    assert root.post(address, {"type": "x"}).status_code == 403
    assert root.get("/admin/agent_sessions/event/add/").status_code == 403
    assert root.post(f"/admin/agent_sessions/session/{world.session.pk}/delete/").status_code == 403
    listed = root.get(f"/admin/agent_sessions/event/?session__id__exact={world.session.pk}")
    assert event.type in listed.content.decode()


def test_a_key_is_revoked_and_its_digest_not_shown(world: World, root: Client) -> None:
    shown = root.get(f"/admin/credentials/apikey/{world.key.pk}/change/").content.decode()
    assert world.key.digest not in shown
    chosen = {"action": "revoke", "_selected_action": [world.key.pk]}
    root.post("/admin/credentials/apikey/", chosen)
    world.key.refresh_from_db()
    assert world.key.revoked_at is not None


def test_agents_are_archived_through_their_action(world: World, root: Client) -> None:
    chosen = {"action": "archive", "_selected_action": [world.agent.pk]}
    root.post("/admin/agents/agent/", chosen)
    world.agent.refresh_from_db()
    assert world.agent.archived_at is not None


def test_a_model_key_is_written_kept_cleared_and_never_shown(world: World, root: Client) -> None:
    form = {"workspace": world.workspace.pk, "base_url": "https://models.example", "api_key": "sk-very-secret"}
    assert root.post("/admin/credentials/modelconnection/add/", form).status_code == 302
    row = ModelConnection.objects.get()
    assert connection_for(world.workspace.pk).api_key == Secret("sk-very-secret")
    address = f"/admin/credentials/modelconnection/{row.pk}/change/"
    assert "sk-very" not in root.get(address).content.decode()
    root.post(address, {**form, "api_key": ""})
    assert connection_for(world.workspace.pk).api_key == Secret("sk-very-secret")
    root.post(address, {**form, "api_key": "", "clear_key": "on"})
    assert connection_for(world.workspace.pk).api_key == Secret("")


def test_an_installation_can_not_be_its_own_model(world: World, root: Client, settings: Any) -> None:
    form = {"workspace": world.workspace.pk, "base_url": settings.HOLDFAST_PUBLIC_URL, "api_key": ""}
    answer = root.post("/admin/credentials/modelconnection/add/", form)
    assert "can&#x27;t be its own model" in answer.content.decode()
    assert not ModelConnection.objects.exists()


def test_people_without_the_staff_mark_stay_outside(world: World) -> None:
    assert world.alice.get("/admin/").status_code == 302


def test_a_call_is_tried_in_the_admin(world: World, root: Client) -> None:
    assert "Try a call" in root.get(f"/admin/agents/agent/{world.agent.pk}/change/").content.decode()
    address = f"/admin/agents/agent/{world.agent.pk}/try/"
    assert root.get(address).status_code == 200
    tried = root.post(address, {"tool": "bash", "argument": "ls"})
    assert "the policy of bash is always_ask" in tried.content.decode()
    assert world.alice.get(address).status_code == 302
