"""What an agent may have besides the API's fields, under the key ``holdfast`` of its body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from agents.pricing import is_priced
from contract import limits
from contract.errors import InvalidRequest
from contract.limits import Limits, Ours
from contract.schema import EXTENSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_FALLBACKS = 5

ModelId = Annotated[str, Field(min_length=1, max_length=256)]


class AgentExtension(Ours):
    """``limits``: caps of each of its sessions, the agent's changes apply to sessions that run, too.

    ``fallback_models``: asked in this order once a model has failed for good; none unless given.
    """

    limits: Limits | None = None
    fallback_models: Annotated[list[ModelId], Field(max_length=MAX_FALLBACKS)] = []


def changed(stored: Mapping[str, Any], sent: Mapping[str, Any] | None, model_id: str) -> dict[str, Any]:
    """The stored extension with an update laid over it; empty if nothing of it is left.

    Raises ``InvalidRequest`` for a cap on money that can't be kept because a model has no price.
    """
    after = dict(stored)
    if sent is not None and "limits" in sent:
        after["limits"] = limits.merged(stored.get("limits") or {}, sent["limits"])
    if sent is not None and "fallback_models" in sent:
        after["fallback_models"] = list(dict.fromkeys(sent["fallback_models"]))
    after = {name: value for name, value in after.items() if value}
    check_priced(after.get("limits") or {}, [model_id, *after.get("fallback_models", ())], "holdfast.limits.list_cost")
    return after


def check_priced(caps: Mapping[str, Any], models: Iterable[str], where: str) -> None:
    """Refuse a cap on money for models whose spending nobody can know."""
    unknown = [model for model in models if not is_priced(model)]
    if "list_cost" in caps and unknown:
        raise InvalidRequest(
            f"{where}: the model {unknown[0]} has no public list price, so its spending can't be limited; "
            "limit tokens or steps instead",
            error_code="model_not_budgetable",
        )


def extension(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """An agent's additions, of a version's spec or a session's snapshot."""
    found: Mapping[str, Any] = spec.get(EXTENSION) or {}
    return found
