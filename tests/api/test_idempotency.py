"""``Idempotency-Key``: a request sent again is answered again, not carried out again."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import JsonResponse
from django.test import Client
from django.utils import timezone

from agents.models import Agent, Workspace
from contract.roles import Role
from credentials import answers
from credentials.models import KeptAnswer, Vault
from sessions.models import Event, File
from tests.api.conftest import Caller, caller, refusal

AGENT = {"name": "Coder", "model": "demo"}


def post(who: Caller, path: str, body: Any, key: str = "k1") -> Any:
    return who.send("POST", path, body, **{"idempotency-key": key})


def same(first: Any, second: Any) -> bool:
    return (first.status_code, first.content) == (second.status_code, second.content)


def test_a_request_sent_again_gets_the_first_answer_and_does_nothing(alice: Caller) -> None:
    first, second = post(alice, "/agents", AGENT), post(alice, "/agents", AGENT)
    assert first.status_code == 200
    assert same(first, second)
    assert Agent.objects.count() == 1
    assert (first.get("idempotent-replayed"), second["idempotent-replayed"]) == (None, "true")
    assert second["request-id"] == first["request-id"]
    assert second["content-type"].startswith("application/json")


def test_a_message_sent_again_is_said_once(
    alice: Caller, session: dict[str, Any], quiet_broker: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    body = {"events": [{"type": "user.message", "content": [{"type": "text", "text": "hello"}]}]}
    with django_capture_on_commit_callbacks(execute=True):
        first = post(alice, f"/sessions/{session['id']}/events", body)
        second = post(alice, f"/sessions/{session['id']}/events", body)
    assert same(first, second)
    assert Event.objects.filter(session_id=session["id"], type="user.message").count() == 1
    assert len(quiet_broker) == 1


def test_without_the_header_and_with_another_key_it_is_another_request(alice: Caller) -> None:
    post(alice, "/agents", AGENT, "k1")
    post(alice, "/agents", AGENT, "k2")
    alice.post("/agents", AGENT)
    assert Agent.objects.count() == 3


@pytest.mark.parametrize(
    ("path", "body"), [("/agents", {**AGENT, "name": "Other"}), ("/agents?x=1", AGENT), ("/vaults", AGENT)]
)
def test_the_same_key_for_another_request_is_a_conflict_not_to_be_repeated(
    alice: Caller, path: str, body: dict[str, Any]
) -> None:
    post(alice, "/agents", AGENT)
    response = post(alice, path, body)
    assert refusal(response).status == 409
    assert response["x-should-retry"] == "false"
    assert Agent.objects.count() == 1
    assert same(post(alice, "/agents", AGENT), post(alice, "/agents", AGENT))


def test_keys_belong_to_the_api_key_that_sent_them(alice: Caller, charlie: Caller) -> None:
    colleague = caller("colleague", Role.ADMIN, Workspace.objects.get(pk=alice.acting.workspace_id))
    ids = {post(who, "/agents", AGENT).json()["id"] for who in (alice, colleague, charlie)}
    assert len(ids) == 3


def test_a_refusal_is_kept_too_with_its_request_id(alice: Caller) -> None:
    first = post(alice, "/sessions", {"agent": "agent_x", "environment_id": "env_x"})
    second = post(alice, "/sessions", {"agent": "agent_x", "environment_id": "env_x"})
    assert refusal(first).status == 404
    assert refusal(second) == refusal(first)
    assert same(first, second)


def test_a_kept_conflict_is_not_to_be_repeated(alice: Caller, environment: str) -> None:
    first = post(alice, "/environments", {"name": "Plain"})
    second = post(alice, "/environments", {"name": "Plain"})
    assert first.status_code == 409
    assert same(first, second)
    assert first["x-should-retry"] == second["x-should-retry"] == "false"


def test_a_failure_is_undone_and_not_kept(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.api.shapes import agent_shape

    shape = agent_shape

    def broken(version: Any) -> Any:
        raise RuntimeError("after the write")

    monkeypatch.setattr("agents.api.agents.agent_shape", broken)
    assert post(alice, "/agents", AGENT).status_code == 500
    assert (Agent.objects.count(), KeptAnswer.objects.count()) == (0, 0)
    monkeypatch.setattr("agents.api.agents.agent_shape", shape)
    assert post(alice, "/agents", AGENT).status_code == 200
    assert Agent.objects.count() == 1


def test_too_many_requests_is_not_kept(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.api.shapes import agent_shape
    from contract.errors import RateLimited

    shape = agent_shape

    def busy(version: Any) -> Any:
        raise RateLimited("Slow down.", retry_after=1)

    monkeypatch.setattr("agents.api.agents.agent_shape", busy)
    assert post(alice, "/agents", AGENT).status_code == 429
    monkeypatch.setattr("agents.api.agents.agent_shape", shape)
    assert post(alice, "/agents", AGENT).status_code == 200
    assert Agent.objects.count() == 1


def test_a_day_later_the_key_is_free(alice: Caller) -> None:
    post(alice, "/agents", AGENT)
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    assert "idempotent-replayed" not in post(alice, "/agents", AGENT)
    assert Agent.objects.count() == 2
    assert "idempotent-replayed" in post(alice, "/agents", AGENT)


def test_the_sweep_deletes_only_what_expired(alice: Caller) -> None:
    post(alice, "/agents", AGENT, "old")
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    post(alice, "/agents", AGENT, "new")
    assert answers.sweep() == 1
    assert [row.key for row in KeptAnswer.objects.all()] == ["new"]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ü", "a\tb"])
def test_an_unusable_key_is_refused(alice: Caller, key: str) -> None:
    response = post(alice, "/agents", AGENT, key)
    assert refusal(response).status == 400
    assert Agent.objects.count() == 0


def test_the_longest_key_works(alice: Caller) -> None:
    assert same(post(alice, "/agents", AGENT, "~" * 255), post(alice, "/agents", AGENT, "~" * 255))


def test_a_revoked_key_gets_no_old_answers(alice: Caller) -> None:
    from credentials.actions import revoke_api_key

    post(alice, "/agents", AGENT)
    assert alice.acting.api_key_id
    revoke_api_key(alice.acting.api_key_id, acting=alice.acting)
    assert refusal(post(alice, "/agents", AGENT)).status == 401


def test_what_is_kept_cannot_be_read_in_the_database(alice: Caller) -> None:
    answer = post(alice, "/vaults", {"display_name": "The quiet vault"})
    assert b"quiet" in answer.content
    row = KeptAnswer.objects.get()
    assert b"quiet" not in bytes(row.sealed)


def test_an_answer_too_large_to_keep_is_never_carried_out_twice(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER", 100)
    assert post(alice, "/agents", AGENT).status_code == 200
    again = post(alice, "/agents", AGENT)
    assert (refusal(again).status, again["x-should-retry"]) == (409, "false")
    assert Agent.objects.count() == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_other_methods_ignore_the_header(alice: Caller, method: str) -> None:
    path = "/agents" if method == "GET" else f"/environments/{alice.post('/environments', {'name': 'E'})['id']}"
    response = alice.send(method, path, None, **{"idempotency-key": "k1"})
    assert response.status_code == 200
    assert KeptAnswer.objects.count() == 0


def upload(who: Caller, boundary: str, content: str, key: str = "up") -> Any:
    part = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain'
    body = f"--{boundary}\r\n{part}\r\n\r\n{content}\r\n--{boundary}--\r\n".encode()
    headers = {"authorization": f"Bearer {who.key}", "idempotency-key": key}
    kind = f"multipart/form-data; boundary={boundary}"
    return Client().generic("POST", "/v1/files", body, content_type=kind, headers=headers)


def test_an_upload_sent_again_with_a_new_boundary_is_the_same_upload(alice: Caller) -> None:
    first, second = upload(alice, "abc123", "hello"), upload(alice, "other987", "hello")
    assert first.status_code == 200
    assert same(first, second)
    assert File.objects.count() == 1
    assert upload(alice, "abc123", "goodbye").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_while_the_first_is_under_way_the_second_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real requests on two connections: the first stands in the middle of its work."""
    from agents.api.shapes import agent_shape

    alice = caller("alice")
    shape, inside, leave = agent_shape, threading.Event(), threading.Event()

    def slow(version: Any) -> Any:
        inside.set()
        assert leave.wait(30)
        return shape(version)

    monkeypatch.setattr("agents.api.agents.agent_shape", slow)
    first: list[Any] = []

    def run() -> None:
        try:
            first.append(post(alice, "/agents", AGENT))
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(30)
    early = post(alice, "/agents", AGENT)
    leave.set()
    thread.join(30)
    assert (refusal(early).status, early["x-should-retry"]) == (409, "true")
    late = post(alice, "/agents", AGENT)
    assert same(late, first[0])
    assert Agent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_before_the_commit_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process or the database dies between the work and the answer: neither is there."""
    from credentials.models import KeptAnswer as Row

    alice = caller("alice")
    keep = answers.keep

    def keep_and_die(*args: Any) -> None:
        keep(*args)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        _terminate(pid)

    monkeypatch.setattr(answers, "keep", keep_and_die)
    assert post(alice, "/vaults", {"display_name": "V"}).status_code == 500
    connection.close()
    assert (Vault.objects.count(), Row.objects.count()) == (0, 0)
    monkeypatch.setattr(answers, "keep", keep)
    first = post(alice, "/vaults", {"display_name": "V"})
    assert first.status_code == 200
    assert same(first, post(alice, "/vaults", {"display_name": "V"}))
    assert Vault.objects.count() == 1


def _terminate(pid: int) -> None:
    """End a database session from another one."""

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)


def test_the_work_and_the_answer_share_one_transaction(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    keep = answers.keep

    def noting(*args: Any) -> None:
        seen.append(transaction.get_connection().in_atomic_block and Agent.objects.count() == 1)
        keep(*args)

    monkeypatch.setattr(answers, "keep", noting)
    post(alice, "/agents", AGENT)
    assert seen == [True]


def test_an_answer_that_is_no_json_error_is_not_kept(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(alice.send("POST", "/agents/agent_x/versions", {}, **{"idempotency-key": "k"}), JsonResponse)
    assert KeptAnswer.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_validation_holds_no_transaction_open_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for foreign servers for up to 40 seconds; sent again, it gets the first answer all the same."""
    alice = caller("alice")
    vault = alice.post("/vaults", {"display_name": "V"})["id"]
    auth = {"type": "mcp_oauth", "mcp_server_url": "https://mcp.example/", "access_token": "s3cret-access"}
    credential = alice.post(f"/vaults/{vault}/credentials", {"auth": auth})["id"]
    open_while_waiting: list[bool] = []

    def shake(url: str, token: Any) -> None:
        open_while_waiting.append(connection.in_atomic_block)

    monkeypatch.setattr("credentials.validation.handshake.shake", shake)
    path = f"/vaults/{vault}/credentials/{credential}/mcp_oauth_validate"
    first, again = (post(alice, path, {}) for _ in range(2))
    assert first.status_code == 200
    assert same(first, again)
    assert open_while_waiting == [False]
