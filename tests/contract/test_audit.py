"""The audit log: every action that changes something is on it, with what differs and without secrets."""

from __future__ import annotations

import ast
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction
from django.test import Client

from agents.actions import archive_agent, create_agent, create_environment, update_agent, update_environment
from agents.models import Environment, Membership, Workspace
from contract.acting import Acting
from contract.errors import NotFound
from contract.roles import Role
from credentials import audit_views, signin_records
from credentials.actions import create_api_key, revoke_api_key
from credentials.models import AuditRecord
from tests.live import wait_for
from tests.streamed import whole

ROOT = Path(__file__).resolve().parent.parent.parent
CHANGING = ("Permission.OPERATE", "Permission.BUILD", "Permission.ADMINISTER")
# Actions that are on record elsewhere, or that change nothing.
ELSEWHERE = {
    "agents/api/user_profiles.py": "addresses for a person's own browser; nothing is stored",
    "agents/memory/memories.py": "every memory version bears its author",
    "agents/memory/versions.py": "a redaction bears its author on the version",
    "agents/views/environments.py": "calls the actions",
    "credentials/audit_views.py": "reads",
    "credentials/validation.py": "asks the server; every use of a secret is an access record",
    "sessions/api/permissions.py": "asks beforehand, changes nothing",
    "sessions/api/threads.py": "an event on the session's log, with who did it",
    "sessions/members.py": "calls members.remove and revoke_api_key, which are",
    "sessions/inbox.py": "the session's log says who sent what",
    "sessions/approvals/remembering.py": "part of approvals.decide, which is on record, as is the agent's new version",
}
READING = {
    ("agents/members.py", "members"),
    ("agents/actions.py", "new_spec"),
    ("agents/actions.py", "changed_spec"),
    ("agents/actions.py", "update_agent"),  # by what makes the next version
    ("agents/actions.py", "restore_agent"),  # the same
    ("credentials/vaults.py", "vaults"),
    ("credentials/vaults.py", "find_vault"),
    ("credentials/vaults.py", "find_credential"),
    ("sessions/impact.py", "find"),
    ("sessions/exports.py", "take_in"),  # where it stores what it read
    ("sessions/approvals/targets.py", "targets_of"),
    ("sessions/approvals/targets.py", "try_target"),  # by a call, with how it went
    ("sessions/webhooks/endpoints.py", "find"),
    ("sessions/webhooks/endpoints.py", "redeliver"),
    ("sessions/approvals/actions.py", "decide_many"),
    ("sessions/bulk.py", "matching"),  # finds what carry_out is then told
    ("sessions/bulk.py", "carry_out"),  # one by one, with the reason
    ("sessions/demo.py", "start_demo"),  # by the actions that it calls
    ("credentials/mcp_signin.py", "start"),  # only talks to the server
    ("credentials/mcp_signin.py", "finish"),  # by vaults.create_credential
    ("sessions/exchange/transfers.py", "export"),  # where it begins
    ("sessions/exchange/transfers.py", "take_in"),  # the same
    ("sessions/exchange/transfers.py", "find"),
    ("sessions/machines.py", "get"),
    ("sessions/actions.py", "create_session"),  # by a call in its second half
}


def unaudited() -> list[str]:
    found = []
    for package in ("agents", "credentials", "sessions"):
        for file in sorted((ROOT / package).rglob("*.py")):
            name = str(file.relative_to(ROOT))
            if "migrations" in file.parts or name in ELSEWHERE or "/api/" in name:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.FunctionDef) or (name, node.name) in READING:
                    continue
                said = ast.unparse(node)
                changes = any(f"acting.require({one})" in said for one in CHANGING)
                if changes and "audit.logged(" not in said and "audit.record(" not in said:
                    found.append(f"{name}: {node.name}")
    return found


def membership_of(acting: Acting) -> Membership:
    assert acting.user_id is not None
    return Membership.objects.get(user_id=acting.user_id)


def test_every_action_that_needs_a_permission_to_change_is_on_record() -> None:
    assert unaudited() == []


@pytest.fixture
def alice(db: None) -> Acting:
    user = get_user_model().objects.create_user("alice", password="only for tests")
    workspace = Workspace.objects.create(name="Ours")
    Membership.objects.create(workspace=workspace, user=user, role=Role.ADMIN.value)
    return Acting(workspace.pk, Role.ADMIN, "alice", user_id=user.pk)


def rows(action: str) -> list[AuditRecord]:
    return list(AuditRecord.objects.filter(action=action))


def test_a_change_is_recorded_with_what_differs(alice: Acting) -> None:
    agent = create_agent({"name": "Coder", "model": "demo"}, alice).agent_id
    update_agent(agent, {"system": "Be kind."}, alice)
    update_agent(agent, {"system": "Be kind."}, alice)
    (made,) = rows("agent.created")
    assert (made.actor, made.user_id, made.object_id, made.workspace_id) == (
        "alice",
        alice.user_id,
        agent,
        alice.workspace_id,
    )
    assert made.before is None
    (changed,) = rows("agent.updated")
    assert changed.before == {"version": 1, "system": None}
    assert changed.after == {"version": 2, "system": "Be kind."}
    archive_agent(agent, alice)
    assert set(rows("agent.archived")[0].after or {}) == {"archived_at"}


def test_what_fails_and_what_is_refused_leaves_no_record(alice: Acting) -> None:
    agent = create_agent({"name": "Coder", "model": "demo"}, alice).agent_id
    outsider = Acting(Workspace.objects.create(name="Theirs").pk, Role.ADMIN, "eve")
    with pytest.raises(NotFound):
        update_agent(agent, {"system": "Mine."}, outsider)
    assert rows("agent.updated") == []


def test_a_key_s_secret_is_in_no_record(alice: Acting) -> None:
    key, plain = create_api_key(alice, name="robot", role=Role.VIEWER, scopes=["sessions:read"])
    revoke_api_key(key.pk, acting=alice)
    (made,) = rows("api_key.created")
    assert (made.after or {})["scopes"] == ["sessions:read"]
    text = "".join(str((row.before, row.after)) for row in AuditRecord.objects.all())
    assert plain not in text
    assert key.digest not in text
    assert [row.action for row in AuditRecord.objects.filter(object_id=key.pk)] == [
        "api_key.revoked",
        "api_key.created",
    ]


def test_records_can_t_be_changed_or_deleted_even_past_the_model(alice: Acting) -> None:
    create_agent({"name": "Coder", "model": "demo"}, alice)
    record = AuditRecord.objects.get()
    with pytest.raises(TypeError):
        record.save()
    with pytest.raises(TypeError):
        record.delete()
    for change in (lambda: AuditRecord.objects.update(actor="nobody"), lambda: AuditRecord.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_sign_ins_and_failures_are_on_record_without_what_was_typed(alice: Acting) -> None:
    client = Client()
    client.post("/login", {"username": "alice", "password": "only for tests"})
    client.post("/logout")
    client.post("/login", {"username": "alice", "password": "wr0ng-s3cret"})
    client.post("/login", {"username": "pass-in-the-wr0ng-field", "password": "x"})
    actions = list(AuditRecord.objects.filter(action__startswith="person.").values_list("action", "actor"))
    assert actions == [
        ("person.sign_in_failed", "somebody unknown"),
        ("person.sign_in_failed", "alice"),
        ("person.signed_out", "alice"),
        ("person.signed_in", "alice"),
    ]
    text = "".join(str((row.actor, row.before, row.after)) for row in AuditRecord.objects.all())
    assert "wr0ng" not in text


def test_admins_see_and_export_the_sign_ins_of_the_people_of_their_workspace_alone(alice: Acting) -> None:
    outsider = get_user_model().objects.create_user("mallory", password="only for tests")
    theirs = Workspace.objects.create(name="Theirs")
    Membership.objects.create(workspace=theirs, user=outsider, role=Role.ADMIN.value)
    client = Client()
    client.post("/login", {"username": "mallory", "password": "wrong"}, REMOTE_ADDR="10.1.1.1")
    client.post("/login", {"username": "alice", "password": "wrong"}, REMOTE_ADDR="10.2.2.2")
    client.post("/login", {"username": "alice", "password": "only for tests"})
    create_agent({"name": "Coder", "model": "demo"}, alice)
    shown = client.get("/audit/?action=person.").content.decode()
    assert all(said in shown for said in ("person.signed_in", "person.sign_in_failed", "10.2.2.2"))
    assert all(said not in shown for said in ("mallory", "10.1.1.1", "agent.created"))
    exported = json.loads(whole(client.get("/audit/export/?action=person.&format=json")))
    assert [one["action"] for one in exported] == ["person.signed_in", "person.sign_in_failed"]
    membership_of(alice).delete()
    kept = AuditRecord.objects.filter(workspace_id=alice.workspace_id, action__startswith="person.")
    assert kept.count() == 2, "they stay when the person has left"


def test_failures_from_everywhere_at_once_don_t_fill_the_log(alice: Acting) -> None:
    user = get_user_model().objects.get(pk=alice.user_id or 0)
    for _ in range(signin_records.FAILURES_A_MINUTE + 5):
        signin_records.failed(None, "password", user)
        signin_records.failed(None, "passkey")
    counted = AuditRecord.objects.filter(action="person.sign_in_failed").values_list("actor", flat=True)
    assert {name: list(counted).count(name) for name in set(counted)} == {
        "alice": signin_records.FAILURES_A_MINUTE,
        "somebody unknown": signin_records.FAILURES_A_MINUTE,
    }


def test_changes_in_the_admin_are_on_record(alice: Acting) -> None:
    root = Client()
    root.force_login(get_user_model().objects.create_superuser("root"))
    membership = membership_of(alice)
    sent = {"user": alice.user_id, "workspace": alice.workspace_id, "role": "viewer"}
    assert root.post(f"/admin/agents/membership/{membership.pk}/change/", sent).status_code == 302
    (row,) = rows("membership.changed_in_admin")
    assert (row.actor, row.workspace_id) == ("root", alice.workspace_id)
    assert ((row.before or {})["role"], (row.after or {})["role"]) == ("admin", "viewer")


def sign_in() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.get(username="alice"))
    return client


@pytest.mark.parametrize("how", ["demoted", "removed", "switched off"])
def test_whoever_loses_rights_is_signed_out_at_once(
    alice: Acting, how: str, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("sessions.nudges.publish_person", told.append)
    client = sign_in()
    assert client.get("/agents/").status_code == 200
    membership = membership_of(alice)
    with django_capture_on_commit_callbacks(execute=True):
        if how == "demoted":
            membership.role = Role.VIEWER.value
            membership.save()
        elif how == "removed":
            membership.delete()
        else:
            membership.user.is_active = False
            membership.user.save()
    assert client.get("/agents/").status_code == 302
    assert told == [str(alice.user_id)]


def test_whoever_is_promoted_stays_signed_in(alice: Acting, django_capture_on_commit_callbacks: Any) -> None:
    membership = membership_of(alice)
    Membership.objects.update(role=Role.VIEWER.value)
    client = sign_in()
    membership.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        membership.role = Role.OPERATOR.value
        membership.save()
    assert client.get("/agents/").status_code == 200


def test_the_page_and_the_download_show_the_workspace_s_own_records(alice: Acting) -> None:
    outsider = Acting(Workspace.objects.create(name="Theirs").pk, Role.ADMIN, "eve")
    create_agent({"name": "=cmd()", "model": "demo"}, alice)
    create_agent({"name": "Hidden", "model": "demo"}, outsider)
    client = sign_in()
    page = client.get("/audit/").content.decode()
    assert "agent.created" in page
    assert "Hidden" not in page
    assert "No record matches" in client.get("/audit/?action=none").content.decode()
    lines = whole(client.get("/audit/export/")).decode().splitlines()
    assert lines[0].startswith("at,actor,user_id")
    assert len(lines) == 3, "the agent, and who came to look"


def test_a_download_is_json_too_keeps_the_filters_and_says_when_it_is_not_all(
    alice: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("One", "Two"):
        create_agent({"name": name, "model": "demo"}, alice)
    key, plain = create_api_key(alice, name="robot", role=Role.ADMIN)
    client = sign_in()
    assert "export/?action=agent.created&amp;format=json" in client.get("/audit/?action=agent.created").content.decode()
    answer = client.get("/audit/export/?format=json&action=agent.created")
    assert (answer["content-type"], answer["Holdfast-Complete"]) == ("application/json", "yes")
    assert [row["after"]["name"] for row in json.loads(whole(answer))] == ["Two", "One"]
    assert json.loads(whole(client.get("/audit/export/?format=json&action=none"))) == []
    monkeypatch.setattr(audit_views, "MOST", 2)
    answer = Client().get("/v1/x/audit/export", headers={"x-api-key": plain})
    assert answer["Holdfast-Complete"] == "no"
    assert json.loads(whole(answer))[1]["object_id"] == key.pk
    lines = whole(Client().get("/v1/x/audit/export?format=csv", headers={"x-api-key": plain})).decode().splitlines()
    assert len(lines) == 3
    assert Client().get("/v1/x/audit/export?format=xml", headers={"x-api-key": plain}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_what_was_before_is_what_a_change_at_the_same_time_left() -> None:
    workspace = Workspace.objects.create(name="Ours")
    alice = Acting(workspace.pk, Role.ADMIN, "alice")
    row = create_environment({"name": "First"}, alice)

    def second() -> None:
        update_environment(row.pk, {"name": "Third"}, alice)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Environment.objects.select_for_update().get(pk=row.pk)
            waiting = pool.submit(second)
            wait_for(_somebody_waits, 30)
            Environment.objects.filter(pk=row.pk).update(name="Second")
        waiting.result(30)
    (changed,) = rows("environment.updated")
    assert (changed.before, changed.after) == ({"name": "Second"}, {"name": "Third"})


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
