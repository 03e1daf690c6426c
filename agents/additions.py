"""Our own fields of an agent, sent and shown under the key ``holdfast``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from agents.pricing import is_priced
from agents.rules import Rule, Rules, load
from contract import limits
from contract.errors import InvalidRequest
from contract.limits import Limits
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


MAX_FALLBACKS = 5
FALLBACKS = "holdfast.fallback_models"

ModelId = Annotated[str, Field(min_length=1, max_length=256)]


class AgentAdditions(BaseModel):
    """``permission_rules`` replaces the whole list; null or an empty list clears it.

    ``limits``: caps of each of its sessions, changed one by one; those of the current version apply to sessions that
    run, too. ``fallback_models``: asked in this order once a model has failed for good; none unless given.
    ``read_log``: whether its threads get the tool ``ant__read_log``.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    permission_rules: Rules | None = None
    limits: Limits | None = None
    read_log: bool | None = None
    fallback_models: Annotated[list[ModelId], Field(max_length=MAX_FALLBACKS)] | None = None


def additions(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """An agent's additions, of a version's spec or a session's snapshot."""
    found: Mapping[str, Any] = spec.get(OURS) or {}
    return found


def rules_json(sent: list[Any] | None) -> list[dict[str, Any]]:
    """Rules as they are stored."""
    return [rule.stored() for rule in load(sent or [])]


def merged(stored: Mapping[str, Any] | None, sent: Mapping[str, Any] | None, model_id: str) -> dict[str, Any]:
    """The stored additions of an agent with what was sent laid over them; what is empty is left out.

    Raises ``InvalidRequest`` for a cap on money that can't be kept because a model has no price.
    """
    merged = dict(stored or {})
    if sent is not None and "permission_rules" in sent:
        merged["permission_rules"] = rules_json(sent["permission_rules"])
    if sent is not None and "limits" in sent:
        merged["limits"] = limits.merged(merged.get("limits") or {}, sent["limits"])
    if sent is not None and "fallback_models" in sent:
        merged["fallback_models"] = list(sent["fallback_models"] or ())
    if sent is not None and "read_log" in sent:
        merged["read_log"] = sent["read_log"]
    merged = {field: value for field, value in merged.items() if value}
    models = [model_id, *merged.get("fallback_models", ())]
    check_priced(merged.get("limits") or {}, models, "holdfast.limits.list_cost")
    return merged


def check_fallbacks(model_id: str, models: Sequence[str]) -> None:
    """Refuse a chain that would ask a model again after it has failed for good."""
    for index, model in enumerate(models):
        if model == model_id:
            raise InvalidRequest(
                f"{FALLBACKS}: {model} is the agent's own model, which has failed by then; leave it out"
            )
        if model in models[:index]:
            raise InvalidRequest(f"{FALLBACKS}: {model} is named twice; name each model once")


def fallbacks(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The models to ask once that of a spec, or of a thread's agent, has failed for good.

    A session may have made one of them its own.
    """
    return tuple(model for model in additions(spec).get("fallback_models", ()) if model != spec["model"]["id"])


def check_priced(caps: Mapping[str, Any], models: Iterable[str], where: str) -> None:
    """Refuse a cap on money for models whose spending nobody can know."""
    unknown = [model for model in models if not is_priced(model)]
    if unknown and caps.keys() & {"list_cost", "list_cost_per_day"}:
        raise InvalidRequest(
            f"{where}: the model {unknown[0]} has no public list price, so its spending can't be limited; "
            "limit tokens or steps instead",
            error_code="model_not_budgetable",
        )


__all__ = [
    "AgentAdditions",
    "Rule",
    "additions",
    "check_fallbacks",
    "check_priced",
    "fallbacks",
    "merged",
    "rules_json",
]
