"""Money and tokens of a workspace over time, from what the log's door counted (``sessions.slices``)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from contract import zones
from contract.errors import InvalidRequest
from contract.roles import Permission
from credentials.models import ApiKey
from sessions.models import UsageSlice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zoneinfo import ZoneInfo

    from contract.acting import Acting

By = Literal["agent", "model", "user"]
BY: dict[By, tuple[str, ...]] = {
    "agent": ("agent_id", "agent__name"),
    "model": ("model",),
    "user": ("user__username", "api_key_id"),
}
MOST_DAYS = 366
EARLIEST, LATEST = date(1970, 1, 1), date(9998, 12, 31)  # days that can be reckoned with in any zone


@dataclass(frozen=True, slots=True)
class Sums:
    """What was used. ``cost``: US dollars of requests with a price; ``unpriced`` have none."""

    requests: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of every kind."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.output_tokens

    def plus(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, one) + getattr(other, one) for one in COLUMNS))


COLUMNS = tuple(one.name for one in fields(Sums))
NOTHING = Sums()


@dataclass(frozen=True, slots=True)
class Group:
    """An agent, a model, or who started the sessions. ``days`` has what it used on each day that it used anything."""

    key: str
    label: str
    days: dict[date, Sums]

    @property
    def total(self) -> Sums:
        return total(self.days.values())


@dataclass(frozen=True, slots=True)
class Report:
    """Groups, the dearest first, over ``days``: every one of them from ``since`` to now, in ``zone``."""

    by: By
    zone: ZoneInfo
    days: list[date]
    groups: list[Group]

    @property
    def total(self) -> Sums:
        return total(group.total for group in self.groups)

    def on(self, day: date) -> Sums:
        return total(group.days.get(day, NOTHING) for group in self.groups)


def total(parts: Iterable[Sums]) -> Sums:
    found = NOTHING
    for one in parts:
        found = found.plus(one)
    return found


def spent_since(moment: datetime, workspace_id: str) -> Sums:
    """Everything from a moment on. One query."""
    rows = UsageSlice.objects.filter(workspace_id=workspace_id, at__gte=moment)
    return _sums(rows.aggregate(**_asked()))


def report(by: By, since: date, zone: ZoneInfo, acting: Acting, until: date | None = None) -> Report:
    """What was used from the beginning of ``since`` to the end of ``until`` (today), by days of ``zone``.

    Raises ``InvalidRequest`` for days that lie the wrong way round, or too far apart.
    """
    acting.require(Permission.READ)
    last = until or timezone.now().astimezone(zone).date()
    days = (last - since).days + 1
    if since < EARLIEST or last > LATEST:
        raise InvalidRequest(f"since: it and until must lie between {EARLIEST} and {LATEST}")
    if days < 1:
        raise InvalidRequest("since: must not lie after the last day asked for")
    if days > MOST_DAYS:
        raise InvalidRequest(f"since: at most {MOST_DAYS} days can be asked for at once")
    start = datetime(since.year, since.month, since.day, tzinfo=zone)
    rows = UsageSlice.objects.filter(
        workspace_id=acting.workspace_id, at__gte=start, at__lt=zones.midnight(start, days=days)
    )
    found = rows.annotate(day=TruncDate("at", tzinfo=zone)).values("day", *BY[by]).annotate(**_asked()).order_by("day")
    return Report(by, zone, [since + timedelta(days=n) for n in range(days)], _grouped(by, list(found)))


def _asked() -> dict[str, Any]:
    """Sums named apart from the columns they are of."""
    return {f"sum_{name}": Sum(name) for name in COLUMNS}


def _sums(row: Mapping[str, Any]) -> Sums:
    return Sums(*(row[f"sum_{name}"] or getattr(NOTHING, name) for name in COLUMNS))


def _grouped(by: By, rows: list[dict[str, Any]]) -> list[Group]:
    keys: dict[str, str] = {}
    if by == "user":
        wanted = {row["api_key_id"] for row in rows if row["api_key_id"]}
        keys = dict(ApiKey.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}
    groups: dict[str, Group] = {}
    for row in rows:
        key, label = _named(by, row, keys)
        group = groups.setdefault(key, Group(key, label, {}))
        group.days[row["day"]] = group.days.get(row["day"], NOTHING).plus(_sums(row))
    return sorted(groups.values(), key=lambda group: (-group.total.cost, -group.total.tokens, group.label))


def _named(by: By, row: Mapping[str, Any], keys: Mapping[str, str]) -> tuple[str, str]:
    if by == "agent":
        return row["agent_id"], row["agent__name"]
    if by == "model":
        return row["model"], row["model"] or "No model"
    if row["api_key_id"]:
        return row["api_key_id"], f"API key {keys.get(row['api_key_id'], row['api_key_id'])}"
    return row["user__username"] or "", row["user__username"] or "Schedules and people who left"
