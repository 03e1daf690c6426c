"""Caps as the API takes them under ``holdfast.limits``: on agents, sessions and the workspace, one shape for all.

Stored without the ones that aren't set. What they mean and how levels combine: ``sessions.harness.limits``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COUNT = 10**12
MAX_BYTES = 10**15
YEAR_SECONDS = 366 * 86_400

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Seconds = Annotated[int, Field(ge=1, le=YEAR_SECONDS)]
Bytes = Annotated[int, Field(ge=1, le=MAX_BYTES)]


class Ours(BaseModel):
    """The base of everything that is sent to us and isn't in the SDK's types: strict, nothing unknown."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ListCost(Ours):
    """Whole US cents as a decimal string, like a session's ``budget`` (spec core 8.7)."""

    amount: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,11}$")]
    currency: Literal["USD"]


class Limits(Ours):
    """Caps of all work together. Null lifts one; one that is left out stays as it is."""

    steps: Count | None = None
    """Model replies with tool calls, and running them."""
    model_requests: Count | None = None
    tokens: Count | None = None
    """Of every kind: input, output, cache reads and cache writes."""
    list_cost: ListCost | None = None
    running_seconds: Seconds | None = None
    """Time spent working; waiting for a person doesn't count."""
    approval_seconds: Seconds | None = None
    """How long a call waits for a person; then it is refused and the agent goes on without it."""

    @model_validator(mode="before")
    @classmethod
    def _belongs_here(cls, sent: Any) -> Any:
        """Say of a limit that only workspaces have where it is set, instead of that it is unknown."""
        for name in sent if isinstance(sent, dict) else ():
            if name in WorkspaceLimits.model_fields and name not in cls.model_fields:
                setting = f"LIMIT_{name.upper()}".replace("LIST_COST", "DOLLARS")
                raise ValueError(
                    f"{name} bounds all sessions of a workspace together, so it can't be set here: set it on the page "
                    f"Limits, with POST /v1/x/limits, or for every workspace with the setting {setting}"
                )
        return sent


class WorkspaceLimits(Limits):
    """A workspace's besides: what bounds all of its sessions together."""

    concurrent_sessions: Count | None = None
    """How many may run at once; the others wait their turn."""
    concurrent_sessions_per_person: Count | None = None
    list_cost_per_day: ListCost | None = None
    """Of the model requests of a day, which begins at midnight of the setting ``TIME_ZONE``."""
    tokens_per_day: Count | None = None
    storage_bytes: Bytes | None = None
    """Of its files: uploads, and what its sessions left as outputs. The same content counts once."""


def merged(stored: Mapping[str, Any], sent: Mapping[str, Any] | None) -> dict[str, Any]:
    """``stored`` with what was sent laid over it; null for all of it clears everything."""
    if sent is None:
        return {}
    return {name: value for name, value in {**stored, **sent}.items() if value is not None}
