"""``/v1/vaults`` and what may be put in them (spec advanced 1). Trying a credential: ``tests/credentials``."""

from __future__ import annotations

from typing import Any

import pytest

from credentials.models import Credential, Vault
from tests.api.conftest import Caller, fits
from tests.api.vaulting import (
    BEARER,
    CREDENTIAL,
    OAUTH,
    URL,
    VARIABLE,
    VAULT,
    add,
    client,
    secrets_in,
    with_refresh,
)


def test_a_vault_has_a_name_and_metadata(alice: Caller, vault: str) -> None:
    made = alice.get(f"/vaults/{vault}")
    fits(VAULT, made)
    assert vault.startswith("vlt_")
    assert (made["type"], made["display_name"], made["metadata"]) == ("vault", "Ann", {"user": "7"})
    assert (made["archived_at"], made["updated_at"]) == (None, made["created_at"])


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"display_name": "Bea"}, "display_name", "Bea"),
        ({"display_name": None}, "display_name", "Ann"),
        ({"metadata": {"user": None, "x": "y"}}, "metadata", {"x": "y"}),
        ({"metadata": {"user": ""}}, "metadata", {"user": ""}),
        ({"metadata": None}, "metadata", {"user": "7"}),
        ({}, "display_name", "Ann"),
    ],
)
def test_an_update_of_a_vault_is_a_patch(
    alice: Caller, vault: str, change: dict[str, Any], field: str, expected: Any
) -> None:
    assert alice.post(f"/vaults/{vault}", change)[field] == expected
    assert alice.get(f"/vaults/{vault}")[field] == expected


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "display_name"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 256}, "display_name"),
        ({"display_name": 1}, "display_name"),
        ({"display_name": "V", "bogus": 1}, "bogus"),
        ({"display_name": "V", "metadata": {"a": 1}}, "metadata.a"),
        ({"display_name": "V", "metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"display_name": "V", "metadata": {"k" * 65: ""}}, "metadata"),
        ({"display_name": "V", "metadata": {"k": "v" * 513}}, "metadata.k"),
    ],
)
def test_a_bad_vault_is_refused_by_name(alice: Caller, vault: str, body: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", "/vaults", body)
    assert (refused.status, refused.message.startswith(named)) == (400, True), refused
    if body:
        assert alice.refused("POST", f"/vaults/{vault}", body).status == 400
    assert Vault.objects.count() == 1


def test_every_kind_shows_what_is_not_secret(alice: Caller, vault: str) -> None:
    oauth, bearer = add(alice, vault, OAUTH, display_name="Drive"), None
    assert oauth["auth"] == {
        "type": "mcp_oauth",
        "mcp_server_url": URL,
        "expires_at": "2199-01-31T11:00:00.000Z",
        "refresh": {
            "client_id": "client",
            "token_endpoint": "https://auth.example/token",
            "token_endpoint_auth": {"type": "client_secret_post"},
            "resource": "https://mcp.example",
            "scope": "read write",
        },
    }
    bearer = add(alice, vault, {**BEARER, "mcp_server_url": "https://other.example/"})
    assert bearer["auth"] == {"type": "static_bearer", "mcp_server_url": "https://other.example/"}
    variable = add(alice, vault, VARIABLE)
    both = {"header": True, "body": True}
    shown = {name: value for name, value in VARIABLE.items() if name != "secret_value"}
    assert variable["auth"] == {**shown, "injection_location": both}
    for one in (oauth, bearer, variable):
        fits(CREDENTIAL, one)
        assert one["id"].startswith("vcrd_")
        assert (one["type"], one["vault_id"], one["archived_at"]) == ("vault_credential", vault, None)
    assert (oauth["display_name"], bearer["display_name"]) == ("Drive", None)


def test_a_grant_without_expiry_and_refresh_shows_neither(alice: Caller, vault: str) -> None:
    made = add(alice, vault, {"type": "mcp_oauth", "mcp_server_url": URL, "access_token": "t", "refresh": None})
    fits(CREDENTIAL, made)
    assert made["auth"] == {"type": "mcp_oauth", "mcp_server_url": URL, "refresh": None}


def test_secrets_are_in_no_answer_and_nowhere_in_plain_text(alice: Caller, vault: str, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    said = []
    made = {}
    for auth in (OAUTH, {**BEARER, "mcp_server_url": "https://b.example"}, VARIABLE):
        response = alice.send("POST", f"/vaults/{vault}/credentials", {"auth": auth})
        made[auth["type"]] = response.json()["id"]
        said.append(response.content)
        path = f"/vaults/{vault}/credentials/{response.json()['id']}"
        said += [alice.send("GET", path).content, alice.send("POST", path, {"display_name": "n"}).content]
        said.append(alice.send("POST", path, {"auth": {**auth, "type": "nonsense"}}).content)
    said.append(alice.send("GET", f"/vaults/{vault}/credentials").content)
    for row in Credential.objects.values():
        said.append(repr({**row, "sealed": bytes(row["sealed"])}).encode())
    assert b"s3cret" not in b"".join(said)
    assert "s3cret" not in caplog.text
    assert secrets_in(made["mcp_oauth"]) == {
        "access_token": "s3cret-access",
        "refresh_token": "s3cret-refresh",
        "client_secret": "s3cret-client",
    }
    assert secrets_in(made["static_bearer"]) == {"token": "s3cret-bearer"}
    assert secrets_in(made["environment_variable"]) == {"secret_value": "s3cret-value"}


def hosts(*names: Any) -> dict[str, Any]:
    return {**VARIABLE, "networking": {"type": "limited", "allowed_hosts": list(names)}}


BAD_AUTHS = [
    ({"type": "moon"}, "auth"),
    ({}, "auth"),
    ({"type": "mcp_oauth"}, "auth.access_token"),
    ({**OAUTH, "bogus": 1}, "auth.bogus"),
    ({**OAUTH, "access_token": ""}, "auth.access_token"),
    ({**OAUTH, "access_token": "x" * 8193}, "auth.access_token"),
    ({**OAUTH, "access_token": 7}, "auth.access_token"),
    ({**OAUTH, "mcp_server_url": ""}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://a.example/" + "x" * 2030}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "mcp.example"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "ftp://mcp.example"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://me:pw@mcp.example"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://mcp.example/#x"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://mcp.example:99999/"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://mcp.exa mple/"}, "auth.mcp_server_url"),
    ({**OAUTH, "mcp_server_url": "https://[::1/"}, "auth.mcp_server_url"),
    ({**OAUTH, "expires_at": "2020-01-01T00:00:00Z"}, "auth.expires_at"),
    ({**OAUTH, "expires_at": "tomorrow"}, "auth.expires_at"),
    ({**OAUTH, "expires_at": "0001-01-01T00:00:00+10:00"}, "auth.expires_at"),
    ({**OAUTH, "expires_at": 4102444800}, "auth.expires_at"),
    (with_refresh(bogus=1), "auth.refresh.bogus"),
    (with_refresh(client_id=""), "auth.refresh.client_id"),
    (with_refresh(client_id="x" * 1025), "auth.refresh.client_id"),
    (with_refresh(refresh_token="x" * 4097), "auth.refresh.refresh_token"),
    (with_refresh(token_endpoint="https://a.example/" + "x" * 2030), "auth.refresh.token_endpoint"),
    (with_refresh(token_endpoint="auth.example"), "auth.refresh.token_endpoint"),
    (with_refresh(scope="x" * 8193), "auth.refresh.scope"),
    (with_refresh(scope=""), "auth.refresh.scope"),
    (with_refresh(resource="x" * 2048), "auth.refresh.resource"),
    (client("client_secret_basic"), "auth.refresh.token_endpoint_auth.client_secret"),
    (client("client_secret_post", client_secret="x" * 513), "auth.refresh.token_endpoint_auth.client_secret"),
    (client("none", client_secret="x"), "auth.refresh.token_endpoint_auth.client_secret"),
    (client("private_key_jwt"), "auth.refresh.token_endpoint_auth"),
    ({**BEARER, "token": ""}, "auth.token"),
    ({**BEARER, "token": "x" * 8193}, "auth.token"),
    ({**BEARER, "access_token": "x"}, "auth.access_token"),
    ({**VARIABLE, "secret_name": ""}, "auth.secret_name"),
    ({**VARIABLE, "secret_name": "x" * 256}, "auth.secret_name"),
    ({**VARIABLE, "secret_name": "1ST"}, "auth.secret_name"),
    ({**VARIABLE, "secret_name": "A=B"}, "auth.secret_name"),
    ({**VARIABLE, "secret_name": "PATH"}, "auth.secret_name"),
    ({**VARIABLE, "secret_name": "https_proxy"}, "auth.secret_name"),
    ({**BEARER, "token": "t\r\nX: y"}, "auth.token"),
    ({**BEARER, "token": "é"}, "auth.token"),
    ({**VARIABLE, "secret_value": ""}, "auth.secret_value"),
    ({**VARIABLE, "secret_value": "x" * 4097}, "auth.secret_value"),
    ({**VARIABLE, "networking": None}, "auth.networking"),
    ({**VARIABLE, "networking": {"type": "limited"}}, "auth.networking.allowed_hosts"),
    ({**VARIABLE, "networking": {"type": "unrestricted", "allowed_hosts": []}}, "auth.networking.allowed_hosts"),
    (hosts(*(f"h{n}.example" for n in range(17))), "auth.networking.allowed_hosts"),
    (hosts("https://a.example"), "auth.networking.allowed_hosts.0"),
    (hosts("a.example", "b.example:443"), "auth.networking.allowed_hosts.1"),
    (hosts("a.example/path"), "auth.networking.allowed_hosts.0"),
    (hosts("[::1]"), "auth.networking.allowed_hosts.0"),
    (hosts("::1"), "auth.networking.allowed_hosts.0"),
    (hosts("*"), "auth.networking.allowed_hosts.0"),
    (hosts("a.*.example"), "auth.networking.allowed_hosts.0"),
    (hosts(7), "auth.networking.allowed_hosts.0"),
    ({**VARIABLE, "injection_location": {"header": "yes"}}, "auth.injection_location.header"),
    ({**VARIABLE, "injection_location": {"query": True}}, "auth.injection_location.query"),
]


@pytest.mark.parametrize(("auth", "named"), BAD_AUTHS)
def test_a_bad_auth_is_refused_by_name(alice: Caller, vault: str, auth: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", f"/vaults/{vault}/credentials", {"auth": auth})
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert refused.message.startswith(named), refused.message
    assert "s3cret" not in refused.message
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "auth"),
        ({"auth": BEARER, "display_name": "x" * 256}, "display_name"),
        ({"auth": BEARER, "bogus": 1}, "bogus"),
        ({"auth": BEARER, "metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"auth": [BEARER]}, "auth"),
    ],
)
def test_a_bad_credential_is_refused_by_name(alice: Caller, vault: str, body: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", f"/vaults/{vault}/credentials", body)
    assert (refused.status, refused.message.startswith(named)) == (400, True), refused


@pytest.mark.parametrize(
    "auth",
    [
        {**OAUTH, "access_token": "x" * 8192, "mcp_server_url": "https://a.example/" + "x" * 2029},
        with_refresh(client_id="x" * 1024, refresh_token="x" * 4096, scope="x" * 8192, resource="x" * 2047),
        client("client_secret_basic", client_secret="x" * 512),
        {**BEARER, "token": "x" * 8192},
        {**VARIABLE, "secret_name": "x" * 255, "secret_value": "x" * 4096},
        hosts(*(f"h{n}.example" for n in range(16))),
        hosts(),
    ],
)
def test_every_limit_is_reached(alice: Caller, vault: str, auth: dict[str, Any]) -> None:
    fits(CREDENTIAL, add(alice, vault, auth, display_name="x" * 255))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"header": True}, {"header": True, "body": False}),
        ({"body": True}, {"header": False, "body": True}),
        ({"header": True, "body": True}, {"header": True, "body": True}),
        ({}, None),
        ({"header": False}, None),
        ({"header": False, "body": False}, None),
        ({"header": None}, None),
        (None, None),
    ],
)
def test_a_location_that_is_given_leaves_the_rest_off(alice: Caller, vault: str, sent: Any, stored: Any) -> None:
    body = {"auth": {**VARIABLE, "injection_location": sent}}
    if stored is None:
        refused = alice.refused("POST", f"/vaults/{vault}/credentials", body)
        assert (refused.status, refused.message.startswith("auth.injection_location")) == (400, True)
        assert ("leave the field out" in refused.message) == (sent is None or None in sent.values())
    else:
        assert alice.post(f"/vaults/{vault}/credentials", body)["auth"]["injection_location"] == stored
