"""Vaults and credentials as the API shows them (spec advanced 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.schema import OURS
from contract.times import timestamp, timestamp_or_none
from credentials.scopes import FIELDS

if TYPE_CHECKING:
    from credentials.models import Credential, Vault


def vault_shape(vault: Vault) -> dict[str, Any]:
    return {
        "id": vault.pk,
        "type": "vault",
        "display_name": vault.display_name,
        "metadata": vault.metadata,
        "created_at": timestamp(vault.created_at),
        "updated_at": timestamp(vault.updated_at),
        "archived_at": timestamp_or_none(vault.archived_at),
    }


def credential_shape(credential: Credential) -> dict[str, Any]:
    """Never a secret: those are not in ``auth``."""
    return {
        "id": credential.pk,
        "type": "vault_credential",
        "vault_id": credential.vault_id,
        "display_name": credential.display_name,
        "auth": credential.auth,
        "metadata": credential.metadata,
        "created_at": timestamp(credential.created_at),
        "updated_at": timestamp(credential.updated_at),
        "archived_at": timestamp_or_none(credential.archived_at),
        **_ours(credential),
    }


def _ours(credential: Credential) -> dict[str, Any]:
    if not credential.scope:
        return {}
    return {OURS: {"scope": {field: credential.scope.get(field) for field in FIELDS}}}
