"""``/v1/organizations/webhooks`` (spec advanced 15.3): checked, but this version delivers nothing."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.errors import InvalidRequest
from contract.http import Request
from contract.query import Query as QueryModel
from contract.roles import Permission
from contract.schema import Answer, Params
from sessions.api import later

router = Router(tags=["Webhooks"])

TYPES = "organization"
ENDPOINT = f"{TYPES}.beta_organization_webhook_endpoint.BetaOrganizationWebhookEndpoint"
NEW = f"{TYPES}.beta_new_organization_webhook_endpoint.BetaNewOrganizationWebhookEndpoint"
DELETED = f"{TYPES}.beta_deleted_organization_webhook_endpoint.BetaDeletedOrganizationWebhookEndpoint"
SECRET = f"{TYPES}.beta_organization_webhook_endpoint_signing_secret.BetaOrganizationWebhookEndpointSigningSecret"
EndpointAnswer = Annotated[dict[str, Any], Answer(ENDPOINT)]
EndpointPage = Annotated[dict[str, Any], Answer(ENDPOINT, page=True)]
NewAnswer = Annotated[dict[str, Any], Answer(NEW)]
DeleteAnswer = Annotated[dict[str, Any], Answer(DELETED)]
SecretAnswer = Annotated[dict[str, Any], Answer(SECRET)]
CreateBody = Annotated[dict[str, Any], Params(f"{TYPES}.webhook_create_params.WebhookCreateParams")]
UpdateBody = Annotated[dict[str, Any], Params(f"{TYPES}.webhook_update_params.WebhookUpdateParams")]


class ListQuery(QueryModel):
    limit: int = Field(0, ge=0, le=100)
    after_id: str | None = None
    before_id: str | None = None
    order: Literal["asc", "desc"] = "desc"


@router.post("", response=NewAnswer, operation_id="organizations.webhooks.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    """Refused: nothing would be delivered."""
    later.refuse("Webhooks", request.acting, Permission.ADMINISTER)


@router.get("", response=EndpointPage, operation_id="organizations.webhooks.list")
def list_endpoints(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Empty. This list has the older pagination by ids."""
    request.acting.require(Permission.ADMINISTER)
    if query.after_id is not None or query.before_id is not None:
        raise InvalidRequest(f"{'before_id' if query.after_id is None else 'after_id'}: names no endpoint of this list")
    return {"data": [], "next_page": None, "has_more": False, "first_id": None, "last_id": None}


@router.get("/{endpoint_id}", response=EndpointAnswer, operation_id="organizations.webhooks.retrieve")
def retrieve(request: Request, endpoint_id: str) -> dict[str, Any]:
    later.missing("webhook endpoint", endpoint_id)


@router.post("/{endpoint_id}", response=EndpointAnswer, operation_id="organizations.webhooks.update")
def update(request: Request, endpoint_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    later.missing("webhook endpoint", endpoint_id)


@router.delete("/{endpoint_id}", response=DeleteAnswer, operation_id="organizations.webhooks.delete")
def delete(request: Request, endpoint_id: str) -> dict[str, Any]:
    later.missing("webhook endpoint", endpoint_id)


@router.post(
    "/{endpoint_id}/regenerate_signing_secret",
    response=SecretAnswer,
    operation_id="organizations.webhooks.regenerate_signing_secret",
)
def regenerate_signing_secret(request: Request, endpoint_id: str) -> dict[str, Any]:
    later.missing("webhook endpoint", endpoint_id)
