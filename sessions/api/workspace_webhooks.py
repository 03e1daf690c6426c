"""``/v1/x/webhooks``: a workspace's endpoints, for every event type, and what was delivered (only here).

The hosted service keeps these in its console; the fields are those of the organization's endpoints.
"""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import BaseModel, ConfigDict, Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.roles import Permission
from sessions.models import WebhookDelivery, WebhookEndpoint
from sessions.webhooks import endpoints
from sessions.webhooks.shapes import delivery_shape, endpoint_shape

router = Router(tags=["Webhooks"])

EventTypes = Annotated[list[str], Field(max_length=100)]


class CreateBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    url: str
    enabled_events: EventTypes
    name: str = ""
    description: str = ""


class UpdateBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    url: str | None = None
    enabled_events: EventTypes | None = None
    name: str | None = None
    description: str | None = None
    state: Literal["enabled", "disabled"] | None = None


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None


class DeliveriesQuery(ListQuery):
    state: Literal["pending", "delivered", "failed", "dropped"] | None = None


@router.post("", response=dict[str, Any], operation_id="x.webhooks.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    """The only answer that holds the signing secret."""
    endpoint, secret = endpoints.create(body.model_dump(), request.acting, organization=False)
    return {**endpoint_shape(endpoint), "signing_secret": secret}


@router.get("", response=dict[str, Any], operation_id="x.webhooks.list")
def list_endpoints(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    request.acting.require(Permission.ADMINISTER)
    rows = WebhookEndpoint.objects.filter(workspace_id=request.acting.workspace_id, organization=False)
    found = paginate(rows, kind="webhooks", fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(endpoint_shape)


@router.get("/{endpoint_id}", response=dict[str, Any], operation_id="x.webhooks.retrieve")
def retrieve(request: Request, endpoint_id: str) -> dict[str, Any]:
    return endpoint_shape(endpoints.find(endpoint_id, request.acting, organization=False))


@router.post("/{endpoint_id}", response=dict[str, Any], operation_id="x.webhooks.update")
def update(request: Request, endpoint_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    sent = body.model_dump(exclude_none=True)
    return endpoint_shape(endpoints.update(endpoint_id, sent, request.acting, organization=False))


@router.delete("/{endpoint_id}", response=dict[str, Any], operation_id="x.webhooks.delete")
def delete(request: Request, endpoint_id: str) -> dict[str, Any]:
    endpoints.delete(endpoint_id, request.acting, organization=False)
    return {"id": endpoint_id, "type": "webhook_endpoint_deleted"}


@router.post(
    "/{endpoint_id}/regenerate_signing_secret",
    response=dict[str, Any],
    operation_id="x.webhooks.regenerate_signing_secret",
)
def regenerate_signing_secret(request: Request, endpoint_id: str) -> dict[str, Any]:
    return {"signing_secret": endpoints.regenerate_secret(endpoint_id, request.acting, organization=False)}


@router.get("/{endpoint_id}/deliveries", response=dict[str, Any], operation_id="x.webhooks.deliveries.list")
def list_deliveries(request: Request, endpoint_id: str, query: Query[DeliveriesQuery]) -> dict[str, Any]:
    """Newest first; ended ones are kept for a month."""
    endpoint = endpoints.find(endpoint_id, request.acting, organization=False)
    rows = WebhookDelivery.objects.filter(endpoint=endpoint)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    found = paginate(rows, kind="webhook_deliveries", fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(delivery_shape)


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/redeliver",
    response=dict[str, Any],
    operation_id="x.webhooks.deliveries.redeliver",
)
def redeliver(request: Request, endpoint_id: str, delivery_id: str) -> dict[str, Any]:
    """Send it once more, under the same event id."""
    return delivery_shape(endpoints.redeliver(endpoint_id, delivery_id, request.acting))
