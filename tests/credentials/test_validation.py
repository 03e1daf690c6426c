"""Trying an OAuth credential against a real server, renewing its token, and what is said of it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from pydantic import TypeAdapter

from agents.models import Workspace
from contract import happenings
from contract.acting import Acting
from contract.errors import ApiError, InvalidRequest
from contract.roles import Role
from contract.schema import sdk_type
from credentials import dialling, validation, vaults
from credentials.models import AccessRecord, Credential
from tests.credentials import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.happenings import Happening
    from tests.credentials.servers import Server

VALIDATION = "vaults.beta_managed_agents_credential_validation.BetaManagedAgentsCredentialValidation"
NO_CLIENT_SECRET = {"type": "none"}


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture
def server() -> Iterator[Server]:
    yield from servers.running()


@pytest.fixture
def acting(db: None) -> Acting:
    return Acting(Workspace.objects.create(name="W").pk, Role.ADMIN, "API key alice")


def refresh(server: Server, client: dict[str, Any] = NO_CLIENT_SECRET, **fields: Any) -> dict[str, Any]:
    grant = {"client_id": "cli/ent", "refresh_token": "r-1", "token_endpoint": server.token_url}
    return {**grant, "token_endpoint_auth": client, **fields}


def keep(acting: Acting, url: str, token: str = "good", **fields: Any) -> Credential:
    vault = vaults.create_vault({"display_name": "V"}, acting)
    auth = {"type": "mcp_oauth", "mcp_server_url": url, "access_token": token, **fields}
    return vaults.create_credential(vault.pk, {"auth": auth}, acting)


def validate(credential: Credential, acting: Acting) -> dict[str, Any]:
    found = validation.validate(credential.vault_id, credential.pk, acting)
    TypeAdapter(sdk_type(VALIDATION)).validate_python(found)
    assert (found["credential_id"], found["vault_id"]) == (credential.pk, credential.vault_id)
    return found


def verdict(found: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """Status, failing step, status of the refresh."""
    probe, renewal = found["mcp_probe"], found["refresh"]
    return found["status"], probe and probe["method"], renewal and renewal["status"]


def secrets_of(credential: Credential) -> dict[str, str]:
    row = Credential.objects.get(pk=credential.pk)
    return {name: secret.reveal() for name, secret in vaults.secrets_of(row).items()}


@pytest.mark.parametrize("stream", [False, True])
def test_a_token_that_works_is_valid(server: Server, acting: Acting, stream: bool) -> None:
    server.script.stream = stream
    found = validate(keep(acting, server.url), acting)
    assert verdict(found) == ("valid", None, None)
    assert found["has_refresh_token"] is False
    assert server.calls() == ["initialize", "notifications/initialized", "tools/list", "DELETE"]
    later = [one.headers for one in server.seen[1:]]
    assert {one["authorization"] for one in later} == {"Bearer good"}
    assert {one["mcp-session-id"] for one in later} == {"visit-1"}
    assert {one["mcp-protocol-version"] for one in later} == {"2025-06-18"}


def test_a_server_without_tools_and_sessions_is_asked_for_neither(server: Server, acting: Acting) -> None:
    server.script.capabilities, server.script.session = {}, ""
    assert verdict(validate(keep(acting, server.url), acting)) == ("valid", None, None)
    assert server.calls() == ["initialize", "notifications/initialized"]


def test_a_refused_token_without_a_refresh_token_is_invalid(server: Server, acting: Acting) -> None:
    found = validate(keep(acting, server.url, "expired-token"), acting)
    assert verdict(found) == ("invalid", "initialize", "no_refresh_token")
    response = found["mcp_probe"]["http_response"]
    assert (response["status_code"], response["content_type"]) == (401, "application/json")
    assert json.loads(response["body"]) == {"error": "invalid_token", "you_sent": "Bearer [secret]"}
    assert found["refresh"]["http_response"] is None


CLIENTS: list[tuple[dict[str, Any], dict[str, str], str | None]] = [
    (NO_CLIENT_SECRET, {"client_id": "cli/ent"}, None),
    (
        {"type": "client_secret_post", "client_secret": "c$1"},
        {"client_id": "cli/ent", "client_secret": "c$1"},
        None,
    ),
    ({"type": "client_secret_basic", "client_secret": "c$1"}, {}, servers.basic("cli%2Fent", "c%241")),
]


@pytest.mark.parametrize(("client", "sent", "header"), CLIENTS)
def test_an_expired_token_is_renewed_and_kept(
    server: Server, acting: Acting, client: dict[str, Any], sent: dict[str, str], header: str | None
) -> None:
    server.script.grant = (200, {"access_token": "good", "refresh_token": "r-2", "expires_in": 3600})
    credential = keep(acting, server.url, "old", refresh=refresh(server, client, scope="a b", resource="https://r"))
    found = validate(credential, acting)
    assert verdict(found) == ("valid", None, "succeeded")
    assert found["has_refresh_token"] is True
    (grant,) = server.grants()
    asked = {"grant_type": "refresh_token", "refresh_token": "r-1", "scope": "a b", "resource": "https://r"}
    assert grant.form == {**asked, **sent}
    assert grant.headers.get("authorization") == header
    kept = secrets_of(credential)
    assert (kept["access_token"], kept["refresh_token"]) == ("good", "r-2")
    assert "expires_at" in Credential.objects.get(pk=credential.pk).auth
    server.seen.clear()
    assert verdict(validate(credential, acting)) == ("valid", None, None)
    assert server.grants() == []


def test_a_new_token_without_a_lifetime_forgets_the_old_expiry(server: Server, acting: Acting) -> None:
    server.script.grant = (200, {"access_token": "good"})
    credential = keep(acting, server.url, "old", refresh=refresh(server), expires_at="2199-01-01T00:00:00Z")
    assert validate(credential, acting)["status"] == "valid"
    assert "expires_at" not in Credential.objects.get(pk=credential.pk).auth
    assert secrets_of(credential)["refresh_token"] == "r-1"


REFUSALS: list[tuple[int, Any, str]] = [
    (400, {"error": "invalid_grant", "hint": "r-1"}, "invalid"),
    (401, {"error": "invalid_client"}, "invalid"),
    (429, {"error": "slow_down"}, "unknown"),
    (500, b"<h1>oops</h1>", "unknown"),
    (200, {"error": "bad_refresh_token"}, "invalid"),
    (200, b"not json", "unknown"),
    (200, {"access_token": 7, "id_token": "unknown-secret"}, "unknown"),
    (200, {"access_token": "x" * 8193}, "unknown"),
    (302, b"", "unknown"),
]


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
def test_what_a_failed_renewal_means(server: Server, acting: Acting, status: int, body: Any, expected: str) -> None:
    server.script.grant = (status, body)
    credential = keep(acting, server.url, "old", refresh=refresh(server))
    before = secrets_of(credential)
    found = validate(credential, acting)
    assert verdict(found) == (expected, "initialize", "failed")
    response = found["refresh"]["http_response"]
    assert response["status_code"] == status
    assert "r-1" not in response["body"]
    assert "unknown-secret" not in response["body"]
    assert secrets_of(credential) == before


def test_a_refusal_for_good_is_told_once_and_again_after_another_grant(
    server: Server, acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Happening] = []
    credential = keep(acting, server.url, "old", refresh=refresh(server))
    monkeypatch.setitem(happenings._listeners, "test", told.append)
    server.script.grant = (500, b"")
    validate(credential, acting)
    assert told == []
    server.script.grant = (400, {"error": "invalid_grant"})
    for _ in range(2):
        validate(credential, acting)
    about = (credential.pk, acting.workspace_id, {"vault_id": credential.vault_id})
    assert [(one.type, (one.id, one.workspace_id, one.beside)) for one in told] == [
        ("vault_credential.refresh_failed", about)
    ]
    assert Credential.objects.get(pk=credential.pk).refused_at
    server.script.grant = (200, {"access_token": "good"})
    validate(credential, acting)
    assert Credential.objects.get(pk=credential.pk).refused_at is None


def test_a_token_endpoint_that_is_away_says_nothing_about_the_grant(server: Server, acting: Acting) -> None:
    away = refresh(server, token_endpoint="http://127.0.0.1:9/token")
    found = validate(keep(acting, server.url, "old", refresh=away), acting)
    assert verdict(found) == ("unknown", "initialize", "connect_error")
    assert found["refresh"]["http_response"] is None


def test_a_renewed_token_that_is_refused_again_is_invalid(server: Server, acting: Acting) -> None:
    server.script.grant = (200, {"access_token": "also-bad"})
    credential = keep(acting, server.url, "old", refresh=refresh(server))
    found = validate(credential, acting)
    assert verdict(found) == ("invalid", "initialize", "succeeded")
    assert "also-bad" not in json.dumps(found)
    assert secrets_of(credential)["access_token"] == "also-bad"


ERROR = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}}).encode()
STEPS: list[tuple[str, tuple[int, str, bytes], str]] = [
    ("initialize", (403, "text/plain", b"no"), "invalid"),
    ("initialize", (404, "text/plain", b"no"), "unknown"),
    ("initialize", (500, "text/plain", b"no"), "unknown"),
    ("initialize", (429, "text/plain", b"no"), "unknown"),
    ("initialize", (302, "text/plain", b""), "unknown"),
    ("initialize", (200, "text/html", b"<h1>hello</h1>"), "unknown"),
    ("initialize", (200, "application/json", ERROR), "unknown"),
    ("initialize", (200, "text/event-stream", b"data: {broken\n\n"), "unknown"),
    ("notifications/initialized", (400, "text/plain", b"no"), "unknown"),
    ("tools/list", (403, "text/plain", b"no"), "invalid"),
    ("tools/list", (500, "text/plain", b"no"), "unknown"),
]


@pytest.mark.parametrize(("step", "answer", "expected"), STEPS)
def test_the_step_that_failed_is_named(
    server: Server, acting: Acting, step: str, answer: tuple[int, str, bytes], expected: str
) -> None:
    server.script.special[step] = answer
    found = validate(keep(acting, server.url), acting)
    assert verdict(found) == (expected, step, None)
    response = found["mcp_probe"]["http_response"]
    assert (response["status_code"], response["content_type"]) == answer[:2]
    assert response["body"] == (answer[2].decode() if answer[0] >= 400 else "")


def test_a_redirect_is_not_followed(server: Server, acting: Acting) -> None:
    server.script.special["initialize"] = (307, "text/plain", b"")
    server.script.location = server.token_url
    assert verdict(validate(keep(acting, server.url), acting))[0] == "unknown"
    assert server.grants() == []


def test_a_long_answer_is_shown_in_part_and_without_secrets(server: Server, acting: Acting) -> None:
    server.script.special["initialize"] = (500, "text/plain", b"good " * 4000)
    response = validate(keep(acting, server.url), acting)["mcp_probe"]["http_response"]
    assert (len(response["body"]), response["body_truncated"]) == (validation.SHOWN, True)
    assert "good" not in response["body"]


def test_null_characters_of_an_answer_are_replaced(server: Server, acting: Acting) -> None:
    server.script.special["initialize"] = (500, "text/plain", b"a\0b\xff")
    assert validate(keep(acting, server.url), acting)["mcp_probe"]["http_response"]["body"] == "a\ufffdb\ufffd"


def test_a_server_that_is_away_leaves_it_open(acting: Acting) -> None:
    found = validate(keep(acting, "http://127.0.0.1:9/mcp"), acting)
    assert verdict(found) == ("unknown", "initialize", None)
    assert found["mcp_probe"]["http_response"] is None


def test_a_server_that_never_answers_is_given_up(
    server: Server, acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credentials.handshake.SECONDS", 0.3)
    server.script.silent = True
    assert verdict(validate(keep(acting, server.url), acting)) == ("unknown", "initialize", None)


def test_a_name_that_nobody_knows_leaves_it_open(acting: Acting) -> None:
    assert verdict(validate(keep(acting, "https://nowhere.invalid"), acting)) == ("unknown", "initialize", None)


def test_a_token_that_fits_no_header_is_never_kept(server: Server, acting: Acting) -> None:
    with pytest.raises(InvalidRequest, match=r"^auth\.access_token: goes into a header"):
        keep(acting, server.url, "good\r\nx-evil: 1")
    assert server.seen == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_an_address_that_is_not_public_is_refused_before_anything_is_sent(
    server: Server, acting: Acting, settings: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ()
    monkeypatch.setattr(dialling, "_look_up", lambda host, port, seconds: ["1.1.1.1", address])
    with pytest.raises(InvalidRequest, match=r"^auth\.mcp_server_url: .*ALLOW_NETWORKS"):
        validate(keep(acting, f"http://mcp.example:{server.port}/mcp"), acting)
    assert server.seen == []


def test_the_address_that_was_checked_is_the_one_dialled(
    server: Server, acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that changes its answer after the check is not asked again."""
    asked: list[str] = []

    def look_up(host: str, port: int, seconds: float) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    monkeypatch.setattr(dialling, "_look_up", look_up)
    credential = keep(acting, f"http://mcp.example:{server.port}/mcp")
    assert verdict(validate(credential, acting)) == ("valid", None, None)
    assert asked == ["mcp.example"]
    assert server.seen[0].headers["host"] == f"mcp.example:{server.port}"


def test_a_token_endpoint_inside_is_not_dialled_either(
    server: Server, acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = {"mcp.example": ["127.0.0.1"], "auth.example": ["10.0.0.1"]}
    monkeypatch.setattr(dialling, "_look_up", lambda host, port, seconds: inside[host])
    there = refresh(server, token_endpoint=f"http://auth.example:{server.port}/token")
    credential = keep(acting, f"http://mcp.example:{server.port}/mcp", "old", refresh=there)
    assert verdict(validate(credential, acting)) == ("unknown", "initialize", "connect_error")
    assert server.grants() == []


def test_every_use_of_a_secret_is_on_record_without_its_value(server: Server, acting: Acting) -> None:
    credential = keep(acting, server.url, "old", refresh=refresh(server))
    validate(credential, acting)
    rows = list(AccessRecord.objects.order_by("pk").values())
    assert [(row["purpose"], row["host"], row["by"]) for row in rows] == [
        ("validate", "127.0.0.1", "API key alice"),
        ("refresh", "127.0.0.1", "API key alice"),
        ("validate", "127.0.0.1", "API key alice"),
    ]
    assert {row["credential_id"] for row in rows} == {credential.pk}
    assert "good" not in repr(rows)
    vaults.delete_vault(credential.vault_id, acting)
    assert AccessRecord.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_at_a_time_spend_a_refresh_token_once(server: Server) -> None:
    acting = Acting(Workspace.objects.create(name="W").pk, Role.ADMIN, "alice")
    credential = keep(acting, server.url, "old", refresh=refresh(server))
    start, found = threading.Barrier(2), list[Any]()

    def run() -> None:
        try:
            start.wait(30)
            found.append(validation.validate(credential.vault_id, credential.pk, acting)["status"])
        except ApiError as error:
            found.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == ["valid", "valid"]
    assert len(server.grants()) == 1
