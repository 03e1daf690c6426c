"""The admin: the log can't be written, secrets can't be read, keys can be revoked."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from agents.models import Membership
from contract.roles import Role
from contract.secret import Secret
from credentials.connections import connection_for
from credentials.models import AuditRecord, ModelConnection
from sessions import events as ev
from sessions.events import Draft
from sessions.models import Machine
from tests.web.conftest import World, text

# Shown inside what they belong to, or of no use to a person; everything else has a place in the admin.
LEFT_OUT = {
    "agents.AgentVersion", "agents.Memory", "agents.MemoryVersion", "agents.SkillVersion",
    "agent_sessions.DreamKit", "agent_sessions.Notice", "agent_sessions.Resource", "agent_sessions.SavedView",
    "agent_sessions.UsageSlice", "credentials.KeptAnswer",
    "account.EmailAddress", "account.EmailConfirmation", "socialaccount.SocialApp", "socialaccount.SocialToken",
    "admin.LogEntry", "auth.Group", "auth.Permission", "contenttypes.ContentType", "sessions.Session",
}  # fmt: skip
REGISTERED = sorted(model._meta.label for model in admin.site._registry)


@pytest.fixture
def root(world: World, django_user_model: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(django_user_model.objects.create_superuser("root"))
    return client


def test_every_model_is_in_the_admin_or_left_out_on_purpose() -> None:
    assert {model._meta.label for model in apps.get_models()} == set(REGISTERED) | LEFT_OUT
    assert not set(REGISTERED) & LEFT_OUT


@pytest.mark.parametrize("name", REGISTERED)
def test_every_list_opens_in_our_look(root: Client, name: str) -> None:
    response = root.get(f"/admin/{name.lower().replace('.', '/')}/")
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


def test_being_staff_opens_no_other_workspaces(world: World, django_user_model: Any) -> None:
    staff = django_user_model.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(staff)
    for path in ("/admin/", "/admin/agents/agent/", f"/admin/credentials/credential/{world.secret.pk}/change/"):
        assert client.get(path).status_code == 302


def test_credentials_are_revoked_and_their_secrets_never_shown(world: World, root: Client) -> None:
    address = f"/admin/credentials/credential/{world.secret.pk}/change/"
    shown = root.get(address).content.decode() + root.get("/admin/credentials/credential/").content.decode()
    assert "s3cret-of-the-world" not in shown
    assert f"/credentials/{world.secret.pk}/edit/" in shown
    assert root.post(address, {"display_name": "x"}).status_code == 403
    root.post("/admin/credentials/credential/", {"action": "revoke", "_selected_action": [world.secret.pk]})
    world.secret.refresh_from_db()
    assert (world.secret.archived_at is not None, bytes(world.secret.sealed)) == (True, b"")
    record = AuditRecord.objects.get(action="credential.archived", object_id=world.secret.pk)
    assert (record.actor, record.workspace_id) == ("root", world.workspace.pk)
    root.post("/admin/credentials/vault/", {"action": "archive", "_selected_action": [world.vault.pk]})
    world.vault.refresh_from_db()
    assert world.vault.archived_at is not None


def test_second_factors_are_taken_away_for_somebody_who_lost_them(
    world: World, root: Client, django_user_model: Any
) -> None:
    user = django_user_model.objects.get(username="alice")
    factor = Authenticator.objects.create(user=user, type="totp", data={"secret": "c2VhbGVk"})
    assert "c2VhbGVk" not in root.get(f"/admin/mfa/authenticator/{factor.pk}/change/").content.decode()
    root.post("/admin/mfa/authenticator/", {"action": "remove", "_selected_action": [factor.pk]})
    assert not Authenticator.objects.exists()
    assert world.alice.get("/").status_code == 302, "they are signed out"


def test_pages_and_admin_lead_to_each_other(world: World, root: Client, django_user_model: Any) -> None:
    Membership.objects.create(
        workspace=world.workspace, user=django_user_model.objects.get(username="root"), role=Role.ADMIN.value
    )
    for page, place in (
        (f"/sessions/{world.session.pk}/", f"/admin/agent_sessions/session/{world.session.pk}/change/"),
        (f"/agents/{world.agent.pk}/", f"/admin/agents/agent/{world.agent.pk}/change/"),
        (f"/credentials/{world.secret.pk}/", f"/admin/credentials/credential/{world.secret.pk}/change/"),
        (f"/agents/{world.agent.pk}/versions/1/", f"/admin/agents/agent/{world.agent.pk}/change/"),
        (f"/memory/{world.store.pk}/", f"/admin/agents/memorystore/{world.store.pk}/change/"),
        (f"/skills/{world.skill.pk}/", f"/admin/agents/skill/{world.skill.pk}/change/"),
        (f"/dreams/{world.dream.pk}/", f"/admin/agent_sessions/dream/{world.dream.pk}/change/"),
        (f"/approvals/{world.approval.pk}/", f"/admin/agent_sessions/approval/{world.approval.pk}/change/"),
        (f"/vaults/{world.vault.pk}/", f"/admin/credentials/vault/{world.vault.pk}/change/"),
        (f"/environments/{world.environment.pk}/", f"/admin/agents/environment/{world.environment.pk}/change/"),
        (f"/schedules/{world.deployment.pk}/", f"/admin/agent_sessions/deployment/{world.deployment.pk}/change/"),
        (f"/webhooks/{world.hook.pk}/", f"/admin/agent_sessions/webhookendpoint/{world.hook.pk}/change/"),
        ("/members/", "/admin/agents/membership/"),
        ("/sessions/", "/admin/"),
    ):
        assert f'href="{place}" title="Admin"' in root.get(page).content.decode(), page
        shown = root.get(place)
        assert shown.status_code == 200
        if place.endswith("/change/"):
            assert f'href="{page.partition("versions")[0]}" class="viewsitelink"' in shown.content.decode(), place
    assert f"/sessions/{world.session.pk}/" in root.get("/admin/agent_sessions/session/").content.decode()
    assert 'title="Admin"' not in world.alice.get("/").content.decode()


def test_the_front_page_speaks_proper_english(root: Client) -> None:
    shown = root.get("/admin/").content.decode()
    assert "Webhook deliveries" in shown
    assert "API keys" in shown
    assert not re.search(r"\b\w+(deliverys|historys|entrys|works)\b", shown, re.IGNORECASE)


def test_a_password_is_changed_on_the_account_page_alone(root: Client) -> None:
    assert root.get("/admin/password_change/")["Location"] == "/account/password/"


def test_a_machine_is_drained_and_taken_back_on_record(root: Client) -> None:
    Machine.objects.create(name="rack-7", seen_at=timezone.now())
    for action, draining in (("drain", True), ("take_again", False)):
        root.post("/admin/agent_sessions/machine/", {"action": action, "_selected_action": ["rack-7"]})
        assert Machine.objects.get(name="rack-7").draining is draining
    done = AuditRecord.objects.filter(object_id="rack-7").order_by("id").values_list("action", "actor")
    assert list(done) == [("machine.drained", "root"), ("machine.taken_back", "root")]
