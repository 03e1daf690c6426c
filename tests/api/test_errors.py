"""Every failure wears the same envelope (spec core 2.5), wherever it arises."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from psycopg.errors import AdminShutdown, DiskFull

from agents import actions
from config import bodies
from config.bodies import LimitedBodies
from config.management.commands.openapi import document
from tests.api.conftest import Caller, caller, refusal
from tests.streamed import whole


def test_every_answer_has_a_request_id_and_the_workspace(alice: Caller) -> None:
    first, second = alice.send("GET", "/agents"), alice.send("GET", "/agents")
    assert first["request-id"].startswith("req_")
    assert first["request-id"] != second["request-id"]
    assert first["anthropic-workspace-id"] == alice.acting.workspace_id


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{'a': 1}",
        b'{"name": NaN}',
        b'{"name": -1e999}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_broken_json_is_a_plain_400(alice: Caller, raw: bytes) -> None:
    refused = refusal(alice.raw("POST", "/agents", raw))
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert refused.message == "The request body is not valid JSON."


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
def test_strings_the_database_cannot_hold_are_refused(alice: Caller, name: str) -> None:
    assert alice.refused("POST", "/agents", {"name": name, "model": "m"}).status == 400
    assert alice.refused("POST", "/agents", {"name": "n", "model": "m", "metadata": {name: "v"}}).status == 400
    accepted = alice.post("/agents", {"name": "back\\u0000slash", "model": "m"})
    assert accepted["name"] == "back\\u0000slash"


def test_an_empty_body_is_refused_where_one_is_needed(alice: Caller) -> None:
    assert alice.refused("POST", "/agents").message == "The request needs a JSON object as its body."
    assert alice.refused("POST", "/agents", []).message == "must be an object"


def test_the_first_mistakes_are_named_and_the_rest_counted(alice: Caller) -> None:
    refused = alice.refused("POST", "/agents", {"a": 1, "b": 1, "c": 1, "name": 1})
    assert (
        refused.message
        == "model: Field required; name: must be a string; a: Extra inputs are not permitted; and 2 more"
    )


@pytest.mark.parametrize("path", ["/nothing", "/agents/", "/agents/x/y/z", "/organizations/me", "/tunnels", "/"])
def test_unknown_paths_are_json_404s(alice: Caller, path: str) -> None:
    refused = alice.refused("GET", path)
    assert (refused.status, refused.type) == (404, "not_found_error")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/v1", "/v1/"])
def test_the_root_of_the_api_is_a_json_404_by_every_method(path: str, method: str) -> None:
    response = Client(enforce_csrf_checks=True).generic(method, path)
    told = json.loads(response.content)
    assert (response.status_code, told["error"]["type"]) == (404, "not_found_error")
    assert told["request_id"] == response["request-id"]


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/tunnels/x", "hosted service"),
        ("/organizations/users", "hosted service"),
        ("/messages", "Messages API"),
        ("/messages/batches", "Messages API"),
    ],
)
def test_what_is_not_here_on_purpose_says_whose_it_is(alice: Caller, path: str, whose: str) -> None:
    for method in ("GET", "POST"):
        assert whose in alice.refused(method, path).message


def test_a_wrong_method_is_a_json_405(alice: Caller) -> None:
    response = alice.send("PUT", "/agents")
    assert refusal(response).status == 405
    assert "POST" in response["Allow"]


@pytest.mark.parametrize("path", ["/agents/a%00b", "/agents?page=%00", "/sessions/%00/events"])
def test_null_characters_in_addresses_are_refused(alice: Caller, path: str) -> None:
    assert alice.refused("GET", path).status == 400


def test_an_unforeseen_failure_shows_nothing_of_the_inside(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*args: Any) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(actions, "create_agent", explode)
    refused = alice.refused("POST", "/agents", {"name": "n", "model": "m"})
    assert (refused.status, refused.type) == (500, "api_error")
    assert "42" not in refused.message
    assert any("RuntimeError" in record.getMessage() for record in caplog.records)


def test_keys_are_taken_from_both_headers(alice: Caller) -> None:
    client = Client()
    assert client.get("/v1/agents", headers={"x-api-key": alice.key}).status_code == 200
    assert client.get("/v1/agents", headers={"authorization": f"bearer {alice.key}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Basic abc"},
        {"x-api-key": "sk-hf-wrong"},
        {"x-api-key": "x" * 999},
    ],
)
def test_no_key_or_a_wrong_one_is_401(db: None, headers: dict[str, str]) -> None:
    refused = refusal(Client().get("/v1/agents", headers=headers))
    assert (refused.status, refused.type) == (401, "authentication_error")


def test_a_signed_in_browser_is_nobody_to_the_api(db: None, django_user_model: Any) -> None:
    client = Client()
    client.force_login(django_user_model.objects.create_superuser("root"))
    assert client.get("/v1/agents").status_code == 401


def test_the_workspace_header_must_name_the_keys_workspace(alice: Caller) -> None:
    right = alice.send("GET", "/agents", **{"anthropic-workspace-id": alice.acting.workspace_id})
    assert right.status_code == 200
    wrong = refusal(alice.send("GET", "/agents", **{"anthropic-workspace-id": "wrkspc_other"}))
    assert (wrong.status, wrong.type) == (403, "permission_error")


@pytest.mark.parametrize("beta", ["managed-agents-2026-04-01", "managed-agents-2026-04-01,other-2026", "nonsense"])
def test_beta_and_version_headers_are_taken_leniently(alice: Caller, beta: str) -> None:
    for version in ("2026-10-21", "2023-06-01"):
        sent = {"anthropic-beta": beta, "anthropic-version": version}
        assert alice.send("GET", "/agents?beta=true", **sent).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-encoding": "gzip"}, "request_body_encoding_unsupported"),
        ({"content-type": "application/json; charset=utf-16"}, "unsupported_charset"),
        ({"content-type": "application/json; charset=nonsense"}, "unsupported_charset"),
    ],
)
def test_bodies_that_cannot_be_read_as_announced_are_refused_by_the_sdks_codes(
    alice: Caller, headers: dict[str, str], code: str
) -> None:
    for path in ("/agents", "/files"):
        refused = Client().generic(
            "POST",
            f"/v1{path}",
            b"{}",
            content_type=headers.get("content-type", "application/json"),
            headers={"authorization": f"Bearer {alice.key}", **headers},
        )
        assert (refused.status_code, refused.json()["error"]["details"]) == (400, {"error_code": code})


def test_a_body_is_read_in_the_charset_that_it_names(alice: Caller) -> None:
    for charset in ("utf-8", "ISO-8859-1"):
        made = Client().generic(
            "POST",
            "/v1/agents",
            '{"name": "Käte", "model": "demo"}'.encode(charset),
            content_type=f"application/json; charset={charset}",
            headers={"authorization": f"Bearer {alice.key}"},
        )
        assert made.json()["name"] == "Käte"


@pytest.mark.parametrize("path", ["/x/audit", "/x/limits", "/x/approvals", "/x/webhooks"])
def test_our_own_endpoints_name_a_parameter_that_they_do_not_know(alice: Caller, path: str) -> None:
    refused = alice.refused("GET", f"{path}?since=yesterday&limit=1")
    assert (refused.status, refused.message.partition(":")[0]) == (400, "limit" if path == "/x/limits" else "since")
    assert alice.refused("GET", "/x/audit?limit=many").message.startswith("limit: ")


def test_a_wrong_item_of_a_list_parameter_is_named_with_its_place(alice: Caller, session: dict[str, Any]) -> None:
    refused = alice.refused("GET", f"/sessions/{session['id']}/events?types[]=user.message&types[]=nonsense")
    assert refused.message.startswith("types[].1: ")


def test_our_own_endpoints_know_the_parameters_that_they_document(alice: Caller) -> None:
    documented = [
        (method, path, parameter["name"])
        for path, operations in json.loads(document())["paths"].items()
        for method, operation in operations.items()
        for parameter in operation.get("parameters", ())
        if path.startswith("/v1/x/") and parameter["in"] == "query"
    ]
    assert documented
    for method, path, name in documented:
        address = re.sub(r"{\w+}", "none", path.removeprefix("/v1"))
        response = alice.send(method.upper(), f"{address}?{name}=1")
        answer = whole(response) if getattr(response, "is_async", False) else response.getvalue()
        assert b"unknown query parameter" not in answer, (path, name)


def over(scope_path: str, chunks: list[bytes], length: int | None) -> tuple[int, dict[str, Any], bool]:
    """What a client gets that sends these chunks, and whether the application saw the end of the body."""
    sent: list[Any] = []
    finished = False
    queue = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    queue.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return queue.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal finished
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                finished = True
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"{}"})
                return

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "path": scope_path, "headers": headers}
    asyncio.run(LimitedBodies(app)(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"]), finished


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("path", "limit"), [("/v1/agents", "MAX_BODY"), ("/v1/files", "MAX_UPLOAD")])
def test_a_body_over_the_limit_is_refused_announced_or_not(
    monkeypatch: pytest.MonkeyPatch, announced: bool, path: str, limit: str
) -> None:
    monkeypatch.setattr(bodies, limit, 100)
    monkeypatch.setattr(bodies, "MULTIPART_ROOM", 0)
    status, body, finished = over(path, [b"x" * 60, b"x" * 60], 120 if announced else None)
    assert (status, body["error"]["type"], finished) == (413, "request_too_large", False)
    assert over(path, [b"x" * 60], 60 if announced else None)[0] == 200


def test_a_body_over_the_limit_is_refused_without_the_asgi_wrapper_too(alice: Caller, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    refused = alice.refused("POST", "/agents", {"name": "x" * 200, "model": "m"})
    assert (refused.status, refused.type) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("role", "path", "body", "status"),
    [
        ("viewer", "/agents", {"name": "n", "model": "m"}, 403),
        ("operator", "/agents", {"name": "n", "model": "m"}, 403),
        ("developer", "/agents", {"name": "n", "model": "m"}, 200),
        ("operator", "/environments", {"name": "n"}, 403),
        ("viewer", "/sessions", {"agent": "a", "environment_id": "e"}, 403),
        ("operator", "/sessions", {"agent": "a", "environment_id": "e"}, 404),
    ],
)
def test_each_role_may_do_what_it_includes(db: None, role: str, path: str, body: Any, status: int) -> None:
    from contract.roles import Role

    who = caller("team", Role(role))
    assert who.send("POST", path, body).status_code == status
    assert who.send("GET", path).status_code == 200


@pytest.mark.parametrize(("cause", "status", "told"), [(AdminShutdown, 503, "try again"), (DiskFull, 507, "is full")])
def test_a_database_that_is_away_or_full_is_said_so(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, cause: type[Exception], status: int, told: str
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("could not extend file") from cause()

    monkeypatch.setattr("sessions.api.sessions.actions.create_session", fail)
    answer = alice.refused("POST", "/sessions", {"agent": "agent_1", "environment_id": "env_1"})
    assert (answer.status, answer.type) == (status, "api_error")
    assert told in answer.message
