"""Every operation of the API: closed without a key, blind to other workspaces, and what roles may not do."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client, override_settings

from agents.actions import create_agent, create_environment
from agents.models import Membership, SkillVersion, Workspace
from contract import blobs
from contract.roles import Permission, Role, may
from sessions import files, log
from sessions.events import Draft
from sessions.models import Session, Thread, WebhookDelivery, Work
from tests.api.conftest import Caller, caller, noted, refusal
from tests.api.needs import NEEDS, NOBODY
from tests.api.test_skills import make as make_skill
from tests.specification import paths

pytestmark = pytest.mark.django_db
COLLECTIONS = {
    "/agents",
    "/environments",
    "/sessions",
    "/files",
    "/models",
    "/vaults",
    "/memory_stores",
    "/skills",
    "/user_profiles",
    "/dreams",
}
TOOLSET = {"type": "agent_toolset_20260401"}
BEARER = {"type": "static_bearer", "mcp_server_url": "https://mcp.example", "token": "t"}
HOOK = "https://127.0.0.1/hook"
HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}
BODIES: dict[str, Any] = {
    "POST /x/approvals/decide": {"ids": ["sevt_x"], "result": "deny"},
    "POST /x/approvals/{approval_id}/decide": {"result": "deny"},
    "POST /x/approvals/{approval_id}/assign": {"assignee": None},
    "POST /x/approvals/targets": {"kind": "webhook", "address": "https://example.com/hook"},
    "POST /x/members": {"username": "gina", "role": "viewer"},
    "POST /x/members/{member_id}": {"role": "operator"},
    "POST /x/permissions/test": {"session_id": "sesn_x", "tool": "bash"},
    "POST /agents": {"name": "n", "model": "m"},
    "POST /agents/{agent_id}": {"name": "n"},
    "POST /environments": {"name": "n"},
    "POST /environments/{environment_id}": {"description": "n"},
    "POST /sessions": {"agent": "agent_x", "environment_id": "env_x"},
    "POST /sessions/{session_id}": {"title": "n"},
    "POST /sessions/{session_id}/events": {"events": [{"type": "user.interrupt"}]},
    "POST /sessions/{session_id}/resources": {"type": "file", "file_id": "file_x"},
    "POST /sessions/{session_id}/resources/{resource_id}": {"authorization_token": "t"},
    "POST /vaults": {"display_name": "n"},
    "POST /vaults/{vault_id}": {"display_name": "n"},
    "POST /vaults/{vault_id}/credentials": {"auth": BEARER},
    "POST /vaults/{vault_id}/credentials/{credential_id}": {"display_name": "n"},
    "POST /memory_stores": {"name": "n"},
    "POST /memory_stores/{store_id}": {"description": "n"},
    "POST /memory_stores/{store_id}/memories": {"path": "/b.md", "content": "n"},
    "POST /memory_stores/{store_id}/memories/{memory_id}": {"content": "n"},
    "POST /deployments": {"name": "n", "agent": "agent_x", "environment_id": "env_x", "initial_events": [HELLO]},
    "POST /deployments/{deployment_id}": {"name": "n"},
    "POST /x/approvals/targets/{target_id}": {"address": "https://example.com/other"},
    "POST /organizations/webhooks": {"url": HOOK, "enabled_events": ["external_key.failed"]},
    "POST /organizations/webhooks/{endpoint_id}": {"name": "n"},
    "POST /x/webhooks": {"url": HOOK, "enabled_events": ["session.created"]},
    "POST /x/webhooks/{endpoint_id}": {"name": "n"},
    "POST /x/limits": {"limits": None},
    "POST /environments/{environment_id}/work/{work_id}": {"metadata": {"k": "v"}},
    "POST /x/environments/{environment_id}/keys": {"name": "rack"},
    "POST /x/sessions/{session_id}/fork": {"title": "n"},
    "POST /x/sessions/archive": {"session_ids": ["sesn_x"]},
    "POST /x/sessions/stop": {"filters": {"status": "needs"}},
    "POST /x/workspace/export": {"passphrase": "a long enough passphrase"},
    "POST /dreams": {
        "inputs": [
            {"type": "memory_store", "memory_store_id": "memstore_x"},
            {"type": "sessions", "session_ids": ["sesn_x"]},
        ],
        "model": "demo",
    },
    "POST /x/views": {"name": "Waiting", "filters": {"status": "needs"}},
    "POST /x/views/{view_id}": {"name": "Others"},
    "POST /user_profiles": {"name": "n"},
    "POST /user_profiles/{profile_id}": {"name": "n"},
    "POST /user_profiles/{profile_id}/action_urls": {"action": {"type": "enroll_end_user"}},
}
UPLOADS = {
    "/files": "file",
    "/skills": "files[]",
    "/skills/{skill_id}/versions": "files[]",
    "/x/workspace/import": "archive_file",
}
MORE = {"/x/workspace/import": {"passphrase": "a long enough passphrase"}}
QUERIES = {"GET /x/sessions/{session_id}/fork": "?at=1"}


def operations() -> list[tuple[str, str]]:
    return sorted((method.upper(), path) for path, item in paths().items() for method in item)


OPERATIONS = operations()
FOREIGN = [one for one in OPERATIONS if "{" in one[1] and "model_id" not in one[1]]


@dataclass
class Shared:
    """One of each object in alice's workspace, her teammates' keys, and charlie, who has every right elsewhere."""

    alice: Caller
    charlie: Caller
    team: dict[Role, Caller]
    things: dict[str, str]


@pytest.fixture(scope="module")
def shared(lasting: None) -> Shared:
    """One world for all of these tests."""
    with pytest.MonkeyPatch.context() as patch, override_settings(HOLDFAST_ALLOWED_NETWORKS=("127.0.0.1",)):
        noted(patch)
        alice = caller("alice")
        workspace = Workspace.objects.get(pk=alice.acting.workspace_id)
        team = {role: caller(f"a {role.value}", role, workspace) for role in Role}
        agent = create_agent({"name": "Coder", "model": "demo", "tools": [TOOLSET]}, alice.acting).agent_id
        environment = create_environment({"name": "Plain"}, alice.acting).pk
        return Shared(alice, caller("charlie"), team, make_things(alice, agent, environment))


@pytest.fixture(autouse=True)
def allowed_networks(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture(autouse=True)
def blob_dir() -> None:
    """Blobs stay as long as the rows that name them."""


def make_things(alice: Caller, agent: str, environment: str) -> dict[str, str]:
    outside = alice.post("/environments", {"name": "Outside", "config": {"type": "self_hosted"}})["id"]
    waiting = alice.post("/sessions", {"agent": agent, "environment_id": outside})["id"]
    alice.post(f"/sessions/{waiting}/events", {"events": [HELLO]})
    key = alice.post(f"/x/environments/{outside}/keys", {"name": "rack"})
    session = alice.post("/sessions", {"agent": agent, "environment_id": environment})["id"]
    digest, size = blobs.put(io.BytesIO(b"x"), 10)
    row = Session.objects.get(pk=session)
    file = files.capture(row, path="a.txt", digest=digest, size=size, mtime_ns=1)
    resource = alice.post(f"/sessions/{session}/resources", {"type": "file", "file_id": file.pk})["id"]
    store = alice.post("/memory_stores", {"name": "S"})["id"]
    memory = alice.post(f"/memory_stores/{store}/memories", {"path": "/a.md", "content": "x"})
    skill = make_skill(alice)
    vault = alice.post("/vaults", {"display_name": "V"})["id"]
    wanted = {"name": "D", "agent": agent, "environment_id": environment, "initial_events": [HELLO]}
    deployment = alice.post("/deployments", wanted)["id"]
    endpoint = alice.post("/x/webhooks", BODIES["POST /x/webhooks"])["id"]
    workspace = Workspace.objects.get(pk=alice.acting.workspace_id)
    user = get_user_model().objects.create_user("a member")
    read = [{"type": "memory_store", "memory_store_id": store}, {"type": "sessions", "session_ids": [session]}]
    dream = alice.post("/dreams", {"inputs": read, "model": "demo"})["id"]
    credential = alice.post(f"/vaults/{vault}/credentials", {"auth": BEARER})["id"]
    return {
        "store_id": store,
        "memory_id": memory["id"],
        "version_id": memory["memory_version_id"],
        "skill_id": skill["id"],
        "version": SkillVersion.objects.get(skill_id=skill["id"]).pk,
        "profile_id": alice.post("/user_profiles", {"name": "P"})["id"],
        "vault_id": vault,
        "credential_id": credential,
        "agent_id": agent,
        "environment_id": outside,
        "work_id": Work.objects.get(session_id=waiting).pk,
        "key_id": key["id"],
        "session_id": session,
        "thread_id": Thread.objects.get(session_id=session).pk,
        "resource_id": resource,
        "approval_id": asks(row),
        "target_id": alice.post("/x/approvals/targets", BODIES["POST /x/approvals/targets"])["id"],
        "file_id": file.pk,
        "deployment_id": deployment,
        "run_id": alice.post(f"/deployments/{deployment}/run")["id"],
        "endpoint_id": endpoint,
        "delivery_id": WebhookDelivery.objects.get(endpoint_id=endpoint, event_type="session.created").pk,
        "view_id": alice.post("/x/views", BODIES["POST /x/views"])["id"],
        "model_id": "demo",
        "member_id": str(Membership.objects.create(workspace=workspace, user=user, role=Role.VIEWER.value).pk),
        "dream_id": dream,
    }


def asks(session: Session) -> str:
    """A call that waits for a person."""
    call = {"name": "bash", "input": {"command": "ls"}, "evaluated_permission": "ask"}
    thread = Thread.objects.get(session=session)
    (event,) = log.append(session.pk, thread.pk, [Draft("agent.tool_use", call)])
    return event.pk


def address(path: str, things: dict[str, str]) -> str:
    return re.sub(r"\{(?:path:)?(\w+)\}", lambda match: things[match.group(1)], path)


def test_the_api_has_the_operations_of_the_contract() -> None:
    paths = {path for _, path in OPERATIONS}
    assert paths >= COLLECTIONS
    assert ("GET", "/sessions/{session_id}/events/stream") in OPERATIONS
    assert ("GET", "/sessions/{session_id}/threads/{thread_id}/stream") in OPERATIONS


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_a_key_nothing_answers(method: str, path: str) -> None:
    filled = re.sub(r"\{[^}]+\}", "x", path)
    response = Client().generic(method, f"/v1{filled}", b"{}", content_type="application/json")
    assert refusal(response).status == 401


def tried(who: Caller, method: str, path: str, things: dict[str, str]) -> Any:
    """Call an operation, and put everything back as it was."""
    with transaction.atomic():
        if path in UPLOADS and method == "POST":
            form: dict[str, Any] = {UPLOADS[path]: io.BytesIO(b"x"), **MORE.get(path, {})}
            client = Client(raise_request_exception=False)
            response: Any = client.post(f"/v1{address(path, things)}", form, headers={"x-api-key": who.key})
        else:
            key = f"{method} {path}"
            response = who.send(method, address(path, things) + QUERIES.get(key, ""), BODIES.get(key))
        transaction.set_rollback(True)
    return response


@pytest.mark.parametrize(("method", "path"), FOREIGN)
def test_another_workspaces_objects_are_as_good_as_unknown(shared: Shared, method: str, path: str) -> None:
    for things in (shared.things, dict.fromkeys(shared.things, "nothing_1")):
        refused = refusal(tried(shared.charlie, method, path, things))
        assert (refused.status, refused.type) == (404, "not_found_error")


def test_the_table_of_permissions_names_operations_that_there_are() -> None:
    assert set(NEEDS) | NOBODY <= {f"{method} {path}" for method, path in OPERATIONS}


@pytest.mark.parametrize("path", sorted(COLLECTIONS - {"/models"}))
def test_lists_show_only_the_own_workspace(shared: Shared, path: str) -> None:
    assert shared.alice.get(path)["data"] != []
    assert shared.charlie.get(path)["data"] == []


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if "stream" not in one[1]])
def test_teammates_do_what_their_role_allows(shared: Shared, method: str, path: str) -> None:
    """A role that is enough gets past the permission: to success, or to a refusal of what was asked."""
    needed = NEEDS.get(f"{method} {path}", Permission.READ if method == "GET" else None)
    found = {role: tried(who, method, path, shared.things).status_code for role, who in shared.team.items()}
    assert needed is not None, f"{method} {path}: {found}; say in NEEDS what it takes"
    for role, status in found.items():
        allowed = may(role, needed) and f"{method} {path}" not in NOBODY
        assert (status != 403) is allowed, f"{role.value}: {status}"
        assert status < 500, f"{role.value}: {status}"


def test_the_rest_of_the_administration_is_still_out_of_scope(shared: Shared) -> None:
    refused = shared.alice.refused("GET", "/organizations/me")
    assert (refused.status, "hosted service" in refused.message) == (404, True)
