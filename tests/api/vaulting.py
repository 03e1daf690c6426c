"""Credentials for the tests of vaults, and a look at what is stored of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credentials import crypto
from credentials.models import Credential

if TYPE_CHECKING:
    from tests.api.conftest import Caller

VAULT = "beta_managed_agents_vault.BetaManagedAgentsVault"
CREDENTIAL = "vaults.beta_managed_agents_credential.BetaManagedAgentsCredential"
URL = "https://mcp.example/sse"
REFRESH = {
    "client_id": "client",
    "refresh_token": "s3cret-refresh",
    "token_endpoint": "https://auth.example/token",
    "token_endpoint_auth": {"type": "client_secret_post", "client_secret": "s3cret-client"},
    "scope": "read write",
    "resource": "https://mcp.example",
}
OAUTH = {
    "type": "mcp_oauth",
    "mcp_server_url": URL,
    "access_token": "s3cret-access",
    "expires_at": "2199-01-31T12:00:00+01:00",
    "refresh": REFRESH,
}
BEARER = {"type": "static_bearer", "mcp_server_url": URL, "token": "s3cret-bearer"}
VARIABLE = {
    "type": "environment_variable",
    "secret_name": "API_KEY",
    "secret_value": "s3cret-value",
    "networking": {"type": "limited", "allowed_hosts": ["api.example.com", "*.example.org", "192.0.2.1"]},
}


def add(who: Caller, vault: str, auth: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return who.post(f"/vaults/{vault}/credentials", {"auth": auth, **fields})


def secrets_in(credential_id: str) -> dict[str, str]:
    row = Credential.objects.get(pk=credential_id)
    found: dict[str, str] = json.loads(crypto.unseal(bytes(row.sealed), row.pk).reveal()) if row.sealed else {}
    return found


def with_refresh(**change: Any) -> dict[str, Any]:
    return {**OAUTH, "refresh": {**REFRESH, **change}}


def client(kind: str, **fields: Any) -> dict[str, Any]:
    return with_refresh(token_endpoint_auth={"type": kind, **fields})
