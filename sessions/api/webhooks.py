"""``/v1/organizations/webhooks`` (spec advanced 15.3): endpoints for the organization's five event types."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.errors import InvalidRequest
from contract.http import Request
from contract.query import Query as QueryModel
from contract.roles import Permission
from contract.schema import Answer, Params
from sessions.models import WebhookEndpoint
from sessions.webhooks import endpoints
from sessions.webhooks.shapes import endpoint_shape

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
    """The only answer that holds the signing secret."""
    endpoint, secret = endpoints.create(body, request.acting, organization=True)
    return {**endpoint_shape(endpoint), "signing_secret": secret}


@router.get("", response=EndpointPage, operation_id="organizations.webhooks.list")
def list_endpoints(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """This list has the older pagination, by ids."""
    request.acting.require(Permission.ADMINISTER)
    rows = WebhookEndpoint.objects.filter(workspace_id=request.acting.workspace_id, organization=True)
    found = list(rows.order_by(*(("created_at", "id") if query.order == "asc" else ("-created_at", "-id"))))
    places = {endpoint.pk: place for place, endpoint in enumerate(found)}
    first, last = 0, len(found)
    for field, named in (("after_id", query.after_id), ("before_id", query.before_id)):
        if named is not None and named not in places:
            raise InvalidRequest(f"{field}: names no endpoint of this list")
    first = places[query.after_id] + 1 if query.after_id else first
    last = places[query.before_id] if query.before_id else last
    shown = found[first:last][: query.limit or 20]
    return {
        "data": [endpoint_shape(endpoint) for endpoint in shown],
        "next_page": None,
        "has_more": len(found[first:last]) > len(shown),
        "first_id": shown[0].pk if shown else None,
        "last_id": shown[-1].pk if shown else None,
    }


@router.get("/{endpoint_id}", response=EndpointAnswer, operation_id="organizations.webhooks.retrieve")
def retrieve(request: Request, endpoint_id: str) -> dict[str, Any]:
    return endpoint_shape(endpoints.find(endpoint_id, request.acting, organization=True))


@router.post("/{endpoint_id}", response=EndpointAnswer, operation_id="organizations.webhooks.update")
def update(request: Request, endpoint_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    return endpoint_shape(endpoints.update(endpoint_id, body, request.acting, organization=True))


@router.delete("/{endpoint_id}", response=DeleteAnswer, operation_id="organizations.webhooks.delete")
def delete(request: Request, endpoint_id: str) -> dict[str, Any]:
    endpoints.delete(endpoint_id, request.acting, organization=True)
    return {"id": endpoint_id, "type": "webhook_endpoint_deleted"}


@router.post(
    "/{endpoint_id}/regenerate_signing_secret",
    response=SecretAnswer,
    operation_id="organizations.webhooks.regenerate_signing_secret",
)
def regenerate_signing_secret(request: Request, endpoint_id: str) -> dict[str, Any]:
    return {"signing_secret": endpoints.regenerate_secret(endpoint_id, request.acting, organization=True)}
