"""``/v1/models``: what the configured model server offers, and the demo."""

from datetime import UTC, datetime
from typing import Annotated, Any

from django.conf import settings
from ninja import Query, Router
from pydantic import Field

from agents.providers import registry
from agents.providers.base import ModelInfo
from contract.errors import InvalidRequest, NotFound
from contract.http import Request
from contract.query import Query as QueryModel
from contract.schema import Answer
from contract.times import timestamp

router = Router(tags=["Models"])

MODEL = "beta_model_info.BetaModelInfo"
ModelAnswer = Annotated[dict[str, Any], Answer(MODEL)]
ModelPage = Annotated[dict[str, Any], Answer(MODEL, page=True)]
UNKNOWN_RELEASE = timestamp(datetime(1970, 1, 1, tzinfo=UTC))


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=1000)
    after_id: str | None = None
    before_id: str | None = None


def model_shape(model: ModelInfo) -> dict[str, Any]:
    """What the server does not tell is null; the release date is the epoch, as the API allows."""
    return {
        "id": model.id,
        "type": "model",
        "display_name": model.display_name,
        "created_at": UNKNOWN_RELEASE,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": model.max_input_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": None,
        "allowed_fallback_models": None,
    }


def known_models() -> list[ModelInfo]:
    key = settings.HOLDFAST_MODEL_API_KEY
    return registry.list_models(
        base_url=settings.HOLDFAST_MODEL_BASE_URL or None, api_key=key.reveal() if key else None
    )


@router.get("", response=ModelPage, operation_id="models.list")
def list_models(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """In the server's order, the demo last."""
    models = known_models()
    start, stop = _window([model.id for model in models], query)
    found = [model_shape(model) for model in models[start:stop]]
    return {
        "data": found,
        "next_page": None,
        "has_more": start > 0 if query.before_id else stop < len(models),
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
    }


def _window(ids: list[str], query: ListQuery) -> tuple[int, int]:
    if query.after_id and query.before_id:
        raise InvalidRequest("after_id: can't be combined with before_id")
    at = query.after_id or query.before_id
    if at and at not in ids:
        raise InvalidRequest(f"{'after_id' if query.after_id else 'before_id'}: names no model of this list")
    if query.before_id:
        stop = ids.index(query.before_id)
        return max(0, stop - query.limit), stop
    start = ids.index(query.after_id) + 1 if query.after_id else 0
    return start, min(len(ids), start + query.limit)


@router.get("/{path:model_id}", response=ModelAnswer, operation_id="models.retrieve")
def retrieve(request: Request, model_id: str) -> dict[str, Any]:
    for model in known_models():
        if model.id == model_id:
            return model_shape(model)
    raise NotFound(f"There is no model {model_id} here.")
