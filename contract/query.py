"""Query strings (spec core 2.2): bracketed arrays and ranges, RFC 3339 times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import QueryDict


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value.strip().replace(" ", "+"))
    except ValueError:
        raise ValueError("must be an RFC 3339 time such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Query(BaseModel):
    """Base of the query models. Unknown parameters are ignored, ``?beta=true`` of old clients too."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class AgentRange(Query):
    """``created_at[gte]`` and ``created_at[lte]``, the two bounds that agents know."""

    created_at_gte: Moment | None = Field(None, alias="created_at[gte]")
    created_at_lte: Moment | None = Field(None, alias="created_at[lte]")

    def bounds(self) -> dict[str, datetime]:
        """Operator (``gt``, ``gte``, ``lt``, ``lte``) -> time, for the bounds that were sent."""
        names = ("gt", "gte", "lt", "lte")
        found = {name: getattr(self, f"created_at_{name}", None) for name in names}
        return {name: moment for name, moment in found.items() if moment is not None}


class Range(AgentRange):
    """All four bounds on ``created_at``."""

    created_at_gt: Moment | None = Field(None, alias="created_at[gt]")
    created_at_lt: Moment | None = Field(None, alias="created_at[lt]")


def unbracketed(data: QueryDict, list_fields: Iterable[str]) -> dict[str, Any]:
    """Parameters by name. A list field ``statuses[]`` also takes ``statuses`` without brackets."""
    found: dict[str, Any] = {key: data[key] for key in data}
    for field in list_fields:
        values = data.getlist(field) + data.getlist(field.removesuffix("[]"))
        if values:
            found[field] = list(dict.fromkeys(values))
    return found
