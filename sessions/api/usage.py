"""``/v1/x/usage``: money and tokens of the workspace over time, the same that the usage page shows."""

from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from ninja import Query, Router
from pydantic import BaseModel

from agents.pricing import cents
from contract import zones
from contract.errors import InvalidRequest
from contract.http import Request
from contract.query import Query as QueryModel
from sessions import usage
from sessions.usage import Group, Report, Sums

router = Router(tags=["Usage"])

DEFAULT_DAYS = 30


class Amount(BaseModel):
    """Whole and broken cents as a decimal string, as in ``session.usage``."""

    amount: str
    currency: Literal["USD"]


class Used(BaseModel):
    """What was used. ``list_cost`` leaves out ``unpriced_requests``, which have no known price."""

    requests: int
    input_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    output_tokens: int
    list_cost: Amount
    unpriced_requests: int


class Row(Used):
    """What a group used on a day that it used anything on. ``key``: an agent's, model's or API key's id, or a name."""

    day: date
    key: str
    label: str


class UsageReport(BaseModel):
    type: Literal["usage_report"]
    by: str
    time_zone: str
    since: date
    until: date
    data: list[Row]
    total: Used


class UsageQuery(QueryModel):
    """``since`` and ``until`` are days of ``time_zone``, both included; by default the last 30 to today."""

    by: Literal["agent", "model", "user"] = "agent"
    since: date | None = None
    until: date | None = None
    time_zone: str | None = None


@router.get("", response=UsageReport, operation_id="x.usage.retrieve")
def retrieve(request: Request, query: Query[UsageQuery]) -> dict[str, Any]:
    zone = _zone(query.time_zone)
    until = query.until or timezone.now().astimezone(zone).date()
    since = query.since or max(until, usage.EARLIEST) - timedelta(days=DEFAULT_DAYS - 1)
    return _shape(usage.report(query.by, since, zone, request.acting, until))


def _zone(name: str | None) -> ZoneInfo:
    found = zones.named(name) if name else ZoneInfo(settings.TIME_ZONE)
    if found is None:
        raise InvalidRequest("time_zone: must be an IANA name such as Europe/Berlin")
    return found


def _shape(report: Report) -> dict[str, Any]:
    return {
        "type": "usage_report",
        "by": report.by,
        "time_zone": report.zone.key,
        "since": report.days[0],
        "until": report.days[-1],
        "data": [_row(group, day, used) for group in report.groups for day, used in sorted(group.days.items())],
        "total": _used(report.total),
    }


def _row(group: Group, day: date, used: Sums) -> dict[str, Any]:
    return {"day": day, "key": group.key, "label": group.label, **_used(used)}


def _used(used: Sums) -> dict[str, Any]:
    return {
        "requests": used.requests,
        "input_tokens": used.input_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
        "output_tokens": used.output_tokens,
        "list_cost": {"amount": cents(used.cost), "currency": "USD"},
        "unpriced_requests": used.unpriced,
    }
