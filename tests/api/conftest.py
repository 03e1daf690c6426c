"""A workspace with a key, an outsider's workspace, and a client that speaks like the SDK."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from pydantic import TypeAdapter

from agents.actions import create_agent, create_environment
from agents.models import Workspace
from contract.acting import Acting
from contract.roles import Role
from contract.schema import sdk_type
from credentials.actions import issue_api_key

if TYPE_CHECKING:
    from pathlib import Path

# Fields that some kinds of error have next to their message.
BESIDE = {"memory_path_conflict_error": ("conflicting_memory_id", "conflicting_path")}


@dataclass
class Caller:
    """One key's view of the API. Bodies go as JSON, answers come back parsed."""

    key: str
    acting: Acting

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        return self.raw(method, path, data, **headers)

    def raw(self, method: str, path: str, data: bytes = b"", **headers: str) -> Any:
        sent = {"authorization": f"Bearer {self.key}", **headers}
        client = Client(raise_request_exception=False)
        return client.generic(method, f"/v1{path}", data, content_type="application/json", headers=sent)

    def ok(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = self.send(method, path, body)
        assert response.status_code == 200, response.content
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str) -> dict[str, Any]:
        return self.ok("GET", path)

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        return self.ok("POST", path, body)

    def refused(self, method: str, path: str, body: Any = None) -> Refusal:
        return refusal(self.send(method, path, body))


@dataclass
class Refusal:
    status: int
    type: str
    message: str
    details: dict[str, Any]
    beside: dict[str, Any]


def refusal(response: Any) -> Refusal:
    """An error answer, after its envelope has been checked."""
    body = response.json()
    assert set(body) == {"type", "error", "request_id"}, body
    assert body["type"] == "error"
    assert body["request_id"].startswith("req_")
    assert response["request-id"] == body["request_id"]
    error = body["error"]
    assert set(error) <= {"type", "message", "details", *BESIDE.get(error["type"], ())}
    beside = {name: error[name] for name in BESIDE.get(error["type"], ())}
    return Refusal(response.status_code, error["type"], error["message"], error.get("details", {}), beside)


def fits(path: str, answer: Any) -> None:
    """The answer is one the SDK's own model of that type takes when it checks strictly."""
    TypeAdapter(sdk_type(path)).validate_python(answer)


def caller(name: str, role: Role = Role.ADMIN, workspace: Workspace | None = None) -> Caller:
    workspace = workspace or Workspace.objects.create(name=name)
    key, plain = issue_api_key(workspace=workspace, name=name, role=role, created_by=None)
    return Caller(plain, Acting(workspace.pk, role, name, api_key_id=key.pk))


@pytest.fixture(autouse=True)
def blob_dir(tmp_path: Path, settings: Any) -> Path:
    settings.HOLDFAST_BLOB_DIR = tmp_path / "blobs"
    return tmp_path / "blobs"


@pytest.fixture(autouse=True)
def quiet_broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tasks are noted here instead of being queued."""
    return noted(monkeypatch)


def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list that tasks go to from now on, instead of the broker."""
    from sessions import tasks, wake

    queued: list[str] = []
    monkeypatch.setattr(wake, "wake", lambda thread_id: queued.append(f"run_thread {thread_id}"))
    for name in ("keep_workspace", "discard_sandbox", "deliver_webhooks"):
        task = getattr(tasks, name)
        monkeypatch.setattr(task, "delay", lambda object_id, name=name: queued.append(f"{name} {object_id}"))
    return queued


@pytest.fixture
def alice(db: None) -> Caller:
    return caller("alice")


@pytest.fixture
def charlie(db: None) -> Caller:
    """Someone with every right in another workspace."""
    return caller("charlie")


@pytest.fixture
def agent(alice: Caller) -> str:
    body = {"name": "Coder", "model": "demo", "tools": [{"type": "agent_toolset_20260401"}]}
    return create_agent(body, alice.acting).agent_id


@pytest.fixture
def environment(alice: Caller) -> str:
    return create_environment({"name": "Plain"}, alice.acting).pk


@pytest.fixture
def session(alice: Caller, agent: str, environment: str) -> dict[str, Any]:
    return alice.post("/sessions", {"agent": agent, "environment_id": environment})


@pytest.fixture
def vault(alice: Caller) -> str:
    made = alice.post("/vaults", {"display_name": "Ann", "metadata": {"user": "7"}})
    vault_id: str = made["id"]
    return vault_id
