"""What changes vaults and credentials (spec advanced 1). The API and the pages all go through here.

Developers may see which vaults and credentials there are, administrators may change and try them; operators
name vaults by id when they start a session. No function returns a secret but ``secrets_of``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from contract import audit, happenings, metadata
from contract.errors import Conflict, InvalidRequest, NotFound
from contract.roles import Permission
from contract.secret import Secret
from credentials import auths, crypto, matching, scopes
from credentials.auths import Auth
from credentials.models import Credential, Vault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.db.models import QuerySet

    from contract.acting import Acting

MAX_NAME = 255
MAX_CREDENTIALS = 20
MAX_ATTACHED = 50


def vaults(acting: Acting, *, archived: bool) -> QuerySet[Vault]:
    """The vaults of the caller's workspace; ``archived`` ones only if asked for."""
    acting.require(Permission.BUILD)
    rows = Vault.objects.filter(workspace_id=acting.workspace_id)
    return rows if archived else rows.filter(archived_at=None)


def find_vault(vault_id: str, acting: Acting) -> Vault:
    acting.require(Permission.BUILD)
    return _found_vault(Vault.objects.filter(pk=vault_id, workspace_id=acting.workspace_id).first(), vault_id)


def check_attachable(vault_ids: Sequence[str], acting: Acting) -> list[str]:
    """The vaults that a new session names, in order. Whoever may start a session may name any vault's id."""
    if len(vault_ids) > MAX_ATTACHED:
        raise InvalidRequest(f"vault_ids: at most {MAX_ATTACHED} vaults are allowed")
    if len(set(vault_ids)) < len(vault_ids):
        raise InvalidRequest("vault_ids: names a vault more than once")
    rows = Vault.objects.filter(pk__in=vault_ids, workspace_id=acting.workspace_id) if vault_ids else ()
    found = {vault.pk: vault for vault in rows}
    for vault_id in vault_ids:
        if _found_vault(found.get(vault_id), vault_id).archived_at is not None:
            raise InvalidRequest(f"Vault {vault_id} is archived and can't be used by new sessions.")
    return list(vault_ids)


@audit.logged("vault.created", "credentials.Vault")
def create_vault(body: Mapping[str, Any], acting: Acting) -> Vault:
    acting.require(Permission.ADMINISTER)
    now = timezone.now()
    vault = Vault(
        workspace_id=acting.workspace_id,
        display_name=_name(body["display_name"]),
        metadata=metadata.check(body.get("metadata") or {}),
        created_at=now,
        updated_at=now,
    )
    with transaction.atomic():
        vault.save(force_insert=True)
        happenings.tell("vault.created", vault.pk, workspace_id=vault.workspace_id)
    return vault


@audit.logged("vault.updated", "credentials.Vault", "vault_id")
def update_vault(vault_id: str, body: Mapping[str, Any], acting: Acting) -> Vault:
    """Null keeps the name: a vault always has one."""
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        vault = _lock_vault(vault_id, acting)
        _refuse_archived(vault)
        if body.get("display_name") is not None:
            vault.display_name = _name(body["display_name"])
        vault.metadata = metadata.merge(vault.metadata, body.get("metadata"))
        vault.updated_at = timezone.now()
        vault.save(update_fields=["display_name", "metadata", "updated_at"])
    return vault


@audit.logged("vault.archived", "credentials.Vault", "vault_id")
def archive_vault(vault_id: str, acting: Acting) -> Vault:
    """Close a vault and forget all its secrets; a second time changes nothing."""
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        vault = _lock_vault(vault_id, acting)
        if vault.archived_at is None:
            vault.archived_at = vault.updated_at = now = timezone.now()
            vault.save(update_fields=["archived_at", "updated_at"])
            active = vault.credentials.filter(archived_at=None)
            _tell_all("vault_credential.archived", vault, active)
            happenings.tell("vault.archived", vault.pk, workspace_id=vault.workspace_id)
            active.update(archived_at=now, updated_at=now, sealed=b"")
    return vault


@audit.logged("vault.deleted", "credentials.Vault", "vault_id")
def delete_vault(vault_id: str, acting: Acting) -> None:
    """Delete a vault with its credentials."""
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        vault = _lock_vault(vault_id, acting)
        _tell_all("vault_credential.deleted", vault, vault.credentials.all())
        happenings.tell("vault.deleted", vault.pk, workspace_id=vault.workspace_id)
        vault.delete()


def credentials(vault_id: str, acting: Acting, *, archived: bool) -> QuerySet[Credential]:
    """The credentials of a vault; ``archived`` ones only if asked for."""
    rows = Credential.objects.filter(vault=find_vault(vault_id, acting)).defer("sealed")
    return rows if archived else rows.filter(archived_at=None)


def find_credential(vault_id: str, credential_id: str, acting: Acting) -> Credential:
    acting.require(Permission.BUILD)
    return _found(_rows(vault_id, acting).filter(pk=credential_id).first(), vault_id, credential_id)


@audit.logged("credential.created", "credentials.Credential")
def create_credential(vault_id: str, body: Mapping[str, Any], acting: Acting) -> Credential:
    """A new credential. ``Conflict`` if the vault has an active one for the same server or variable."""
    acting.require(Permission.ADMINISTER)
    now = timezone.now()
    auth = auths.made(body["auth"], now)
    credential = Credential(
        display_name=_name(body.get("display_name"), shortest=0),
        slot=matching.slot(auth.shown),
        scope=scopes.checked((body.get("holdfast") or {}).get("scope")),
        metadata=metadata.check(body.get("metadata") or {}),
        created_at=now,
        updated_at=now,
    )
    put_auth(credential, auth)
    with transaction.atomic():
        credential.vault = _lock_vault(vault_id, acting)
        _refuse_archived(credential.vault)
        _insert(credential)
        _tell("vault_credential.created", credential, acting)
    return credential


@audit.logged("credential.updated", "credentials.Credential", "credential_id", always=True)
def update_credential(vault_id: str, credential_id: str, body: Mapping[str, Any], acting: Acting) -> Credential:
    """Rename or rotate (spec advanced 1.4); what was left out or null stays."""
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        credential = lock_credential(vault_id, credential_id, acting)
        if credential.archived_at is not None:
            raise InvalidRequest(f"Credential {credential.pk} is archived and can't be changed.")
        if body.get("display_name") is not None:
            credential.display_name = _name(body["display_name"])
        if "auth" in body:
            put_auth(credential, _rotated(credential, body["auth"]))
        if "scope" in (body.get("holdfast") or {}):
            credential.scope = scopes.checked(body["holdfast"]["scope"])
        credential.metadata = metadata.merge(credential.metadata, body.get("metadata"))
        credential.updated_at = timezone.now()
        credential.save(
            update_fields=["display_name", "auth", "sealed", "refused_at", "scope", "metadata", "updated_at"]
        )
    return credential


@audit.logged("credential.archived", "credentials.Credential", "credential_id")
def archive_credential(vault_id: str, credential_id: str, acting: Acting) -> Credential:
    """Forget the secrets and free the slot for a new credential; a second time changes nothing."""
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        credential = lock_credential(vault_id, credential_id, acting)
        if credential.archived_at is None:
            credential.archived_at = credential.updated_at = timezone.now()
            credential.sealed = b""
            credential.save(update_fields=["archived_at", "updated_at", "sealed"])
            _tell("vault_credential.archived", credential, acting)
    return credential


@audit.logged("credential.deleted", "credentials.Credential", "credential_id")
def delete_credential(vault_id: str, credential_id: str, acting: Acting) -> None:
    acting.require(Permission.ADMINISTER)
    with transaction.atomic():
        credential = lock_credential(vault_id, credential_id, acting)
        _tell("vault_credential.deleted", credential, acting)
        credential.delete()


def _tell(event_type: str, credential: Credential, acting: Acting) -> None:
    happenings.tell(event_type, credential.pk, workspace_id=acting.workspace_id, vault_id=credential.vault_id)


def _tell_all(event_type: str, vault: Vault, rows: QuerySet[Credential]) -> None:
    for credential_id in rows.values_list("pk", flat=True):
        happenings.tell(event_type, credential_id, workspace_id=vault.workspace_id, vault_id=vault.pk)


def lock_credential(vault_id: str, credential_id: str, acting: Acting) -> Credential:
    """The row, locked until the transaction ends. Rotation, refresh and archiving take turns on it."""
    rows = _rows(vault_id, acting).select_for_update(of=("self",))
    return _found(rows.filter(pk=credential_id).first(), vault_id, credential_id)


def secrets_of(credential: Credential) -> dict[str, Secret]:
    """The secrets by name, none for an archived credential. Raises ``crypto.CannotOpen``."""
    if not credential.sealed:
        return {}
    opened = crypto.unseal(bytes(credential.sealed), credential.pk).reveal()
    return {name: Secret(value) for name, value in json.loads(opened).items()}


def auth_of(credential: Credential) -> Auth:
    """The whole auth with its secrets. Raises ``crypto.CannotOpen``."""
    return Auth(credential.auth, secrets_of(credential))


def put_auth(credential: Credential, auth: Auth) -> None:
    """Lay an auth into a row that the caller saves."""
    plain = json.dumps({name: secret.reveal() for name, secret in auth.secrets.items()})
    credential.auth, credential.sealed = auth.shown, crypto.seal(Secret(plain), credential.pk)
    credential.refused_at = None


def _rotated(credential: Credential, sent: Mapping[str, Any]) -> Auth:
    """The auth after a change. Secrets that can't be read any more can still be replaced, all of them at once."""
    try:
        stored, lost = auth_of(credential), None
    except crypto.CannotOpen as error:
        stored, lost = Auth(credential.auth, {}), error
    auth = auths.changed(stored, sent, timezone.now())
    missing = auths.secret_names(auth.shown) - auth.secrets.keys()
    if missing:
        raise InvalidRequest(f"auth: {', '.join(sorted(missing))} must be sent too, the stored one is lost: {lost}")
    return auth


def _insert(credential: Credential) -> None:
    active = credential.vault.credentials.filter(archived_at=None)
    try:
        if active.filter(slot=credential.slot).exists():
            raise IntegrityError
        if active.count() >= MAX_CREDENTIALS:
            raise InvalidRequest(f"A vault holds at most {MAX_CREDENTIALS} active credentials; archive one first.")
        with transaction.atomic():
            credential.save(force_insert=True)
    except IntegrityError:
        key = "secret_name" if "secret_name" in credential.auth else "mcp_server_url"
        raise Conflict(f"auth.{key}: the vault has an active credential for it; change or archive that one") from None


def _rows(vault_id: str, acting: Acting) -> QuerySet[Credential]:
    return Credential.objects.filter(vault_id=vault_id, vault__workspace_id=acting.workspace_id)


def _lock_vault(vault_id: str, acting: Acting) -> Vault:
    rows = Vault.objects.select_for_update()
    return _found_vault(rows.filter(pk=vault_id, workspace_id=acting.workspace_id).first(), vault_id)


def _found_vault(vault: Vault | None, vault_id: str) -> Vault:
    if vault is None:
        raise NotFound(f"There is no vault {vault_id} in this workspace.")
    return vault


def _found(credential: Credential | None, vault_id: str, credential_id: str) -> Credential:
    if credential is None:
        raise NotFound(f"There is no credential {credential_id} in vault {vault_id} of this workspace.")
    return credential


def _refuse_archived(vault: Vault) -> None:
    if vault.archived_at is not None:
        raise InvalidRequest(f"Vault {vault.pk} is archived and can't be changed.")


def _name(value: Any, *, shortest: int = 1) -> Any:
    if value is not None and not shortest <= len(value) <= MAX_NAME:
        raise InvalidRequest(f"display_name: must be {shortest} to {MAX_NAME} characters long")
    return value
