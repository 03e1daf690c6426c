"""``/v1/vaults`` and the credentials in them (spec advanced 1)."""

from typing import Annotated, Any

from ninja import Body, Query, Router
from pydantic import Field

from contract.errors import InvalidRequest
from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.schema import Answer, Params
from credentials import validation, vaults
from credentials.additions import CredentialAdditions
from credentials.api.shapes import credential_shape, vault_shape

router = Router(tags=["Vaults"])

VAULT = "beta_managed_agents_vault.BetaManagedAgentsVault"
CREDENTIAL = "vaults.beta_managed_agents_credential.BetaManagedAgentsCredential"
VALIDATION = "vaults.beta_managed_agents_credential_validation.BetaManagedAgentsCredentialValidation"
DELETED_VAULT = "beta_managed_agents_deleted_vault.BetaManagedAgentsDeletedVault"
DELETED_CREDENTIAL = "vaults.beta_managed_agents_deleted_credential.BetaManagedAgentsDeletedCredential"
VaultAnswer = Annotated[dict[str, Any], Answer(VAULT)]
VaultPage = Annotated[dict[str, Any], Answer(VAULT, page=True)]
DeletedVault = Annotated[dict[str, Any], Answer(DELETED_VAULT)]
CredentialAnswer = Annotated[dict[str, Any], Answer(CREDENTIAL)]
CredentialPage = Annotated[dict[str, Any], Answer(CREDENTIAL, page=True)]
DeletedCredential = Annotated[dict[str, Any], Answer(DELETED_CREDENTIAL)]
ValidationAnswer = Annotated[dict[str, Any], Answer(VALIDATION)]


def no_null_location(value: Any) -> Any:
    """Null would leave open whether a location is off or stays as it is (spec advanced 1.2)."""
    auth = value.get("auth") if isinstance(value, dict) else None
    location = auth.get("injection_location", {}) if isinstance(auth, dict) else {}
    if location is None or (isinstance(location, dict) and None in location.values()):
        raise InvalidRequest("auth.injection_location: null is not accepted; leave the field out instead")
    return value


VaultBody = Annotated[dict[str, Any], Params("vault_create_params.VaultCreateParams")]
VaultChange = Annotated[dict[str, Any], Params("vault_update_params.VaultUpdateParams")]
CREATE = Params(
    "vaults.credential_create_params.CredentialCreateParams", prepare=no_null_location, beside=CredentialAdditions
)
UPDATE = Params(
    "vaults.credential_update_params.CredentialUpdateParams",
    prepare=no_null_location,
    elsewhere=frozenset({"vault_id"}),
    beside=CredentialAdditions,
)
CredentialBody = Annotated[dict[str, Any], CREATE]
CredentialChange = Annotated[dict[str, Any], UPDATE]


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    include_archived: bool = False


@router.post("", response=VaultAnswer, operation_id="vaults.create")
def create(request: Request, body: Body[VaultBody]) -> dict[str, Any]:
    return vault_shape(vaults.create_vault(body, request.acting))


@router.get("", response=VaultPage, operation_id="vaults.list")
def list_vaults(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first."""
    rows = vaults.vaults(request.acting, archived=query.include_archived)
    found = paginate(rows, kind="vaults", fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(vault_shape)


@router.get("/{vault_id}", response=VaultAnswer, operation_id="vaults.retrieve")
def retrieve(request: Request, vault_id: str) -> dict[str, Any]:
    return vault_shape(vaults.find_vault(vault_id, request.acting))


@router.post("/{vault_id}", response=VaultAnswer, operation_id="vaults.update")
def update(request: Request, vault_id: str, body: Body[VaultChange]) -> dict[str, Any]:
    return vault_shape(vaults.update_vault(vault_id, body, request.acting))


@router.delete("/{vault_id}", response=DeletedVault, operation_id="vaults.delete")
def delete(request: Request, vault_id: str) -> dict[str, Any]:
    vaults.delete_vault(vault_id, request.acting)
    return {"id": vault_id, "type": "vault_deleted"}


@router.post("/{vault_id}/archive", response=VaultAnswer, operation_id="vaults.archive")
def archive(request: Request, vault_id: str) -> dict[str, Any]:
    return vault_shape(vaults.archive_vault(vault_id, request.acting))


@router.post("/{vault_id}/credentials", response=CredentialAnswer, operation_id="vaults.credentials.create")
def create_credential(request: Request, vault_id: str, body: Body[CredentialBody]) -> dict[str, Any]:
    return credential_shape(vaults.create_credential(vault_id, body, request.acting))


@router.get("/{vault_id}/credentials", response=CredentialPage, operation_id="vaults.credentials.list")
def list_credentials(request: Request, vault_id: str, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first."""
    rows = vaults.credentials(vault_id, request.acting, archived=query.include_archived)
    kind = f"credentials:{vault_id}"
    found = paginate(rows, kind=kind, fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(credential_shape)


@router.get(
    "/{vault_id}/credentials/{credential_id}", response=CredentialAnswer, operation_id="vaults.credentials.retrieve"
)
def retrieve_credential(request: Request, vault_id: str, credential_id: str) -> dict[str, Any]:
    return credential_shape(vaults.find_credential(vault_id, credential_id, request.acting))


@router.post(
    "/{vault_id}/credentials/{credential_id}", response=CredentialAnswer, operation_id="vaults.credentials.update"
)
def update_credential(
    request: Request, vault_id: str, credential_id: str, body: Body[CredentialChange]
) -> dict[str, Any]:
    return credential_shape(vaults.update_credential(vault_id, credential_id, body, request.acting))


@router.delete(
    "/{vault_id}/credentials/{credential_id}", response=DeletedCredential, operation_id="vaults.credentials.delete"
)
def delete_credential(request: Request, vault_id: str, credential_id: str) -> dict[str, Any]:
    vaults.delete_credential(vault_id, credential_id, request.acting)
    return {"id": credential_id, "type": "vault_credential_deleted"}


@router.post(
    "/{vault_id}/credentials/{credential_id}/archive",
    response=CredentialAnswer,
    operation_id="vaults.credentials.archive",
)
def archive_credential(request: Request, vault_id: str, credential_id: str) -> dict[str, Any]:
    return credential_shape(vaults.archive_credential(vault_id, credential_id, request.acting))


@router.post(
    "/{vault_id}/credentials/{credential_id}/mcp_oauth_validate",
    response=ValidationAnswer,
    operation_id="vaults.credentials.mcp_oauth_validate",
)
def validate(request: Request, vault_id: str, credential_id: str) -> dict[str, Any]:
    """Open an MCP connection with the credential's token, renewing it if the server wants that."""
    return validation.validate(vault_id, credential_id, request.acting)
