"""Our own fields of an agent, sent and shown under the key ``holdfast``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from agents.rules import Rule, Rules, load

if TYPE_CHECKING:
    from collections.abc import Mapping


class AgentAdditions(BaseModel):
    """``permission_rules`` replaces the whole list; null or an empty list clears it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    permission_rules: Rules | None = None


def rules_json(sent: list[Any] | None) -> list[dict[str, Any]]:
    """Rules as they are stored."""
    return [rule.stored() for rule in load(sent or [])]


def merged(stored: Mapping[str, Any] | None, sent: Mapping[str, Any] | None) -> dict[str, Any]:
    """The stored additions of an agent with what was sent laid over them; what is empty is left out."""
    merged = dict(stored or {})
    if sent is not None and "permission_rules" in sent:
        merged["permission_rules"] = rules_json(sent["permission_rules"])
    return {field: value for field, value in merged.items() if value}


__all__ = ["AgentAdditions", "Rule", "merged", "rules_json"]
