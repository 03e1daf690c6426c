"""Query strings (spec core 2.2): bracketed arrays and ranges, RFC 3339 times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest, QueryDict


MILLISECOND = timedelta(milliseconds=1)
YEARS = (1900, 9990)


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value.strip().replace(" ", "+"))
    except ValueError:
        raise ValueError("must be an RFC 3339 time such as 2026-01-31T12:00:00Z") from None
    if not YEARS[0] <= moment.year <= YEARS[1]:
        raise ValueError(f"must lie in the years {YEARS[0]} to {YEARS[1]}")
    # In UTC, because the database takes no offset of 16 hours and more.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Query(BaseModel):
    """Base of the query models. Unknown parameters are ignored, ``?beta=true`` of old clients too."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class AgentRange(Query):
    """``created_at[gte]`` and ``created_at[lte]``, the two bounds that agents know."""

    created_at_gte: Moment | None = Field(None, alias="created_at[gte]")
    created_at_lte: Moment | None = Field(None, alias="created_at[lte]")

    def bounds(self) -> dict[str, datetime]:
        """``gte`` and ``lt`` limits on the stored time, which is finer than the milliseconds clients see.

        A row is found by its own ``created_at`` as the API shows it, whichever operator is used.
        """
        sent = {name: getattr(self, f"created_at_{name}", None) for name in ("gt", "gte", "lt", "lte")}
        lows = [_ceiling(sent["gte"]), _next(sent["gt"])]
        highs = [_ceiling(sent["lt"]), _next(sent["lte"])]
        found = {
            "gte": max((moment for moment in lows if moment), default=None),
            "lt": min((moment for moment in highs if moment), default=None),
        }
        return {name: moment for name, moment in found.items() if moment is not None}

    def created(self) -> dict[str, Any]:
        """The bounds as conditions on the column ``created_at``."""
        return {f"created_at__{name}": moment for name, moment in self.bounds().items()}


class Range(AgentRange):
    """All four bounds on ``created_at``."""

    created_at_gt: Moment | None = Field(None, alias="created_at[gt]")
    created_at_lt: Moment | None = Field(None, alias="created_at[lt]")


def _next(moment: datetime | None) -> datetime | None:
    """The first millisecond after the one that ``moment`` lies in."""
    return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000) + MILLISECOND


def _ceiling(moment: datetime | None) -> datetime | None:
    """The first whole millisecond not before ``moment``."""
    return _next(moment) if moment and moment.microsecond % 1000 else moment


def unbracketed(data: QueryDict, list_fields: Iterable[str]) -> dict[str, Any]:
    """Parameters by name. A list field ``statuses[]`` also takes ``statuses`` without brackets."""
    found: dict[str, Any] = {key: data[key] for key in data}
    for field in list_fields:
        values = data.getlist(field) + data.getlist(field.removesuffix("[]"))
        if values:
            found[field] = list(dict.fromkeys(values))
    return found


PLAIN = (str, int, bool)


def only_known(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates operations of ours: a query parameter that they don't know is a 400 that names it.

    The compatible ones ignore such parameters, as old clients send ``?beta=true``.
    """
    hints = get_type_hints(view)
    models = [hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, Query)]
    names = {field.alias or name for model in models for name, field in model.model_fields.items()}
    names |= {name for name, hint in hints.items() if hint in PLAIN}
    names |= {name.removesuffix("[]") for name in names}

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **values: Any) -> Any:
        in_path = request.resolver_match.kwargs if request.resolver_match else {}
        known = sorted(names - set(in_path))
        unknown = sorted(set(request.GET) - set(known))
        if unknown:
            which = f"those known are {', '.join(known)}" if known else "none is known here"
            raise InvalidRequest(f"{unknown[0]}: unknown query parameter; {which}")
        return view(request, *args, **values)

    return checked
