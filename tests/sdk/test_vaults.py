"""Vaults, credentials and requests sent twice, through the SDK alone (spec advanced 1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.credentials import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types.beta import BetaManagedAgentsVault

    from tests.credentials.servers import Server
    from tests.live import Installation

URL = "https://mcp.example/mcp"
BEARER: Any = {"type": "static_bearer", "mcp_server_url": URL, "token": "s3cret-bearer"}
SAME: Any = {**BEARER, "mcp_server_url": f"{URL}/"}
VARIABLE: Any = {
    "type": "environment_variable",
    "secret_name": "API_KEY",
    "secret_value": "s3cret-value",
    "networking": {"type": "limited", "allowed_hosts": ["api.example.com"]},
}
SOON = datetime(2199, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def vault(client: anthropic.Anthropic) -> Iterator[BetaManagedAgentsVault]:
    made = client.beta.vaults.create(display_name="Ann", metadata={"user": "7"})
    yield made
    client.beta.vaults.delete(made.id)


@pytest.fixture
def server() -> Iterator[Server]:
    yield from servers.running()


@pytest.mark.proves("beta.vaults.create", "beta.vaults.retrieve", "beta.vaults.update", "beta.vaults.list")
@pytest.mark.proves("beta.vaults.archive", "beta.vaults.delete")
def test_a_vault_lives_from_create_to_delete(client: anthropic.Anthropic) -> None:
    vaults = client.beta.vaults
    made = vaults.create(display_name="Bea")
    assert vaults.retrieve(made.id) == made
    updated = vaults.update(made.id, display_name="Cleo", metadata={"a": "1"})
    assert (updated.display_name, updated.metadata, updated.archived_at) == ("Cleo", {"a": "1"}, None)
    assert vaults.update(made.id, metadata={"a": None}).metadata == {}
    assert made.id in [one.id for one in vaults.list(limit=1)]
    assert vaults.archive(made.id).archived_at is not None
    assert made.id not in [one.id for one in vaults.list()]
    assert made.id in [one.id for one in vaults.list(include_archived=True, limit=2)]
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        vaults.update(made.id, display_name="D")
    assert vaults.delete(made.id).type == "vault_deleted"
    with pytest.raises(anthropic.NotFoundError):
        vaults.retrieve(made.id)


@pytest.mark.proves("beta.vaults.credentials.create", "beta.vaults.credentials.retrieve")
@pytest.mark.proves("beta.vaults.credentials.update", "beta.vaults.credentials.list")
@pytest.mark.proves("beta.vaults.credentials.archive", "beta.vaults.credentials.delete")
def test_credentials_of_every_kind_are_kept_rotated_and_closed(
    client: anthropic.Anthropic, installation: Installation, vault: BetaManagedAgentsVault
) -> None:
    credentials = client.beta.vaults.credentials
    bearer = credentials.create(vault.id, auth=BEARER, display_name="Drive")
    variable = credentials.create(vault.id, auth=VARIABLE)
    grant: Any = {
        "type": "mcp_oauth",
        "mcp_server_url": f"{URL}/2",
        "access_token": "s3cret-access",
        "expires_at": SOON,
    }
    oauth = credentials.create(vault.id, auth=grant)
    assert credentials.retrieve(oauth.id, vault_id=vault.id) == oauth
    assert oauth.auth.type == "mcp_oauth"
    assert (oauth.auth.expires_at, oauth.auth.refresh) == (SOON, None)
    assert [one.id for one in credentials.list(vault.id, limit=2)] == [oauth.id, variable.id, bearer.id]
    rotated = credentials.update(
        bearer.id, vault_id=vault.id, auth={"type": "static_bearer", "token": "s3cret-new"}, metadata={"by": "me"}
    )
    assert (rotated.auth, rotated.display_name, rotated.metadata) == (bearer.auth, "Drive", {"by": "me"})
    narrowed = credentials.update(
        variable.id,
        vault_id=vault.id,
        auth={"type": "environment_variable", "injection_location": {"body": False}},
    )
    assert narrowed.auth.type == "environment_variable"
    assert (narrowed.auth.injection_location.header, narrowed.auth.injection_location.body) == (True, False)
    with pytest.raises(anthropic.ConflictError):
        credentials.create(vault.id, auth=SAME)
    assert credentials.archive(bearer.id, vault_id=vault.id).archived_at is not None
    again = credentials.create(vault.id, auth=BEARER)
    assert credentials.delete(again.id, vault_id=vault.id).type == "vault_credential_deleted"
    with pytest.raises(anthropic.NotFoundError):
        credentials.retrieve(again.id, vault_id=vault.id)
    assert "s3cret" not in installation.log("web")


@pytest.mark.proves("beta.vaults.credentials.mcp_oauth_validate")
def test_a_credential_is_tried_and_its_token_renewed(
    client: anthropic.Anthropic, installation: Installation, vault: BetaManagedAgentsVault, server: Server
) -> None:
    credentials = client.beta.vaults.credentials
    refresh: Any = {
        "client_id": "c",
        "refresh_token": "s3cret-refresh",
        "token_endpoint": server.token_url,
        "token_endpoint_auth": {"type": "client_secret_post", "client_secret": "s3cret-client"},
    }
    grant: Any = {"type": "mcp_oauth", "mcp_server_url": server.url, "access_token": "s3cret-old", "refresh": refresh}
    credential = credentials.create(vault.id, auth=grant)
    first = credentials.mcp_oauth_validate(credential.id, vault_id=vault.id)
    assert (first.status, first.mcp_probe, first.has_refresh_token) == ("valid", None, True)
    assert first.refresh is not None
    assert (first.refresh.status, first.refresh.http_response) == ("succeeded", None)
    second = credentials.mcp_oauth_validate(credential.id, vault_id=vault.id)
    assert (second.status, second.refresh) == ("valid", None)
    server.script.tokens = set()
    server.script.grant = (400, {"error": "invalid_grant", "token": "s3cret-refresh"})
    third = credentials.mcp_oauth_validate(credential.id, vault_id=vault.id)
    assert third.status == "invalid"
    assert third.mcp_probe is not None
    assert third.mcp_probe.http_response is not None
    assert (third.mcp_probe.method, third.mcp_probe.http_response.status_code) == ("initialize", 401)
    assert third.refresh is not None
    assert third.refresh.http_response is not None
    assert (third.refresh.status, third.refresh.http_response.status_code) == ("failed", 400)
    assert "s3cret" not in third.to_json()
    assert "s3cret" not in installation.log("web")


def test_a_server_inside_is_not_tried(client: anthropic.Anthropic, vault: BetaManagedAgentsVault) -> None:
    grant: Any = {"type": "mcp_oauth", "mcp_server_url": "http://10.0.0.1/mcp", "access_token": "t"}
    credential = client.beta.vaults.credentials.create(vault.id, auth=grant)
    with pytest.raises(anthropic.BadRequestError, match="ALLOW_NETWORKS"):
        client.beta.vaults.credentials.mcp_oauth_validate(credential.id, vault_id=vault.id)


def test_a_create_sent_twice_makes_one_vault(client: anthropic.Anthropic) -> None:
    again = {"Idempotency-Key": "create-once"}
    first = client.beta.vaults.create(display_name="Once", extra_headers=again)
    assert client.beta.vaults.create(display_name="Once", extra_headers=again) == first
    with pytest.raises(anthropic.ConflictError) as caught:
        client.beta.vaults.create(display_name="Twice", extra_headers=again)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert [one.display_name for one in client.beta.vaults.list()].count("Once") == 1


def test_an_upload_sent_twice_is_one_file_though_its_boundary_differs(client: anthropic.Anthropic) -> None:
    again = {"Idempotency-Key": "upload-once"}
    content = b"line\n" * 200_000
    first = client.beta.files.upload(file=("big.txt", content, "text/plain"), extra_headers=again)
    second = client.beta.files.upload(file=("big.txt", content, "text/plain"), extra_headers=again)
    assert second == first
    with pytest.raises(anthropic.ConflictError):
        client.beta.files.upload(file=("big.txt", content + b"!", "text/plain"), extra_headers=again)
    assert [one.id for one in client.beta.files.list(limit=100)].count(first.id) == 1
